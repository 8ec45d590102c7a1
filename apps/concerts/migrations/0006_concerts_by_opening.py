from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):
    atomic = False

    dependencies = [
        ("concerts", "0005_halls"),
    ]

    operations = [
        AddIndexConcurrently(
            model_name="concert",
            index=models.Index(fields=["sales_open_at", "id"], name="concert_by_opening"),
        ),
    ]
