from django.db import migrations, models

import apps.reservations.order_numbers
from apps.reservations.order_numbers import NUMBERS, SEQUENCE

TABLE = "reservations_reservation"
UNIQUE = "reservation_order_number_once"
BATCH = 5_000


def number_orders(apps, editor):
    """Number the orders from before, batch by batch; whatever is made meanwhile numbers itself."""
    last = "00000000-0000-0000-0000-000000000000"
    while True:
        with editor.connection.cursor() as cursor:
            cursor.execute(
                "SELECT id FROM reservations_reservation"
                " WHERE number IS NULL AND id > %s ORDER BY id LIMIT %s",
                [last, BATCH],
            )
            ids = [pk for (pk,) in cursor.fetchall()]
            if not ids:
                return
            cursor.execute(
                "UPDATE reservations_reservation SET number = nextval('reservations_order_number')"
                " WHERE id = ANY(%s) AND number IS NULL",
                [ids],
            )
            last = ids[-1]


def make_unique(apps, editor):
    """Build the index beside writers, then make a constraint of it; what an attempt has left is taken up."""
    with editor.connection.cursor() as cursor:
        cursor.execute("SELECT FROM pg_constraint WHERE conname = %s", [UNIQUE])
        if cursor.fetchone():
            return
        cursor.execute(
            "SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass(%s)", [UNIQUE]
        )
        found = cursor.fetchone()
        if found == (False,):
            cursor.execute(f"DROP INDEX CONCURRENTLY {UNIQUE}")
        if found != (True,):
            cursor.execute(f"CREATE UNIQUE INDEX CONCURRENTLY {UNIQUE} ON {TABLE} (number)")
        cursor.execute(f"ALTER TABLE {TABLE} ADD CONSTRAINT {UNIQUE} UNIQUE USING INDEX {UNIQUE}")


class Migration(migrations.Migration):
    # Orders are numbered and the index is built beside sales.
    atomic = False

    dependencies = [
        ("reservations", "0004_cancelled_tickets"),
    ]

    operations = [
        migrations.RunSQL(
            f"CREATE SEQUENCE IF NOT EXISTS {SEQUENCE} AS bigint MAXVALUE {NUMBERS - 1}",
            f"DROP SEQUENCE {SEQUENCE}",
        ),
        # Without its default at first: a table with a default that differs from row to row would be written anew under a lock.
        migrations.AddField(
            model_name="reservation",
            name="number",
            field=models.BigIntegerField(null=True, editable=False, verbose_name="order number"),
        ),
        migrations.RunSQL(
            f"ALTER TABLE {TABLE} ALTER COLUMN number SET DEFAULT nextval('{SEQUENCE}')",
            migrations.RunSQL.noop,
        ),
        migrations.RunPython(number_orders, migrations.RunPython.noop),
        migrations.RunPython(make_unique, migrations.RunPython.noop),
        # The check is proved without a lock, and spares NOT NULL its look at every row.
        migrations.RunSQL(
            [
                f"ALTER TABLE {TABLE} DROP CONSTRAINT IF EXISTS reservation_is_numbered",
                f"ALTER TABLE {TABLE} ADD CONSTRAINT reservation_is_numbered CHECK (number IS NOT NULL) NOT VALID",
                f"ALTER TABLE {TABLE} VALIDATE CONSTRAINT reservation_is_numbered",
                f"ALTER TABLE {TABLE} ALTER COLUMN number SET NOT NULL",
                f"ALTER TABLE {TABLE} DROP CONSTRAINT reservation_is_numbered",
            ],
            migrations.RunSQL.noop,
        ),
        migrations.SeparateDatabaseAndState(
            state_operations=[
                migrations.AlterField(
                    model_name="reservation",
                    name="number",
                    field=models.BigIntegerField(
                        db_default=apps.reservations.order_numbers.NextOrderNumber(),
                        editable=False,
                        verbose_name="order number",
                    ),
                ),
                migrations.AddConstraint(
                    model_name="reservation",
                    constraint=models.UniqueConstraint(fields=["number"], name=UNIQUE),
                ),
            ]
        ),
    ]
