"""The database refuses wrong money from every writer: all of this goes past the services."""

from typing import Any
from uuid import uuid4

import pytest
from django.db import IntegrityError, connection, transaction
from django.db.models import ProtectedError
from django.test import override_settings

from apps.accounts.models import User
from apps.payments.checks import check_limits
from apps.payments.models import LedgerEntry, LedgerTransaction, Wallet
from tests.factories.accounts import CustomerFactory
from tests.factories.payments import WalletFactory

pytestmark = pytest.mark.django_db

LEDGER_TABLES = ["payments_ledgertransaction", "payments_ledgerentry"]


def execute(sql: str, *parameters: Any) -> None:
    """Run a statement in a transaction of its own, with what is checked at its commit."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(sql, parameters)
        connection.check_constraints()


@pytest.fixture
def wallet() -> Wallet:
    wallet: Wallet = WalletFactory(balance=50_000)
    connection.check_constraints()
    return wallet


class TestLedgerIsAppendOnly:
    @pytest.mark.parametrize("table", LEDGER_TABLES)
    @pytest.mark.parametrize(
        "statement",
        [
            "UPDATE {} SET amount = amount + 1",
            "UPDATE {} SET amount = amount",
            "UPDATE {} SET amount = 1 WHERE FALSE",
            "DELETE FROM {}",
            "DELETE FROM {} WHERE FALSE",
            "TRUNCATE {} CASCADE",
        ],
    )
    def test_refuses_to_change_what_is_written(self, wallet, table, statement):
        with pytest.raises(IntegrityError, match="is append-only"):
            execute(statement.format(table))

        assert LedgerTransaction.objects.get().amount == 50_000
        assert sorted(LedgerEntry.objects.values_list("amount", flat=True)) == [-50_000, 50_000]

    def test_refuses_the_orm_as_well(self, wallet):
        booked = LedgerTransaction.objects.get()

        for change in (booked.save, LedgerEntry.objects.all().delete):
            with pytest.raises(IntegrityError, match="is append-only"), transaction.atomic():
                change()

    def test_keeps_wallets(self, wallet):
        with pytest.raises(IntegrityError, match="keeps its rows"):
            execute("DELETE FROM payments_wallet")

        assert Wallet.objects.filter(pk=wallet.pk).exists()

    def test_keeps_customers_who_moved_money(self, wallet):
        with pytest.raises(ProtectedError):
            wallet.customer.delete()


class TestWallet:
    def test_is_never_negative(self, wallet):
        with pytest.raises(IntegrityError, match="wallet_balance_never_negative"):
            execute("UPDATE payments_wallet SET balance = -1")

    def test_starts_empty(self):
        customer = CustomerFactory()

        with pytest.raises(IntegrityError, match="wallet_starts_empty"):
            execute("INSERT INTO payments_wallet VALUES (%s, 1, 0)", customer.pk)

    @pytest.mark.parametrize(
        "statement",
        [
            "UPDATE payments_wallet SET balance = balance + 1",
            "UPDATE payments_wallet SET version = 2",
            "UPDATE payments_wallet SET balance = 0, version = 0",
        ],
    )
    def test_holds_what_the_ledger_says(self, wallet, statement):
        with pytest.raises(IntegrityError, match="does not explain the balance"):
            execute(statement)

        assert Wallet.objects.get(pk=wallet.pk).balance == 50_000


class Draft:
    """A top-up of 100 won for `wallet`, written row by row so that a test can spoil any of it."""

    def __init__(self, wallet: Wallet) -> None:
        self.wallet = wallet
        self.booked: dict[str, Any] = {
            "customer_id": wallet.pk,
            "sequence": wallet.version + 1,
            "type": "CHARGE",
            "amount": 100,
            "balance_after": wallet.balance + 100,
        }
        self.entries: list[dict[str, Any]] = [
            {"account": "CUSTOMER_LIABILITY", "customer_id": wallet.pk, "amount": 100},
            {"account": "CASH", "amount": -100},
        ]
        self.reaches_wallet = True

    def move(self, amount: int) -> None:
        self.entries[0]["amount"], self.entries[1]["amount"] = amount, -amount

    def move_of(self, customer: User) -> None:
        self.entries[0]["customer_id"] = customer.pk

    def commit(self) -> None:
        with transaction.atomic():
            if self.reaches_wallet:
                Wallet.objects.filter(pk=self.wallet.pk).update(
                    balance=self.booked["balance_after"], version=self.booked["sequence"]
                )
            booked = LedgerTransaction.objects.create(**self.booked)
            for entry in self.entries:
                LedgerEntry.objects.create(transaction=booked, **entry)
            connection.check_constraints()


@pytest.fixture
def draft(wallet) -> Draft:
    return Draft(wallet)


class TestLedgerTransaction:
    def test_is_taken_when_nothing_is_spoilt(self, draft):
        draft.commit()

        assert Wallet.objects.get().balance == 50_100

    @pytest.mark.parametrize(
        ("spoil", "complaint"),
        [
            (lambda draft: draft.entries.clear(), "has no entries"),
            (lambda draft: draft.entries[1].update(amount=-99), "do not balance"),
            (lambda draft: draft.entries[1].update(amount=-101), "do not balance"),
            (lambda draft: draft.entries[1].update(amount=100), "do not balance"),
            (lambda draft: draft.move(90), "do not balance"),
            (lambda draft: draft.move_of(CustomerFactory()), "do not balance"),
            (
                lambda draft: draft.booked.update(balance_after=50_101),
                "does not follow from the balance before",
            ),
            (
                lambda draft: draft.booked.update(sequence=3),
                "does not follow from the balance before",
            ),
            (
                lambda draft: draft.booked.update(sequence=1),
                "ledger_transaction_sequence_unique",
            ),
            (lambda draft: setattr(draft, "reaches_wallet", False), "did not reach the wallet"),
        ],
        ids=[
            *("no entries", "too little", "too much", "same side", "another amount"),
            *("another customer", "another balance", "a gap", "a number twice", "no wallet"),
        ],
    )
    def test_is_whole_and_continues_the_one_before(self, draft, spoil, complaint):
        spoil(draft)

        with pytest.raises(IntegrityError, match=complaint):
            draft.commit()

    def test_takes_no_entry_later(self, wallet):
        booked = LedgerTransaction.objects.get()

        with pytest.raises(IntegrityError, match="do not balance"):
            execute(
                "INSERT INTO payments_ledgerentry (transaction_id, account, amount) VALUES (%s, 'CASH', 1)",
                booked.pk,
            )

    @pytest.mark.parametrize(
        ("spoilt", "constraint"),
        [
            ({"amount": 0}, "ledger_amount_fits_type"),
            ({"amount": -1}, "ledger_amount_fits_type"),
            ({"amount": 1_000_001}, "ledger_amount_fits_type"),
            ({"type": "PAYMENT", "reference": uuid4()}, "ledger_amount_fits_type"),
            ({"type": "REFUND", "reference": uuid4(), "amount": -1}, "ledger_amount_fits_type"),
            ({"type": "GIFT"}, "ledger_amount_fits_type"),
            ({"balance_after": -1}, "ledger_balance_after_within_limit"),
            ({"balance_after": 10_000_001}, "ledger_balance_after_within_limit"),
            ({"reference": uuid4()}, "ledger_reference_fits_type"),
            ({"type": "PAYMENT", "amount": -1}, "ledger_reference_fits_type"),
            ({"type": "REFUND"}, "ledger_reference_fits_type"),
            ({"type": "ADJUSTMENT"}, "ledger_staff_explained"),
            ({"type": "ADJUSTMENT", "reason": "A mistake"}, "ledger_staff_explained"),
            ({"reason": "A mistake"}, "ledger_staff_explained"),
            ({"sequence": 0}, "ledger_sequence_from_one"),
        ],
    )
    def test_keeps_its_rules(self, draft, spoilt, constraint):
        draft.booked |= spoilt
        draft.reaches_wallet = False

        with pytest.raises(IntegrityError, match=constraint):
            draft.commit()


class TestLedgerEntry:
    @pytest.mark.parametrize(
        ("spoilt", "constraint"),
        [
            ({"amount": 0}, "ledger_entry_moves_something"),
            ({"account": "CUSTOMER_LIABILITY"}, "ledger_entry_customer_fits_account"),
            ({"account": "PETTY_CASH"}, "ledger_entry_customer_fits_account"),
            ({"customer_id": 1}, "ledger_entry_customer_fits_account"),
        ],
    )
    def test_keeps_its_rules(self, draft, spoilt, constraint):
        draft.entries[1] |= spoilt

        with pytest.raises(IntegrityError, match=constraint):
            draft.commit()


class TestLimits:
    @pytest.mark.parametrize(
        ("name", "limit", "errors"),
        [
            ("CHARGE_LIMIT", 0, 1),
            ("CHARGE_LIMIT", 1_000_000, 0),
            ("CHARGE_LIMIT", 1_000_001, 1),
            ("BALANCE_LIMIT", 10_000_000, 0),
            ("BALANCE_LIMIT", 10_000_001, 1),
        ],
    )
    def test_of_an_installation_stay_within_the_constraints(self, name, limit, errors):
        with override_settings(**{name: limit}):
            assert len(check_limits()) == errors
