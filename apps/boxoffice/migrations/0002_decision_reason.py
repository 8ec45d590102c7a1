from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):
    atomic = False

    dependencies = [
        ("boxoffice", "0001_initial"),
    ]

    operations = [
        migrations.AddField(
            model_name="staffjob",
            name="decision_reason",
            field=models.CharField(
                blank=True,
                db_default="",
                default="",
                max_length=500,
                verbose_name="reason of the decision",
            ),
        ),
        AddIndexConcurrently(
            model_name="staffjobrow",
            index=models.Index(fields=["subject"], name="staff_job_rows_of_subject"),
        ),
    ]
