import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("concerts", "0008_search")]

    operations = [
        migrations.AlterField(
            model_name="performance",
            name="concert",
            field=models.ForeignKey(
                db_index=False,
                on_delete=django.db.models.deletion.CASCADE,
                related_name="performances",
                to="concerts.concert",
                verbose_name="concert",
            ),
        ),
    ]
