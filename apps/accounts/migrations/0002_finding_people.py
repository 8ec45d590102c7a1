from django.contrib.postgres.indexes import GinIndex
from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models

from apps.shared.search import SearchGrams
from apps.shared.stored_texts import compose_rows


def compose_names(apps, schema_editor):
    compose_rows("accounts_user", "name")


class Migration(migrations.Migration):
    atomic = False

    dependencies = [
        ("accounts", "0001_initial"),
        ("shared", "0007_search_functions"),
    ]

    operations = [
        migrations.RunPython(compose_names, migrations.RunPython.noop),
        AddIndexConcurrently(
            model_name="user",
            index=models.Index(
                fields=["email"], name="user_email_beginning", opclasses=["varchar_pattern_ops"]
            ),
        ),
        AddIndexConcurrently(
            model_name="user",
            index=GinIndex(SearchGrams(models.F("name")), name="user_name_search"),
        ),
        AddIndexConcurrently(
            model_name="user",
            index=models.Index(fields=["joined_at"], name="user_by_time"),
        ),
    ]
