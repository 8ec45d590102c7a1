from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("queue", "0006_days_of_exits"),
    ]

    operations = [
        migrations.AddField(
            model_name="waitingroom",
            name="withdrawal_reason",
            field=models.CharField(
                blank=True,
                db_default="",
                default="",
                help_text="Visitors read it while the concert is offline.",
                max_length=200,
                verbose_name="why the concert is offline",
            ),
        ),
        migrations.AddField(
            model_name="waitingroom",
            name="resumed_at",
            field=models.DateTimeField(
                blank=True,
                editable=False,
                help_text="Turns that had begun before begin anew then.",
                null=True,
                verbose_name="published again at",
            ),
        ),
    ]
