from django.contrib.postgres.indexes import BrinIndex
from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):
    atomic = False

    dependencies = [
        ("queue", "0005_bounded_policy"),
    ]

    operations = [
        AddIndexConcurrently(
            model_name="queueexit",
            index=BrinIndex(fields=["ended_at"], autosummarize=True, name="queue_exit_by_time"),
        ),
        AddIndexConcurrently(
            model_name="policychange",
            index=models.Index(fields=["changed_at"], name="policy_change_by_time"),
        ),
    ]
