import django.core.validators
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("concerts", "0006_times_of_performances"),
    ]

    operations = [
        migrations.AddField(
            model_name="concert",
            name="single_seats",
            field=models.CharField(
                choices=[
                    ("OFF", "allow"),
                    ("WARN", "warn the customer"),
                    ("REFUSE", "refuse the choice"),
                ],
                db_default="WARN",
                default="WARN",
                help_text="What happens if a choice on the map leaves one free seat on its own although that could be avoided.",
                max_length=6,
                verbose_name="single seats",
            ),
        ),
        migrations.AddField(
            model_name="concert",
            name="unpaid_seats_max",
            field=models.PositiveSmallIntegerField(
                blank=True,
                help_text="How many seats of this concert, all dates together, a customer may hold before paying. Leave empty to allow as many as of one performance.",
                null=True,
                validators=[django.core.validators.MaxValueValidator(100)],
                verbose_name="unpaid seats per customer",
            ),
        ),
        migrations.AddConstraint(
            model_name="concert",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("unpaid_seats_max", None),
                    models.Q(
                        ("unpaid_seats_max__gte", models.F("seats_per_customer")),
                        ("unpaid_seats_max__lte", 100),
                    ),
                    _connector="OR",
                ),
                name="concert_unpaid_seats_max",
                violation_error_message="The limit for unpaid seats must be at least the number of seats per customer, and at most 100.",
            ),
        ),
        migrations.AddConstraint(
            model_name="concert",
            constraint=models.CheckConstraint(
                condition=models.Q(("single_seats__in", ["OFF", "WARN", "REFUSE"])),
                name="concert_single_seats_is_known",
            ),
        ),
    ]
