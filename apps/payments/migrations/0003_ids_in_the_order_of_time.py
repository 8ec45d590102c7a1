from django.db import migrations, models

import apps.shared.identifiers


class Migration(migrations.Migration):
    dependencies = [
        ("payments", "0002_two_entries_each"),
    ]

    operations = [
        migrations.AlterField(
            model_name="ledgertransaction",
            name="id",
            field=models.UUIDField(
                default=apps.shared.identifiers.new_id,
                editable=False,
                primary_key=True,
                serialize=False,
            ),
        ),
    ]
