from django.conf import settings
from django.contrib.postgres.operations import AddIndexConcurrently, RemoveIndexConcurrently
from django.db import migrations, models

# Rooms of concerts with a date ahead may have visitors; those that have none rest after their first tick.
WAKE_ROOMS_IN_USE = """
    UPDATE queue_waitingroom room SET activity = 'AWAKE'
    WHERE EXISTS (
        SELECT FROM concerts_performance WHERE concert_id = room.concert_id AND starts_at > now()
    )
"""


class Migration(migrations.Migration):
    atomic = False

    dependencies = [
        ("concerts", "0001_initial"),
        ("queue", "0002_merged_exits"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.AddField(
            model_name="waitingroom",
            name="activity",
            field=models.CharField(
                choices=[("AWAKE", "awake"), ("RESTING", "resting"), ("RETIRED", "retired")],
                db_default="RESTING",
                default="RESTING",
                editable=False,
                max_length=7,
                verbose_name="activity",
            ),
        ),
        migrations.RunSQL(WAKE_ROOMS_IN_USE, migrations.RunSQL.noop),
        migrations.AddConstraint(
            model_name="waitingroom",
            constraint=models.CheckConstraint(
                condition=models.Q(("activity__in", ["AWAKE", "RESTING", "RETIRED"])),
                name="waiting_room_activity_is_known",
            ),
        ),
        AddIndexConcurrently(
            model_name="waitingroom",
            index=models.Index(
                condition=models.Q(("activity", "RETIRED"), _negated=True),
                fields=["activity", "next_tick_at"],
                name="waiting_room_due",
            ),
        ),
        RemoveIndexConcurrently(model_name="queueexit", name="queue_exit_recent"),
        AddIndexConcurrently(
            model_name="queueexit",
            index=models.Index(
                fields=["concert", "generation", "ended_at"], name="queue_exit_recent"
            ),
        ),
    ]
