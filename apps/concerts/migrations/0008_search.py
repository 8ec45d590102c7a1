from django.contrib.postgres.indexes import GinIndex
from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations

from apps.shared.search import SearchGrams


class Migration(migrations.Migration):
    atomic = False

    dependencies = [
        ("concerts", "0005_bounded_dates"),
        ("shared", "0007_search_functions"),
    ]

    operations = [
        AddIndexConcurrently(
            model_name="concert",
            index=GinIndex(SearchGrams("title", "artist", "venue"), name="concert_search"),
        ),
    ]
