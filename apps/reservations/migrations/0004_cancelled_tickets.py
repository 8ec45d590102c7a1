from django.contrib.postgres.operations import (
    AddConstraintNotValid,
    AddIndexConcurrently,
    ValidateConstraint,
)
from django.db import migrations, models


def _reason() -> models.CharField:
    return models.CharField(
        blank=True,
        db_default="",
        default="",
        max_length=200,
        verbose_name="why staff cancelled it",
    )


class Migration(migrations.Migration):
    atomic = False

    dependencies = [
        ("concerts", "0004_called_off"),
        ("payments", "0002_partial_refunds"),
        ("reservations", "0003_holder_notices"),
    ]

    operations = [
        migrations.AlterModelOptions(
            name="reservation",
            options={
                "permissions": [
                    ("cancel_reservation", "Can cancel reservations and seats of them")
                ],
                "verbose_name": "reservation",
                "verbose_name_plural": "reservations",
            },
        ),
        migrations.AddField(model_name="reservation", name="cancel_reason", field=_reason()),
        migrations.AddField(model_name="ticket", name="cancel_reason", field=_reason()),
        migrations.AddField(
            model_name="ticket",
            name="cancelled_at",
            field=models.DateTimeField(blank=True, null=True, verbose_name="cancelled at"),
        ),
        AddIndexConcurrently(
            model_name="ticket",
            index=models.Index(
                condition=models.Q(("cancelled_at__isnull", False)),
                fields=["cancelled_at"],
                name="ticket_cancelled",
            ),
        ),
        AddConstraintNotValid(
            model_name="reservation",
            constraint=models.CheckConstraint(
                condition=models.Q(("cancel_reason", ""), ("status", "CANCELLED"), _connector="OR"),
                name="reservation_cancel_reason",
            ),
        ),
        ValidateConstraint("reservation", name="reservation_cancel_reason"),
        AddConstraintNotValid(
            model_name="ticket",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("cancel_reason", ""), ("cancelled_at", None)),
                    models.Q(
                        ("cancelled_at__isnull", False),
                        models.Q(("cancel_reason", ""), _negated=True),
                    ),
                    _connector="OR",
                ),
                name="ticket_cancelled_explained",
            ),
        ),
        ValidateConstraint("ticket", name="ticket_cancelled_explained"),
    ]
