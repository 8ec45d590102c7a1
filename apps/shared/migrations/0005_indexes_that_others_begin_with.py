import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    atomic = False

    dependencies = [
        ("shared", "0004_ids_in_the_order_of_time"),
    ]

    operations = [
        # Django would make the foreign key anew as well, and check every row of it.
        migrations.RunSQL(
            "DROP INDEX CONCURRENTLY IF EXISTS shared_eventdelivery_event_id_468d169c",
            "CREATE INDEX CONCURRENTLY IF NOT EXISTS shared_eventdelivery_event_id_468d169c"
            " ON shared_eventdelivery (event_id)",
            state_operations=[
                migrations.AlterField(
                    model_name="eventdelivery",
                    name="event",
                    field=models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="deliveries",
                        to="shared.outboxevent",
                        verbose_name="event",
                    ),
                ),
            ],
        ),
    ]
