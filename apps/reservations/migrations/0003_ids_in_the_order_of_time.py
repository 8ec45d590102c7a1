from django.db import migrations, models

import apps.shared.identifiers


class Migration(migrations.Migration):
    dependencies = [
        ("reservations", "0002_recent_rows"),
    ]

    operations = [
        migrations.AlterField(
            model_name="hold",
            name="id",
            field=models.UUIDField(
                default=apps.shared.identifiers.new_id,
                editable=False,
                primary_key=True,
                serialize=False,
            ),
        ),
        migrations.AlterField(
            model_name="reservation",
            name="id",
            field=models.UUIDField(
                default=apps.shared.identifiers.new_id,
                editable=False,
                primary_key=True,
                serialize=False,
            ),
        ),
        migrations.AlterField(
            model_name="ticket",
            name="id",
            field=models.UUIDField(
                default=apps.shared.identifiers.new_id,
                editable=False,
                primary_key=True,
                serialize=False,
            ),
        ),
    ]
