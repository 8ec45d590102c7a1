import datetime

from django.db import migrations, models

# A date out of bounds has been a mistake; as it cannot be read, nobody could mend it where it was made.
CLAMP = """
    UPDATE {table} SET {column} = greatest('2000-01-01Z', least('2100-01-01Z', {column}))
    WHERE {column} NOT BETWEEN '2000-01-01Z' AND '2100-01-01Z'
"""


class Migration(migrations.Migration):
    dependencies = [
        ("concerts", "0004_performances_by_date"),
    ]

    operations = [
        migrations.RunSQL(
            [
                CLAMP.format(table="concerts_concert", column="sales_open_at"),
                CLAMP.format(table="concerts_concert", column="sales_close_at"),
                CLAMP.format(table="concerts_performance", column="starts_at"),
            ],
            migrations.RunSQL.noop,
        ),
        migrations.AddConstraint(
            model_name="concert",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    (
                        "sales_open_at__range",
                        (
                            datetime.datetime(2000, 1, 1, 0, 0, tzinfo=datetime.UTC),
                            datetime.datetime(2100, 1, 1, 0, 0, tzinfo=datetime.UTC),
                        ),
                    ),
                    models.Q(
                        ("sales_close_at", None),
                        (
                            "sales_close_at__range",
                            (
                                datetime.datetime(2000, 1, 1, 0, 0, tzinfo=datetime.UTC),
                                datetime.datetime(2100, 1, 1, 0, 0, tzinfo=datetime.UTC),
                            ),
                        ),
                        _connector="OR",
                    ),
                ),
                name="concert_sales_dates",
                violation_error_message="The year must be 2000 to 2099.",
            ),
        ),
        migrations.AddConstraint(
            model_name="performance",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    (
                        "starts_at__range",
                        (
                            datetime.datetime(2000, 1, 1, 0, 0, tzinfo=datetime.UTC),
                            datetime.datetime(2100, 1, 1, 0, 0, tzinfo=datetime.UTC),
                        ),
                    )
                ),
                name="performance_date",
                violation_error_message="The year must be 2000 to 2099.",
            ),
        ),
    ]
