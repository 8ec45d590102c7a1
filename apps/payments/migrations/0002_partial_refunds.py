"""Let a payment be refunded in parts. Each operation may be tried again, and leaves no moment without a rule that it replaces."""

import django.db.models.deletion
import pgtrigger.compiler
import pgtrigger.migrations
from django.conf import settings
from django.contrib.postgres.operations import (
    AddConstraintNotValid,
    AddIndexConcurrently,
    ValidateConstraint,
)
from django.db import migrations, models


class Migration(migrations.Migration):
    atomic = False

    dependencies = [
        ("payments", "0001_initial"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.AlterModelOptions(
            name="ledgertransaction",
            options={
                "permissions": [("refund", "Can give back money that was paid")],
                "verbose_name": "ledger transaction",
                "verbose_name_plural": "ledger transactions",
            },
        ),
        migrations.AlterField(
            model_name="ledgertransaction",
            name="adjusted_by",
            field=models.ForeignKey(
                blank=True,
                db_index=False,
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="+",
                to=settings.AUTH_USER_MODEL,
                verbose_name="booked by",
            ),
        ),
        AddIndexConcurrently(
            model_name="ledgertransaction",
            index=models.Index(
                condition=models.Q(("type", "REFUND")),
                fields=["reference"],
                name="ledger_refunds_of_reference",
            ),
        ),
        # Adding it replaces the one of before in one transaction.
        migrations.SeparateDatabaseAndState(
            state_operations=[
                pgtrigger.migrations.RemoveTrigger(
                    model_name="ledgertransaction", name="transaction_has_entries"
                )
            ]
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="ledgertransaction",
            trigger=pgtrigger.compiler.Trigger(
                name="transaction_has_entries",
                sql=pgtrigger.compiler.UpsertTriggerSql(
                    constraint="CONSTRAINT",
                    func="\n    IF NOT EXISTS (SELECT 1 FROM payments_ledgerentry WHERE transaction_id = NEW.id) THEN\n        RAISE EXCEPTION 'Transaction % has no entries.', NEW.id\n            USING ERRCODE = 'integrity_constraint_violation';\n    END IF;\n    IF NEW.balance_after - NEW.amount IS DISTINCT FROM (\n        CASE NEW.sequence WHEN 1 THEN 0 ELSE (\n            SELECT balance_after FROM payments_ledgertransaction\n            WHERE customer_id = NEW.customer_id AND sequence = NEW.sequence - 1\n        ) END\n    ) THEN\n        RAISE EXCEPTION 'Transaction % does not follow from the balance before it.', NEW.id\n            USING ERRCODE = 'integrity_constraint_violation';\n    END IF;\n    IF NOT EXISTS (\n        SELECT 1 FROM payments_wallet\n        WHERE customer_id = NEW.customer_id AND version >= NEW.sequence\n    ) THEN\n        RAISE EXCEPTION 'Transaction % did not reach the wallet.', NEW.id\n            USING ERRCODE = 'integrity_constraint_violation';\n    END IF;\n    IF NEW.type = 'REFUND' AND NOT EXISTS (\n        SELECT 1 FROM payments_ledgertransaction\n        WHERE type = 'PAYMENT' AND reference = NEW.reference AND customer_id = NEW.customer_id AND -amount >= (\n            SELECT sum(amount) FROM payments_ledgertransaction\n            WHERE type = 'REFUND' AND reference = NEW.reference\n        )\n    ) THEN\n        RAISE EXCEPTION 'Transaction % refunds what was not paid.', NEW.id\n            USING ERRCODE = 'integrity_constraint_violation';\n    END IF;\n    RETURN NULL;\n",
                    hash="79c473fe5b8ab9e420b769a5a7e12d330e1408d5",
                    operation="INSERT",
                    pgid="pgtrigger_transaction_has_entries_6bb46",
                    table="payments_ledgertransaction",
                    timing="DEFERRABLE INITIALLY DEFERRED",
                    when="AFTER",
                ),
            ),
        ),
        AddConstraintNotValid(
            model_name="ledgertransaction",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(
                        ("adjusted_by__isnull", False),
                        ("type__in", ["ADJUSTMENT", "REFUND"]),
                        models.Q(("reason", ""), _negated=True),
                    ),
                    models.Q(
                        models.Q(("type", "ADJUSTMENT"), _negated=True),
                        ("adjusted_by__isnull", True),
                        ("reason", ""),
                    ),
                    _connector="OR",
                ),
                name="ledger_staff_explained",
            ),
        ),
        ValidateConstraint("ledgertransaction", name="ledger_staff_explained"),
        migrations.SeparateDatabaseAndState(
            state_operations=[
                migrations.RemoveConstraint(
                    model_name="ledgertransaction", name="ledger_adjustment_explained"
                ),
                migrations.RemoveConstraint(
                    model_name="ledgertransaction", name="ledger_one_refund_per_reference"
                ),
            ],
            database_operations=[
                migrations.RunSQL(
                    "ALTER TABLE payments_ledgertransaction"
                    " DROP CONSTRAINT IF EXISTS ledger_adjustment_explained;"
                    "DROP INDEX IF EXISTS ledger_one_refund_per_reference",
                    migrations.RunSQL.noop,
                )
            ],
        ),
    ]
