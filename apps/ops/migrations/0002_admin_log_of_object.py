from django.db import migrations


class Migration(migrations.Migration):
    # The index is built beside writers.
    atomic = False

    dependencies = [
        ("ops", "0001_initial"),
    ]

    operations = [
        # As the first one. The history of an object and its timeline find what was done to it.
        migrations.RunSQL(
            [
                "DROP INDEX CONCURRENTLY IF EXISTS admin_log_of_object",
                "CREATE INDEX CONCURRENTLY admin_log_of_object ON django_admin_log (object_id, content_type_id)",
            ],
            "DROP INDEX CONCURRENTLY IF EXISTS admin_log_of_object",
        ),
    ]
