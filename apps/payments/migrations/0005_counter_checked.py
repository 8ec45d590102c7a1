"""Check old rows against the constraints of the migration before, and build its index, beside readers and writers."""

from django.contrib.postgres.operations import AddIndexConcurrently, ValidateConstraint
from django.db import migrations, models


class Migration(migrations.Migration):
    atomic = False

    dependencies = [
        ("payments", "0004_counter"),
    ]

    operations = [
        AddIndexConcurrently(
            model_name="ledgertransaction",
            index=models.Index(
                condition=models.Q(("type__in", ["TILL_CASH", "TILL_CARD", "COMP", "COMP_BACK"])),
                fields=["reference"],
                name="ledger_of_counter",
            ),
        ),
        ValidateConstraint(model_name="ledgerentry", name="ledger_entry_customer_fits_account"),
        ValidateConstraint(model_name="ledgertransaction", name="ledger_amount_fits_type"),
        ValidateConstraint(
            model_name="ledgertransaction", name="ledger_balance_after_within_limit"
        ),
        ValidateConstraint(model_name="ledgertransaction", name="ledger_reference_fits_type"),
        ValidateConstraint(model_name="ledgertransaction", name="ledger_staff_explained"),
    ]
