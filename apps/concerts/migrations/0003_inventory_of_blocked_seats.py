"""Make the categories that there always are, and allocate the seats that were blocked before there were any.

Beside those who sell: a batch is one statement, which locks no seat against them, and what is done is not done again.
"""

from typing import Any

from django.contrib.postgres.operations import ValidateConstraint
from django.db import migrations

BATCH = 20_000  # seats that one statement reads

# Code, name, letter, colour, and if the box office may sell its seats.
CATEGORIES = [
    ("HOUSE", "House", "H", "#1f6feb", True),
    ("ARTIST", "Artist", "A", "#8250df", True),
    ("PROMOTER", "Promoter", "P", "#bf3989", True),
    ("SPONSOR", "Sponsor", "S", "#9a6700", True),
    ("TECHNICAL", "Technical", "T", "#57606a", False),
    ("ACCESSIBLE", "Accessible", "W", "#0a7f6f", True),
    ("KILLED", "Killed", "X", "#5d4037", False),
]
SELLERS = ["Box office", "Administrator"]

# Nobody could sell a blocked seat, and nobody may sell one of KILLED. The trigger finds it blocked and counted already.
_ALLOCATE = """
    WITH read AS (
        SELECT id, performance_id, is_blocked FROM concerts_seat WHERE id > %(after)s ORDER BY id LIMIT %(batch)s
    ), moved AS (
        INSERT INTO concerts_seatallocation
            (seat_id, performance_id, category_id, reason, allocated_at, returns_on_refund)
        SELECT read.id, read.performance_id, category.id, 'Blocked before', now(), true
        FROM read, concerts_inventorycategory category
        WHERE read.is_blocked AND category.code = 'KILLED'
        ON CONFLICT (seat_id) DO NOTHING
    )
    SELECT max(id) FROM read
"""


def make_categories(apps: Any, editor: Any) -> None:
    alias = editor.connection.alias
    groups = [
        apps.get_model("auth", "Group").objects.using(alias).get_or_create(name=name)[0]
        for name in SELLERS
    ]
    categories = apps.get_model("concerts", "InventoryCategory").objects.using(alias)
    for code, name, letter, colour, is_sold in CATEGORIES:
        look = {"name": name, "letter": letter, "colour": colour}
        category, _is_new = categories.get_or_create(code=code, defaults=look)
        category.sellers.set(groups if is_sold else [])


def allocate_blocked_seats(apps: Any, editor: Any) -> None:
    after = 0
    while after is not None:
        with editor.connection.cursor() as cursor:
            cursor.execute(_ALLOCATE, {"after": after, "batch": BATCH})
            [after] = cursor.fetchone()


class Migration(migrations.Migration):
    atomic = False

    dependencies = [("concerts", "0002_inventory")]

    operations = [
        migrations.RunPython(make_categories, migrations.RunPython.noop),
        migrations.RunPython(allocate_blocked_seats, migrations.RunPython.noop),
        ValidateConstraint(model_name="seat", name="seat_kind_is_known"),
    ]
