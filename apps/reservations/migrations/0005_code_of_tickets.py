from django.db import migrations, models

import apps.reservations.models


class Migration(migrations.Migration):
    dependencies = [
        ("reservations", "0004_indexes_that_others_begin_with"),
    ]

    operations = [
        # The constraint stays under another name, which takes no time however many tickets there are.
        migrations.RunSQL(
            sql=[
                "ALTER TABLE reservations_ticket"
                " RENAME CONSTRAINT reservations_ticket_code_key TO ticket_code_once",
                "DROP INDEX reservations_ticket_code_de7cbf17_like",
            ],
            reverse_sql=[
                "CREATE INDEX reservations_ticket_code_de7cbf17_like"
                " ON reservations_ticket (code varchar_pattern_ops)",
                "ALTER TABLE reservations_ticket"
                " RENAME CONSTRAINT ticket_code_once TO reservations_ticket_code_key",
            ],
            state_operations=[
                migrations.AlterField(
                    model_name="ticket",
                    name="code",
                    field=models.CharField(
                        default=apps.reservations.models.new_ticket_code,
                        max_length=16,
                        verbose_name="code",
                    ),
                ),
                migrations.AddConstraint(
                    model_name="ticket",
                    constraint=models.UniqueConstraint(fields=("code",), name="ticket_code_once"),
                ),
            ],
        ),
    ]
