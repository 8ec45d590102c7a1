import datetime

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("concerts", "0005_bounded_dates"),
        ("queue", "0004_steering"),
    ]

    operations = [
        migrations.RunSQL(
            """
            UPDATE queue_waitingroom SET opens_at = NULL
            WHERE opens_at NOT BETWEEN '2000-01-01Z' AND '2100-01-01Z'
            """,
            migrations.RunSQL.noop,
        ),
        migrations.RunSQL(
            "UPDATE queue_waitingroom SET admissions_per_minute = 1000000 WHERE admissions_per_minute > 1000000",
            migrations.RunSQL.noop,
        ),
        migrations.AddConstraint(
            model_name="waitingroom",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("admissions_per_minute", None),
                    ("admissions_per_minute__lte", 1000000),
                    _connector="OR",
                ),
                name="waiting_room_rate_max",
                violation_error_message="The rate must be 1,000,000 per minute at most.",
            ),
        ),
        migrations.AddConstraint(
            model_name="waitingroom",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("opens_at", None),
                    (
                        "opens_at__range",
                        (
                            datetime.datetime(2000, 1, 1, 0, 0, tzinfo=datetime.UTC),
                            datetime.datetime(2100, 1, 1, 0, 0, tzinfo=datetime.UTC),
                        ),
                    ),
                    _connector="OR",
                ),
                name="waiting_room_opening",
                violation_error_message="The year must be 2000 to 2099.",
            ),
        ),
    ]
