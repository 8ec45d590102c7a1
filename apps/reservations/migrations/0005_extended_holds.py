from django.contrib.postgres.operations import AddConstraintNotValid, ValidateConstraint
from django.db import migrations, models
from django.db.models import ExpressionWrapper, F, Q


class Migration(migrations.Migration):
    atomic = False  # the validation reads every hold, and may keep nobody from writing meanwhile

    dependencies = [
        ("concerts", "0007_rules_of_holding"),
        ("reservations", "0004_indexes_that_others_begin_with"),
    ]

    operations = [
        migrations.AddField(
            model_name="hold",
            name="extended_at",
            field=models.DateTimeField(blank=True, null=True, verbose_name="extended at"),
        ),
        migrations.AddField(
            model_name="hold",
            name="extended_from",
            field=models.DateTimeField(
                blank=True,
                help_text="When it would have been over if it had not been extended.",
                null=True,
                verbose_name="extended from",
            ),
        ),
        migrations.AddField(
            model_name="hold",
            name="unpaid_limit",
            field=models.SmallIntegerField(
                blank=True,
                help_text="How many unpaid seats of all dates together one customer might hold when this was held.",
                null=True,
                verbose_name="limit of unpaid seats",
            ),
        ),
        AddConstraintNotValid(
            model_name="hold",
            constraint=models.CheckConstraint(
                condition=Q(extended_at=None, extended_from=None)
                | Q(
                    extended_at__isnull=False,
                    extended_at__lt=F("extended_from"),
                    extended_from__isnull=False,
                    extended_from__lt=F("expires_at"),
                    expires_at__lte=ExpressionWrapper(
                        F("extended_from")
                        + ExpressionWrapper(
                            F("extended_from") - F("held_at"), models.DurationField()
                        ),
                        models.DateTimeField(),
                    ),
                ),
                name="hold_extended_once",
            ),
        ),
        ValidateConstraint(model_name="hold", name="hold_extended_once"),
    ]
