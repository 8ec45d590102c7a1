"""Let the ledger know the counter. The locks are short: old rows are checked, and the index is built, by the next migration."""

import pgtrigger.compiler
import pgtrigger.migrations
from django.conf import settings
from django.contrib.postgres.operations import AddConstraintNotValid
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("payments", "0003_export_permission"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        pgtrigger.migrations.RemoveTrigger(
            model_name="ledgerentry",
            name="balanced",
        ),
        migrations.RemoveConstraint(
            model_name="ledgerentry",
            name="ledger_entry_customer_fits_account",
        ),
        migrations.RemoveConstraint(
            model_name="ledgertransaction",
            name="ledger_amount_fits_type",
        ),
        migrations.RemoveConstraint(
            model_name="ledgertransaction",
            name="ledger_balance_after_within_limit",
        ),
        migrations.RemoveConstraint(
            model_name="ledgertransaction",
            name="ledger_reference_fits_type",
        ),
        migrations.RemoveConstraint(
            model_name="ledgertransaction",
            name="ledger_staff_explained",
        ),
        migrations.AlterField(
            model_name="ledgerentry",
            name="account",
            field=models.CharField(
                choices=[
                    ("CUSTOMER_LIABILITY", "owed to customers"),
                    ("CASH", "cash from top-ups"),
                    ("SALES_REVENUE", "sales revenue"),
                    ("REFUNDS", "refunds"),
                    ("ADJUSTMENTS", "adjustments"),
                    ("TILL_CASH", "cash at the counter"),
                    ("TILL_CARD", "card at the counter"),
                    ("COMPS", "complimentary tickets"),
                ],
                max_length=20,
                verbose_name="account",
            ),
        ),
        migrations.AlterField(
            model_name="ledgertransaction",
            name="type",
            field=models.CharField(
                choices=[
                    ("CHARGE", "top-up"),
                    ("PAYMENT", "payment"),
                    ("REFUND", "refund"),
                    ("ADJUSTMENT", "adjustment"),
                    ("TILL_CASH", "cash at the counter"),
                    ("TILL_CARD", "card at the counter"),
                    ("COMP", "paid by the house"),
                    ("COMP_BACK", "returned to the house"),
                ],
                max_length=10,
                verbose_name="type",
            ),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="ledgerentry",
            trigger=pgtrigger.compiler.Trigger(
                name="balanced",
                sql=pgtrigger.compiler.UpsertTriggerSql(
                    constraint="CONSTRAINT",
                    func="\n    IF EXISTS (\n        SELECT 1\n        FROM payments_ledgerentry entry\n        JOIN payments_ledgertransaction booked ON booked.id = entry.transaction_id\n        WHERE entry.transaction_id = NEW.transaction_id\n        GROUP BY booked.id\n        HAVING SUM(entry.amount) <> 0\n            OR SUM(entry.amount) FILTER (WHERE entry.account = 'CUSTOMER_LIABILITY')\n                IS DISTINCT FROM booked.amount\n            OR BOOL_OR(entry.customer_id <> booked.customer_id)\n            OR ARRAY_AGG(entry.account::TEXT ORDER BY entry.account = 'CUSTOMER_LIABILITY') <> ARRAY[\n                CASE booked.type\n                    WHEN 'CHARGE' THEN 'CASH' WHEN 'PAYMENT' THEN 'SALES_REVENUE'\n                    WHEN 'REFUND' THEN 'REFUNDS'\n                    WHEN 'TILL_CASH' THEN 'TILL_CASH' WHEN 'TILL_CARD' THEN 'TILL_CARD'\n                    WHEN 'COMP' THEN 'COMPS' WHEN 'COMP_BACK' THEN 'COMPS' ELSE 'ADJUSTMENTS'\n                END,\n                'CUSTOMER_LIABILITY'\n            ]\n    ) THEN\n        RAISE EXCEPTION 'The entries of transaction % do not balance.', NEW.transaction_id\n            USING ERRCODE = 'integrity_constraint_violation';\n    END IF;\n    RETURN NULL;\n",
                    hash="652b79307f77d0525abbcb1db16b006f09e42bf6",
                    operation="INSERT",
                    pgid="pgtrigger_balanced_8f7fd",
                    table="payments_ledgerentry",
                    timing="DEFERRABLE INITIALLY DEFERRED",
                    when="AFTER",
                ),
            ),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="ledgertransaction",
            trigger=pgtrigger.compiler.Trigger(
                name="counter_money_is_spent",
                sql=pgtrigger.compiler.UpsertTriggerSql(
                    condition="WHEN (NEW.type IN ('REFUND', 'TILL_CASH', 'TILL_CARD', 'COMP', 'COMP_BACK'))",
                    constraint="CONSTRAINT",
                    func="\n    IF NEW.type IN ('TILL_CASH', 'TILL_CARD', 'COMP') AND (\n        SELECT SUM(amount) FROM payments_ledgertransaction\n        WHERE type IN ('TILL_CASH', 'TILL_CARD', 'COMP') AND reference = NEW.reference\n    ) > COALESCE((\n        SELECT SUM(-amount) FROM payments_ledgertransaction\n        WHERE type = 'PAYMENT' AND reference = NEW.reference AND customer_id = NEW.customer_id\n    ), 0) THEN\n        RAISE EXCEPTION 'Transaction % brings money that its sale did not take.', NEW.id\n            USING ERRCODE = 'integrity_constraint_violation';\n    END IF;\n    IF (\n        SELECT COALESCE(-SUM(amount) FILTER (WHERE type = 'COMP_BACK'), 0) IS DISTINCT FROM LEAST(\n            COALESCE(SUM(amount) FILTER (WHERE type = 'COMP'), 0),\n            COALESCE((\n                SELECT SUM(amount) FROM payments_ledgertransaction\n                WHERE type = 'REFUND' AND reference = NEW.reference\n            ), 0)\n        )\n        FROM payments_ledgertransaction\n        WHERE type IN ('COMP', 'COMP_BACK') AND reference = NEW.reference\n    ) THEN\n        RAISE EXCEPTION 'What the house paid for % does not come back to it.', NEW.reference\n            USING ERRCODE = 'integrity_constraint_violation';\n    END IF;\n    RETURN NULL;\n",
                    hash="d8bb92d72558bf6c685c353f537a7bfe7cc09aae",
                    operation="INSERT",
                    pgid="pgtrigger_counter_money_is_spent_c47f1",
                    table="payments_ledgertransaction",
                    timing="DEFERRABLE INITIALLY DEFERRED",
                    when="AFTER",
                ),
            ),
        ),
        AddConstraintNotValid(
            model_name="ledgerentry",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("account", "CUSTOMER_LIABILITY"), ("customer__isnull", False)),
                    models.Q(
                        (
                            "account__in",
                            [
                                "CASH",
                                "SALES_REVENUE",
                                "REFUNDS",
                                "ADJUSTMENTS",
                                "TILL_CASH",
                                "TILL_CARD",
                                "COMPS",
                            ],
                        ),
                        ("customer__isnull", True),
                    ),
                    _connector="OR",
                ),
                name="ledger_entry_customer_fits_account",
            ),
        ),
        AddConstraintNotValid(
            model_name="ledgertransaction",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("amount__gte", 1), ("amount__lte", 1000000), ("type", "CHARGE")),
                    models.Q(("amount__lt", 0), ("type", "PAYMENT")),
                    models.Q(("amount__gt", 0), ("type", "REFUND")),
                    models.Q(("type", "ADJUSTMENT"), models.Q(("amount", 0), _negated=True)),
                    models.Q(("amount__gt", 0), ("type__in", ["TILL_CASH", "TILL_CARD", "COMP"])),
                    models.Q(("amount__lt", 0), ("type", "COMP_BACK")),
                    _connector="OR",
                ),
                name="ledger_amount_fits_type",
            ),
        ),
        AddConstraintNotValid(
            model_name="ledgertransaction",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("balance_after__gte", 0),
                    models.Q(
                        ("balance_after__lte", 10000000),
                        ("type__in", ["REFUND", "TILL_CASH", "TILL_CARD", "COMP"]),
                        ("amount__lt", 0),
                        _connector="OR",
                    ),
                ),
                name="ledger_balance_after_within_limit",
            ),
        ),
        AddConstraintNotValid(
            model_name="ledgertransaction",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("reference__isnull", True), ("type__in", ["CHARGE", "ADJUSTMENT"])),
                    models.Q(
                        models.Q(("type__in", ["CHARGE", "ADJUSTMENT"]), _negated=True),
                        ("reference__isnull", False),
                    ),
                    _connector="OR",
                ),
                name="ledger_reference_fits_type",
            ),
        ),
        AddConstraintNotValid(
            model_name="ledgertransaction",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(
                        ("adjusted_by__isnull", False),
                        ("type__in", ["ADJUSTMENT", "COMP", "REFUND"]),
                        models.Q(("reason", ""), _negated=True),
                    ),
                    models.Q(
                        ("adjusted_by__isnull", False),
                        ("reason", ""),
                        ("type__in", ["TILL_CASH", "TILL_CARD"]),
                    ),
                    models.Q(
                        models.Q(
                            ("type__in", ["ADJUSTMENT", "COMP", "TILL_CASH", "TILL_CARD"]),
                            _negated=True,
                        ),
                        ("adjusted_by__isnull", True),
                        ("reason", ""),
                    ),
                    _connector="OR",
                ),
                name="ledger_staff_explained",
            ),
        ),
    ]
