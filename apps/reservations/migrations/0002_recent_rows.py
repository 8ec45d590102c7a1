from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):
    atomic = False

    dependencies = [
        ("reservations", "0001_initial"),
    ]

    operations = [
        AddIndexConcurrently(
            model_name="hold",
            index=models.Index(fields=["held_at"], name="hold_by_time"),
        ),
        AddIndexConcurrently(
            model_name="hold",
            index=models.Index(
                condition=models.Q(("status__in", ["RELEASED", "EXPIRED"])),
                fields=["ended_at"],
                name="hold_unpaid_ended",
            ),
        ),
        AddIndexConcurrently(
            model_name="reservation",
            index=models.Index(fields=["reserved_at"], name="reservation_by_time"),
        ),
        AddIndexConcurrently(
            model_name="reservation",
            index=models.Index(
                condition=models.Q(("cancelled_at__isnull", False)),
                fields=["cancelled_at"],
                name="reservation_cancelled",
            ),
        ),
    ]
