from collections.abc import Callable
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.db import IntegrityError, connection, transaction
from django.db.models import Sum

from apps.payments.errors import BalanceLimitExceeded, InsufficientBalance, RefundExceedsPayment
from apps.payments.models import LedgerEntry, LedgerTransaction, Wallet
from apps.payments.selectors import transactions_of_customer, wallet_balance
from apps.payments.services import (
    adjust_wallet,
    charge_new_wallets,
    charge_wallet,
    lock_or_open_wallet,
    refund_to_wallet,
    top_up_wallet,
)
from tests.factories.accounts import CustomerFactory
from tests.factories.payments import WalletFactory, pay, refund

pytestmark = pytest.mark.django_db

Entries = list[tuple[str, int | None, int]]


def in_transaction(step: Callable[..., Any], **arguments: Any) -> Any:
    """Run a step as a use case would, up to and including what is checked at the commit."""
    with transaction.atomic():
        result = step(**arguments)
        connection.check_constraints()
    return result


def entries_of(booked: LedgerTransaction) -> Entries:
    return list(booked.entries.order_by("pk").values_list("account", "customer_id", "amount"))


def assert_untouched(wallet: Wallet) -> None:
    """Nothing was booked since `wallet` was read, and the ledger still explains it."""
    customer_id = wallet.pk
    now = Wallet.objects.get(pk=customer_id)
    assert (now.balance, now.version) == (wallet.balance, wallet.version)
    assert transactions_of_customer(customer_id=customer_id).count() == wallet.version
    entries = LedgerEntry.objects.filter(customer_id=customer_id)
    assert entries.aggregate(total=Sum("amount", default=0))["total"] == wallet.balance


class TestChargeWallet:
    def test_adds_the_amount_and_books_it_twice(self):
        wallet = WalletFactory(balance=1_000)

        booked = in_transaction(charge_wallet, customer_id=wallet.pk, amount=500)

        assert wallet_balance(customer_id=wallet.pk) == 1_500
        assert (booked.type, booked.amount, booked.balance_after) == ("CHARGE", 500, 1_500)
        assert (booked.sequence, booked.reference) == (2, None)
        assert entries_of(booked) == [
            ("CUSTOMER_LIABILITY", wallet.pk, 500),
            ("CASH", None, -500),
        ]

    def test_opens_the_wallet_of_a_customer_who_has_none(self):
        customer = CustomerFactory()

        booked = in_transaction(charge_wallet, customer_id=customer.pk, amount=500)

        assert booked.sequence == 1
        assert wallet_balance(customer_id=customer.pk) == 500

    @pytest.mark.parametrize("amount", [1, 1_000_000])
    def test_takes_amounts_up_to_the_limit(self, amount):
        customer = CustomerFactory()

        in_transaction(charge_wallet, customer_id=customer.pk, amount=amount)

        assert wallet_balance(customer_id=customer.pk) == amount

    @pytest.mark.parametrize("amount", [-1, 0, 1_000_001])
    def test_refuses_amounts_beyond_it(self, amount):
        wallet = WalletFactory(balance=1_000)

        with pytest.raises(ValueError, match="out of bounds"):
            in_transaction(charge_wallet, customer_id=wallet.pk, amount=amount)

        assert_untouched(wallet)

    def test_fills_the_wallet_to_its_limit(self):
        wallet = WalletFactory(balance=9_400_000)

        in_transaction(charge_wallet, customer_id=wallet.pk, amount=600_000)

        assert wallet_balance(customer_id=wallet.pk) == 10_000_000

    def test_refuses_one_won_above_it(self):
        wallet = WalletFactory(balance=9_400_000)

        with pytest.raises(BalanceLimitExceeded) as refusal:
            in_transaction(charge_wallet, customer_id=wallet.pk, amount=600_001)

        assert refusal.value.details == {"balance": 9_400_000, "limit": 10_000_000}
        assert_untouched(wallet)

    def test_opens_no_wallet_for_a_top_up_that_is_refused(self, settings):
        settings.BALANCE_LIMIT = 2_000
        customer = CustomerFactory()

        with pytest.raises(BalanceLimitExceeded):
            charge_wallet(customer_id=customer.pk, amount=2_001)

        assert not Wallet.objects.exists()

    def test_keeps_to_a_lower_limit_of_the_installation(self, settings):
        settings.BALANCE_LIMIT = 2_000
        wallet = WalletFactory(balance=1_500)

        with pytest.raises(BalanceLimitExceeded):
            in_transaction(charge_wallet, customer_id=wallet.pk, amount=501)

        assert_untouched(wallet)

    def test_takes_two_statements(self, django_assert_num_queries):
        wallet = WalletFactory()

        with transaction.atomic(), django_assert_num_queries(2):
            charge_wallet(customer_id=wallet.pk, amount=500)


class TestDebitWallet:
    def test_takes_the_amount_and_books_it_twice(self):
        wallet = WalletFactory(balance=50_000)
        reference = uuid4()

        booked = in_transaction(pay, customer_id=wallet.pk, amount=20_000, reference=reference)

        assert wallet_balance(customer_id=wallet.pk) == 30_000
        assert (booked.type, booked.amount, booked.balance_after) == ("PAYMENT", -20_000, 30_000)
        assert booked.reference == reference
        assert entries_of(booked) == [
            ("CUSTOMER_LIABILITY", wallet.pk, -20_000),
            ("SALES_REVENUE", None, 20_000),
        ]

    def test_empties_the_wallet(self):
        wallet = WalletFactory(balance=50_000)

        in_transaction(pay, customer_id=wallet.pk, amount=50_000, reference=uuid4())

        assert wallet_balance(customer_id=wallet.pk) == 0

    def test_refuses_one_won_more_than_there_is(self):
        wallet = WalletFactory(balance=50_000)

        with pytest.raises(InsufficientBalance) as refusal:
            in_transaction(pay, customer_id=wallet.pk, amount=50_001, reference=uuid4())

        assert refusal.value.details == {"balance": 50_000, "required": 50_001}
        assert_untouched(wallet)

    def test_refuses_a_customer_without_a_wallet_and_opens_none(self):
        customer = CustomerFactory()

        with pytest.raises(InsufficientBalance) as refusal:
            in_transaction(pay, customer_id=customer.pk, amount=1, reference=uuid4())

        assert refusal.value.details == {"balance": 0, "required": 1}
        assert not Wallet.objects.filter(pk=customer.pk).exists()

    def test_is_done_once_for_a_reference(self):
        wallet = WalletFactory(balance=50_000)
        reference = uuid4()
        in_transaction(pay, customer_id=wallet.pk, amount=100, reference=reference)
        wallet.refresh_from_db()

        with pytest.raises(IntegrityError, match="ledger_one_payment_per_reference"):
            in_transaction(pay, customer_id=wallet.pk, amount=100, reference=reference)

        assert_untouched(wallet)

    @pytest.mark.parametrize("step", [pay, refund])
    @pytest.mark.parametrize("amount", [0, -100])
    def test_refuses_what_is_no_payment(self, step, amount):
        wallet = WalletFactory(balance=50_000)

        with pytest.raises(ValueError, match="cannot be moved"):
            in_transaction(step, customer_id=wallet.pk, amount=amount, reference=uuid4())

        assert_untouched(wallet)


def paid(wallet: Wallet, amount: int) -> UUID:
    reference = uuid4()
    in_transaction(pay, customer_id=wallet.pk, amount=amount, reference=reference)
    wallet.refresh_from_db()
    return reference


class TestRefundToWallet:
    def test_gives_the_amount_back_and_books_it_twice(self):
        wallet = WalletFactory(balance=50_000)
        reference = paid(wallet, 20_000)

        booked = in_transaction(refund, customer_id=wallet.pk, amount=20_000, reference=reference)

        assert wallet_balance(customer_id=wallet.pk) == 50_000
        assert (booked.type, booked.amount, booked.balance_after) == ("REFUND", 20_000, 50_000)
        assert booked.reference == reference
        assert entries_of(booked) == [
            ("CUSTOMER_LIABILITY", wallet.pk, 20_000),
            ("REFUNDS", None, -20_000),
        ]

    def test_goes_above_the_limit_because_it_is_owed(self):
        wallet = WalletFactory(balance=10_000_000)
        reference = paid(wallet, 300_000)
        in_transaction(charge_wallet, customer_id=wallet.pk, amount=300_000)

        in_transaction(refund, customer_id=wallet.pk, amount=300_000, reference=reference)

        assert wallet_balance(customer_id=wallet.pk) == 10_300_000
        in_transaction(pay, customer_id=wallet.pk, amount=1, reference=uuid4())
        with pytest.raises(BalanceLimitExceeded):
            in_transaction(charge_wallet, customer_id=wallet.pk, amount=1)

    def test_is_done_in_parts_up_to_what_was_paid(self):
        wallet = WalletFactory(balance=50_000)
        reference, other = paid(wallet, 20_000), paid(wallet, 20_000)
        for amount in (100, 19_800, 100):
            in_transaction(refund, customer_id=wallet.pk, amount=amount, reference=reference)
        wallet.refresh_from_db()

        with pytest.raises(IntegrityError, match="refunds what was not paid"):
            in_transaction(refund, customer_id=wallet.pk, amount=1, reference=reference)

        assert wallet.balance == 30_000
        assert_untouched(wallet)
        in_transaction(refund, customer_id=wallet.pk, amount=20_000, reference=other)

    def test_of_two_parts_in_one_transaction_counts_both(self):
        wallet = WalletFactory(balance=50_000)
        reference = paid(wallet, 20_000)

        def refund_twice():
            for _ in range(2):
                refund(customer_id=wallet.pk, amount=10_001, reference=reference)

        with pytest.raises(IntegrityError, match="refunds what was not paid"):
            in_transaction(refund_twice)

        assert_untouched(wallet)

    def test_refuses_politely_what_is_above_what_is_left(self):
        wallet = WalletFactory(balance=50_000)

        with pytest.raises(RefundExceedsPayment) as refusal:
            refund_to_wallet(wallet, amount=101, reference=uuid4(), refundable=100)

        assert refusal.value.details == {"amount": 101, "refundable": 100}
        assert "101" in refusal.value.message

    def test_gives_back_no_more_than_was_paid(self):
        wallet = WalletFactory(balance=50_000)
        reference = paid(wallet, 20_000)

        with pytest.raises(IntegrityError, match="refunds what was not paid"):
            in_transaction(refund, customer_id=wallet.pk, amount=20_001, reference=reference)

        assert_untouched(wallet)

    def test_gives_nothing_to_a_customer_who_did_not_pay(self):
        reference = paid(WalletFactory(balance=50_000), 20_000)
        stranger = WalletFactory(balance=1_000)

        with pytest.raises(IntegrityError, match="refunds what was not paid"):
            in_transaction(refund, customer_id=stranger.pk, amount=20_000, reference=reference)

        assert_untouched(stranger)


class TestAdjustWallet:
    @pytest.mark.parametrize(("amount", "balance"), [(250, 1_250), (-1_000, 0)])
    def test_corrects_the_balance_and_says_who_and_why(self, amount, balance):
        wallet = WalletFactory(balance=1_000)
        clerk = CustomerFactory(staff=True)

        booked = in_transaction(
            adjust_wallet,
            customer_id=wallet.pk,
            amount=amount,
            reason=" Paid twice at the counter ",
            staff_id=clerk.pk,
        )

        assert wallet_balance(customer_id=wallet.pk) == balance
        assert (booked.type, booked.amount, booked.balance_after) == ("ADJUSTMENT", amount, balance)
        assert (booked.reason, booked.adjusted_by_id) == ("Paid twice at the counter", clerk.pk)
        assert entries_of(booked) == [
            ("CUSTOMER_LIABILITY", wallet.pk, amount),
            ("ADJUSTMENTS", None, -amount),
        ]

    @pytest.mark.parametrize(
        ("balance", "amount", "error"),
        [(1_000, -1_001, InsufficientBalance), (10_000_000, 1, BalanceLimitExceeded)],
    )
    def test_stays_within_the_bounds_of_a_balance(self, balance, amount, error):
        wallet = WalletFactory(balance=balance)

        with pytest.raises(error):
            in_transaction(
                adjust_wallet,
                customer_id=wallet.pk,
                amount=amount,
                reason="A mistake",
                staff_id=CustomerFactory(staff=True).pk,
            )

        assert_untouched(wallet)

    @pytest.mark.parametrize(("amount", "reason"), [(0, "A mistake"), (100, ""), (100, "  ")])
    def test_refuses_what_does_not_explain_itself(self, amount, reason):
        wallet = WalletFactory(balance=1_000)

        with pytest.raises(ValueError, match="needs an amount and a reason"):
            in_transaction(
                adjust_wallet,
                customer_id=wallet.pk,
                amount=amount,
                reason=reason,
                staff_id=CustomerFactory(staff=True).pk,
            )

        assert_untouched(wallet)


class TestChargeNewWallets:
    def test_opens_many_wallets_in_three_statements(self, django_assert_num_queries):
        customers = CustomerFactory.create_batch(3)

        with django_assert_num_queries(3):
            charge_new_wallets(
                customer_ids=[customer.pk for customer in customers], amount=1_000_000
            )

        connection.check_constraints()
        for customer in customers:
            assert wallet_balance(customer_id=customer.pk) == 1_000_000
            [booked] = transactions_of_customer(customer_id=customer.pk)
            assert [entry[2] for entry in entries_of(booked)] == [1_000_000, -1_000_000]

    def test_refuses_a_customer_who_has_one(self):
        wallet = WalletFactory(balance=1_000)

        with pytest.raises(IntegrityError):
            in_transaction(charge_new_wallets, customer_ids=[wallet.pk], amount=100)

        assert_untouched(wallet)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    "step",
    [
        lambda customer_id: lock_or_open_wallet(customer_id=customer_id),
        lambda customer_id: top_up_wallet(customer_id=customer_id, amount=1),
        lambda customer_id: charge_new_wallets(customer_ids=[customer_id], amount=1),
    ],
    ids=["lock", "top up", "charge new"],
)
def test_money_moves_in_the_transaction_of_a_use_case_only(step):
    customer = CustomerFactory()

    with pytest.raises(RuntimeError, match="inside a transaction"):
        step(customer.pk)

    assert not Wallet.objects.exists()
    assert not LedgerTransaction.objects.exists()
