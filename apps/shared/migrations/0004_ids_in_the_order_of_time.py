from django.db import migrations, models

import apps.shared.identifiers


class Migration(migrations.Migration):
    dependencies = [
        ("shared", "0003_wait_of_deliveries"),
    ]

    operations = [
        migrations.AlterField(
            model_name="outboxevent",
            name="id",
            field=models.UUIDField(
                default=apps.shared.identifiers.new_id,
                editable=False,
                primary_key=True,
                serialize=False,
            ),
        ),
    ]
