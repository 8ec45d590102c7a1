from django.contrib.postgres.operations import AddConstraintNotValid, ValidateConstraint
from django.db import migrations, models


class Migration(migrations.Migration):
    atomic = False

    dependencies = [("concerts", "0003_inventory_of_blocked_seats")]

    operations = [
        migrations.AlterModelOptions(
            name="performance",
            options={
                "permissions": [("call_off_performance", "Can call performances off")],
                "verbose_name": "performance",
                "verbose_name_plural": "performances",
            },
        ),
        migrations.AddField(
            model_name="performance",
            name="called_off_at",
            field=models.DateTimeField(
                blank=True, editable=False, null=True, verbose_name="called off at"
            ),
        ),
        migrations.AddField(
            model_name="performance",
            name="called_off_reason",
            field=models.CharField(
                blank=True,
                db_default="",
                default="",
                editable=False,
                max_length=200,
                verbose_name="why it was called off",
            ),
        ),
        migrations.AddField(
            model_name="performance",
            name="free_cancellation_until",
            field=models.DateTimeField(
                blank=True,
                editable=False,
                help_text="For those who held their seats before it was moved. Empty means until it begins.",
                null=True,
                verbose_name="free cancellation until",
            ),
        ),
        migrations.AlterField(
            model_name="rankingentry",
            name="reservations",
            field=models.SmallIntegerField(
                help_text="1 for a sale, -1 for a cancellation, 0 for one of some seats.",
                verbose_name="reservations",
            ),
        ),
        AddConstraintNotValid(
            model_name="performance",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("free_cancellation_until", None),
                    models.Q(
                        ("free_cancellation_until__lte", models.F("starts_at")),
                        ("rescheduled_at__isnull", False),
                    ),
                    _connector="OR",
                ),
                name="performance_free_cancellation",
            ),
        ),
        ValidateConstraint("performance", name="performance_free_cancellation"),
        AddConstraintNotValid(
            model_name="performance",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("called_off_at", None), ("called_off_reason", "")),
                    models.Q(
                        ("called_off_at__isnull", False),
                        models.Q(("called_off_reason", ""), _negated=True),
                    ),
                    _connector="OR",
                ),
                name="performance_called_off_explained",
            ),
        ),
        ValidateConstraint("performance", name="performance_called_off_explained"),
        AddConstraintNotValid(
            model_name="rankingentry",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("reservations", 1), ("seats__gte", 1)),
                    models.Q(("reservations__in", [-1, 0]), ("seats__lte", -1)),
                    _connector="OR",
                ),
                name="ranking_entry_counts",
            ),
        ),
        ValidateConstraint("rankingentry", name="ranking_entry_counts"),
        migrations.SeparateDatabaseAndState(
            state_operations=[
                migrations.RemoveConstraint(
                    model_name="rankingentry", name="ranking_entry_adds_or_takes"
                )
            ],
            database_operations=[
                migrations.RunSQL(
                    "ALTER TABLE concerts_rankingentry"
                    " DROP CONSTRAINT IF EXISTS ranking_entry_adds_or_takes",
                    migrations.RunSQL.noop,
                )
            ],
        ),
    ]
