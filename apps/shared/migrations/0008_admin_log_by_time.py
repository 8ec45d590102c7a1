from django.db import migrations


class Migration(migrations.Migration):
    atomic = False

    dependencies = [
        ("admin", "0003_logentry_add_action_flag_choices"),
        ("shared", "0007_search_functions"),
    ]

    operations = [
        # Of an app of Django's, so its state has no place for it. The purge finds old entries by it.
        migrations.RunSQL(
            "CREATE INDEX CONCURRENTLY IF NOT EXISTS admin_log_by_time ON django_admin_log (action_time)",
            "DROP INDEX CONCURRENTLY IF EXISTS admin_log_by_time",
        ),
    ]
