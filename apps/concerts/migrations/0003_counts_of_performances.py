import django.contrib.postgres.indexes
from django.db import migrations, models

FILL = """
UPDATE concerts_performance performance
SET seats_total = counted.total, seats_unblocked = counted.unblocked, seats_sold = counted.sold
FROM (
    SELECT performance.id, coalesce(seats.total, 0) AS total, coalesce(seats.unblocked, 0) AS unblocked,
        coalesce(sales.sold, 0) AS sold
    FROM concerts_performance performance
    LEFT JOIN (
        SELECT performance_id, count(*) AS total, count(*) FILTER (WHERE NOT is_blocked) AS unblocked
        FROM concerts_seat
        GROUP BY performance_id
    ) seats ON seats.performance_id = performance.id
    LEFT JOIN (
        SELECT performance_id, sum(seats) AS sold FROM concerts_rankingentry GROUP BY performance_id
    ) sales ON sales.performance_id = performance.id
) counted
WHERE counted.id = performance.id
"""


class Migration(migrations.Migration):
    dependencies = [
        ("concerts", "0002_seats_of_ranking_entries"),
    ]

    operations = [
        # A large table takes longer than any request may.
        migrations.RunSQL("SET LOCAL statement_timeout = 0", migrations.RunSQL.noop),
        migrations.AddField(
            model_name="performance",
            name="seats_total",
            field=models.PositiveIntegerField(
                db_default=0, default=0, editable=False, verbose_name="seats"
            ),
        ),
        migrations.AddField(
            model_name="performance",
            name="seats_unblocked",
            field=models.PositiveIntegerField(
                db_default=0, default=0, editable=False, verbose_name="seats that are not blocked"
            ),
        ),
        migrations.AddField(
            model_name="performance",
            name="seats_sold",
            field=models.IntegerField(
                db_default=0,
                default=0,
                editable=False,
                help_text="As far as the ranking has counted sales and cancellations.",
                verbose_name="seats sold",
            ),
        ),
        migrations.RunSQL(FILL, migrations.RunSQL.noop),
        migrations.RemoveIndex(model_name="rankingentry", name="ranking_entry_performance"),
        migrations.AddIndex(
            model_name="rankingentry",
            index=models.Index(
                fields=["performance", "occurred_at"],
                include=("seats",),
                name="ranking_entry_performance",
            ),
        ),
        migrations.AddIndex(
            model_name="rankingentry",
            index=django.contrib.postgres.indexes.BrinIndex(
                autosummarize=True, fields=["recorded_at"], name="ranking_entry_recorded"
            ),
        ),
    ]
