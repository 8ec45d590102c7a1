import datetime

from django.db import migrations, models
from django.db.backends.base.schema import BaseDatabaseSchemaEditor

BATCH = 5_000

# Instantly: none of them has a value for the rows that there are. It can be tried again after it was cut off anywhere.
COLUMNS = """
ALTER TABLE concerts_performance
    ADD COLUMN IF NOT EXISTS ends_at timestamptz,
    ADD COLUMN IF NOT EXISTS rescheduled_at timestamptz,
    ADD COLUMN IF NOT EXISTS previous_starts_at timestamptz,
    ADD COLUMN IF NOT EXISTS schedule_version integer DEFAULT 0 NOT NULL CHECK (schedule_version >= 0),
    ADD COLUMN IF NOT EXISTS schedule_changed_at timestamptz
"""
NO_COLUMNS = """
ALTER TABLE concerts_performance
    DROP COLUMN IF EXISTS ends_at,
    DROP COLUMN IF EXISTS rescheduled_at,
    DROP COLUMN IF EXISTS previous_starts_at,
    DROP COLUMN IF EXISTS schedule_version,
    DROP COLUMN IF EXISTS schedule_changed_at
"""
# New rows are held to it at once; the old ones are looked at afterwards, while everybody goes on reading and writing.
CHECK = """
ALTER TABLE concerts_performance
    DROP CONSTRAINT IF EXISTS {name},
    ADD CONSTRAINT {name} CHECK ({condition}) NOT VALID
"""
VALIDATE = "ALTER TABLE concerts_performance VALIDATE CONSTRAINT {name}"
CHECKS = {
    "performance_ends_after_it_starts": (
        "ends_at > starts_at AND ends_at <= starts_at + interval '7 days'"
    ),
    "performance_rescheduled_from": (
        "(rescheduled_at IS NULL AND previous_starts_at IS NULL)"
        " OR (rescheduled_at IS NOT NULL AND previous_starts_at IS NOT NULL)"
    ),
}


def end_after_the_usual_length(_apps: object, editor: BaseDatabaseSchemaEditor) -> None:
    """Give the performances that there are an end, a batch in each transaction."""
    with editor.connection.cursor() as cursor:
        changed = BATCH
        while changed == BATCH:
            cursor.execute(
                """
                UPDATE concerts_performance SET ends_at = starts_at + interval '3 hours'
                WHERE id IN (SELECT id FROM concerts_performance WHERE ends_at IS NULL LIMIT %s)
                """,
                [BATCH],
            )
            changed = cursor.rowcount


class Migration(migrations.Migration):
    # Each statement for itself, so that the table is locked for instants only.
    atomic = False

    dependencies = [
        ("concerts", "0005_bounded_dates"),
    ]

    operations = [
        migrations.SeparateDatabaseAndState(
            database_operations=[
                migrations.RunSQL(COLUMNS, NO_COLUMNS),
                migrations.RunPython(end_after_the_usual_length, migrations.RunPython.noop),
                *(
                    migrations.RunSQL(
                        statement.format(name=name, condition=condition), migrations.RunSQL.noop
                    )
                    for name, condition in CHECKS.items()
                    for statement in (CHECK, VALIDATE)
                ),
                migrations.RunSQL(
                    "ALTER TABLE concerts_performance ALTER COLUMN ends_at SET NOT NULL",
                    migrations.RunSQL.noop,
                ),
            ],
            state_operations=[
                migrations.AddField(
                    model_name="performance",
                    name="ends_at",
                    field=models.DateTimeField(
                        blank=True,
                        help_text=(
                            "Its tickets are shown as upcoming until then. "
                            "Leave empty for three hours after it begins."
                        ),
                        verbose_name="ends at",
                    ),
                    preserve_default=False,
                ),
                migrations.AddField(
                    model_name="performance",
                    name="rescheduled_at",
                    field=models.DateTimeField(
                        blank=True, editable=False, null=True, verbose_name="moved at"
                    ),
                ),
                migrations.AddField(
                    model_name="performance",
                    name="previous_starts_at",
                    field=models.DateTimeField(
                        blank=True, editable=False, null=True, verbose_name="moved from"
                    ),
                ),
                migrations.AddField(
                    model_name="performance",
                    name="schedule_version",
                    field=models.PositiveIntegerField(
                        db_default=0, default=0, editable=False, verbose_name="version of the times"
                    ),
                ),
                migrations.AddField(
                    model_name="performance",
                    name="schedule_changed_at",
                    field=models.DateTimeField(
                        blank=True, editable=False, null=True, verbose_name="times changed at"
                    ),
                ),
                migrations.AddConstraint(
                    model_name="performance",
                    constraint=models.CheckConstraint(
                        condition=models.Q(
                            ("ends_at__gt", models.F("starts_at")),
                            (
                                "ends_at__lte",
                                models.F("starts_at") + datetime.timedelta(days=7),
                            ),
                        ),
                        name="performance_ends_after_it_starts",
                        violation_error_message=(
                            "A performance must end after it begins, within seven days."
                        ),
                    ),
                ),
                migrations.AddConstraint(
                    model_name="performance",
                    constraint=models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("previous_starts_at", None), ("rescheduled_at", None)),
                            models.Q(
                                ("previous_starts_at__isnull", False),
                                ("rescheduled_at__isnull", False),
                            ),
                            _connector="OR",
                        ),
                        name="performance_rescheduled_from",
                    ),
                ),
            ],
        ),
    ]
