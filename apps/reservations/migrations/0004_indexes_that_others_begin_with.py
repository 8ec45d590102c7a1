import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    atomic = False

    dependencies = [
        ("reservations", "0003_ids_in_the_order_of_time"),
    ]

    operations = [
        # Made by Django for a search by the beginning of a code, which nobody makes.
        migrations.RunSQL(
            "DROP INDEX CONCURRENTLY IF EXISTS reservations_ticket_code_de7cbf17_like",
            "CREATE INDEX CONCURRENTLY IF NOT EXISTS reservations_ticket_code_de7cbf17_like"
            " ON reservations_ticket (code varchar_pattern_ops)",
        ),
        # Django would make the foreign key anew as well, and check every row of it.
        migrations.RunSQL(
            "DROP INDEX CONCURRENTLY IF EXISTS reservations_ticket_reservation_id_fb88e44b",
            "CREATE INDEX CONCURRENTLY IF NOT EXISTS reservations_ticket_reservation_id_fb88e44b"
            " ON reservations_ticket (reservation_id)",
            state_operations=[
                migrations.AlterField(
                    model_name="ticket",
                    name="reservation",
                    field=models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="tickets",
                        to="reservations.reservation",
                        verbose_name="reservation",
                    ),
                ),
            ],
        ),
    ]
