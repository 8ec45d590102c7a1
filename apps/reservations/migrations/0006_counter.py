"""Add what the counter needs to know. All columns are added empty, so no row is rewritten and none is read under the lock."""

import django.db.models.deletion
from django.contrib.postgres.operations import AddConstraintNotValid, ValidateConstraint
from django.db import migrations, models

import apps.core.texts


class Migration(migrations.Migration):
    # Else the lock of the first operations would last as long as the last one takes to read the table.
    atomic = False

    dependencies = [
        ("reservations", "0005_order_number"),
    ]

    operations = [
        migrations.AlterModelOptions(
            name="hold",
            options={
                "permissions": [("release_hold", "Can release a hold of a customer")],
                "verbose_name": "hold",
                "verbose_name_plural": "holds",
            },
        ),
        migrations.AlterModelOptions(
            name="reservation",
            options={
                "permissions": [
                    ("cancel_reservation", "Can cancel reservations and seats of them"),
                    ("sell_at_counter", "Can sell at the counter"),
                    ("give_complimentary", "Can give complimentary tickets"),
                    ("reseat", "Can move a customer to other seats"),
                ],
                "verbose_name": "reservation",
                "verbose_name_plural": "reservations",
            },
        ),
        migrations.AddField(
            model_name="hold",
            name="release_reason",
            field=apps.core.texts.TypedLineField(
                blank=True,
                db_default="",
                default="",
                help_text="Why staff released it; the customer reads it.",
                max_length=200,
                verbose_name="reason of staff",
            ),
        ),
        migrations.AddField(
            model_name="reservation",
            name="contact",
            field=apps.core.texts.TypedLineField(
                blank=True,
                db_default="",
                default="",
                help_text="How to reach a customer of the counter who has no account.",
                max_length=100,
                verbose_name="contact",
            ),
        ),
        migrations.AddField(
            model_name="reservation",
            name="moved_to",
            field=models.ForeignKey(
                blank=True,
                db_index=False,
                help_text="What the customer got in its place.",
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="+",
                to="reservations.reservation",
                verbose_name="moved to",
            ),
        ),
        AddConstraintNotValid(
            model_name="reservation",
            constraint=models.CheckConstraint(
                condition=models.Q(("moved_to", None), ("status", "CANCELLED"), _connector="OR"),
                name="reservation_moved_is_cancelled",
            ),
        ),
        ValidateConstraint(model_name="reservation", name="reservation_moved_is_cancelled"),
    ]
