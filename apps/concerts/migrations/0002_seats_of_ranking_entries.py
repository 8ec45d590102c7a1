import django.contrib.postgres.fields
from django.db import migrations, models

FILL = """
UPDATE concerts_rankingentry entry
SET seat_ids = ARRAY(
    SELECT (seat ->> 'seat_id')::bigint FROM jsonb_array_elements(event.payload -> 'seats') seat
)
FROM shared_outboxevent event
WHERE event.id = entry.event_id AND jsonb_typeof(event.payload -> 'seats') = 'array'
"""


class Migration(migrations.Migration):
    dependencies = [
        ("concerts", "0001_initial"),
        ("shared", "0001_initial"),
    ]

    operations = [
        # A large table takes longer than any request may.
        migrations.RunSQL("SET LOCAL statement_timeout = 0", migrations.RunSQL.noop),
        migrations.AddField(
            model_name="rankingentry",
            name="seat_ids",
            field=django.contrib.postgres.fields.ArrayField(
                base_field=models.BigIntegerField(),
                db_default=[],
                size=None,
                verbose_name="seats",
            ),
        ),
        migrations.RunSQL(FILL, migrations.RunSQL.noop),
    ]
