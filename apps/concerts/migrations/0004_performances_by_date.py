from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):
    atomic = False

    dependencies = [
        ("concerts", "0003_counts_of_performances"),
    ]

    operations = [
        AddIndexConcurrently(
            model_name="performance",
            index=models.Index(
                fields=["starts_at"], include=("concert",), name="performance_by_date"
            ),
        ),
    ]
