"""Money of the counter goes into its sale, and what the house paid comes back to it first: in the services and in the database itself."""

from uuid import uuid4

import pytest
from django.db import IntegrityError, connection, transaction

from apps.accounts.models import User
from apps.core.database import fetch_pipelined
from apps.payments.counter import (
    Movements,
    PaidBy,
    house_part,
    paid_at_counter,
    paid_by_house,
    returned_to_house,
)
from apps.payments.models import LedgerTransaction, Wallet
from apps.payments.selectors import ledger_totals, paid_by_house_of, unbalanced_transactions
from apps.payments.services import debit_wallet, refund_to_wallet
from tests.factories.accounts import CustomerFactory
from tests.factories.payments import WalletFactory

pytestmark = pytest.mark.django_db


@pytest.fixture
def wallet() -> Wallet:
    WalletFactory(balance=7_000)
    made: Wallet = WalletFactory(balance=30_000)
    connection.check_constraints()
    return made


@pytest.fixture
def clerk() -> User:
    return CustomerFactory(staff=True)


def book(movements: Movements) -> None:
    with transaction.atomic():
        fetch_pipelined(movements.calls)
        connection.check_constraints()


def brought(wallet, clerk, reference, *, paid=20_000, **changes):
    """Bring money in, and pay with it."""
    how = {"amount": 20_000, "paid_by": PaidBy.CASH, "reason": "Press"} | changes
    money = paid_at_counter(Movements(wallet), reference=reference, staff_id=clerk.pk, **how)
    if paid:
        money = money.followed_by(debit_wallet(money.wallet, amount=paid, reference=reference))
    return money


def given_back(wallet, reference, *, refunded, house):
    refund = refund_to_wallet(wallet, amount=refunded, reference=reference, refundable=refunded)
    return returned_to_house(
        Movements(wallet).followed_by(refund), refunded=refunded, house=house, reference=reference
    )


class TestPaidAtCounter:
    @pytest.mark.parametrize(
        ("paid_by", "type"),
        [(PaidBy.CASH, "TILL_CASH"), (PaidBy.CARD, "TILL_CARD"), (PaidBy.HOUSE, "COMP")],
    )
    def test_is_booked_with_its_sale(self, wallet, clerk, paid_by, type):
        reference = uuid4()

        book(brought(wallet, clerk, reference, paid_by=paid_by))

        booked = LedgerTransaction.objects.get(type=type)
        assert (booked.amount, booked.reference, booked.adjusted_by) == (20_000, reference, clerk)
        assert Wallet.objects.get(pk=wallet.pk).balance == 30_000
        assert unbalanced_transactions() == []
        assert ledger_totals().adds_up

    def test_from_the_wallet_brings_nothing(self, wallet, clerk):
        money = brought(wallet, clerk, uuid4(), paid_by=PaidBy.WALLET)

        assert len(money.calls) == 1
        assert money.wallet.balance == 10_000

    @pytest.mark.parametrize("paid", [0, 19_999])
    def test_is_refused_by_the_database_unless_the_sale_takes_it(self, wallet, clerk, paid):
        with pytest.raises(IntegrityError, match="brings money that its sale did not take"):
            book(brought(wallet, clerk, uuid4(), paid=paid))

        assert Wallet.objects.get(pk=wallet.pk).balance == 30_000

    def test_of_the_house_needs_a_reason(self, wallet, clerk):
        with pytest.raises(ValueError, match="needs a reason"):
            brought(wallet, clerk, uuid4(), paid_by=PaidBy.HOUSE, reason="")


class TestReturnedToHouse:
    @pytest.fixture
    def given(self, wallet, clerk):
        """A sale of 50,000 won, of which the house pays 20,000."""
        reference = uuid4()
        book(brought(wallet, clerk, reference, paid_by=PaidBy.HOUSE, paid=50_000))
        return reference

    @pytest.mark.parametrize(
        ("refunded", "house", "balance"), [(15_000, 5_000, 0), (20_000, 0, 0), (50_000, 0, 30_000)]
    )
    def test_comes_before_the_customer_gets_anything(self, wallet, given, refunded, house, balance):
        now = Wallet.objects.get(pk=wallet.pk)
        [rows] = fetch_pipelined([paid_by_house(given)])

        book(given_back(now, given, refunded=refunded, house=house_part(rows)))

        assert paid_by_house_of(given) == house
        assert Wallet.objects.get(pk=wallet.pk).balance == balance
        assert ledger_totals().adds_up

    @pytest.mark.parametrize("house", [0, 19_999])
    def test_is_demanded_by_the_database(self, wallet, given, house):
        now = Wallet.objects.get(pk=wallet.pk)

        with pytest.raises(IntegrityError, match="does not come back to it"):
            book(given_back(now, given, refunded=50_000, house=house))

        assert Wallet.objects.get(pk=wallet.pk).balance == 0

    def test_is_no_more_than_it_paid(self, wallet, clerk):
        reference = uuid4()
        book(brought(wallet, clerk, reference))
        now = Wallet.objects.get(pk=wallet.pk)

        with pytest.raises(IntegrityError, match="does not come back to it"):
            book(given_back(now, reference, refunded=20_000, house=1))

        assert Wallet.objects.get(pk=wallet.pk).balance == 30_000
