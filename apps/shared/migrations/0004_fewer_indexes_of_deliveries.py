from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("shared", "0003_wait_of_deliveries"),
    ]

    operations = [
        migrations.AlterField(
            model_name="eventdelivery",
            name="event",
            field=models.ForeignKey(
                db_index=False,
                on_delete=models.deletion.PROTECT,
                related_name="deliveries",
                to="shared.outboxevent",
                verbose_name="event",
            ),
        ),
    ]
