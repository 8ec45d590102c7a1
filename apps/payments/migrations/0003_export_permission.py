from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [
        ("payments", "0002_partial_refunds"),
    ]

    operations = [
        migrations.AlterModelOptions(
            name="ledgertransaction",
            options={
                "permissions": [
                    ("refund", "Can give back money that was paid"),
                    ("export_money", "Can export money as files"),
                ],
                "verbose_name": "ledger transaction",
                "verbose_name_plural": "ledger transactions",
            },
        ),
    ]
