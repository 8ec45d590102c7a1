from django.contrib.postgres.indexes import GinIndex
from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models

from apps.shared.search import SearchFold, SearchGrams
from apps.shared.stored_texts import compose_rows, run_in_pieces

# A map of a hall is kept by its version. Where both forms name a section, they stay two.
COMPOSE_SEATS = """
    WITH composed AS (
        UPDATE concerts_seat AS seat SET section = normalize(section, NFC)
        WHERE id > %(after)s AND id <= %(until)s AND section IS NOT NFC NORMALIZED AND NOT EXISTS (
            SELECT FROM concerts_seat AS other
            WHERE other.performance_id = seat.performance_id AND other.section = normalize(seat.section, NFC)
                AND other.row = seat.row AND other.number = seat.number
        )
        RETURNING performance_id
    )
    UPDATE concerts_performance SET seat_map_version = seat_map_version + 1
    WHERE id IN (SELECT performance_id FROM composed)
"""


def compose_texts(apps, schema_editor):
    compose_rows("concerts_concert", "title", "artist", "venue", "description")
    run_in_pieces("concerts_seat", COMPOSE_SEATS)


class Migration(migrations.Migration):
    atomic = False

    dependencies = [
        ("concerts", "0007_rules_of_holding"),
        ("shared", "0007_search_functions"),
    ]

    operations = [
        migrations.RunPython(compose_texts, migrations.RunPython.noop),
        AddIndexConcurrently(
            model_name="concert",
            index=GinIndex(
                SearchGrams(models.F("title"), models.F("artist"), models.F("venue")),
                name="concert_search",
            ),
        ),
        AddIndexConcurrently(
            model_name="seat",
            index=models.Index(
                SearchFold(models.F("row")),
                models.F("number"),
                SearchFold(models.F("section")),
                name="seat_as_printed",
            ),
        ),
    ]
