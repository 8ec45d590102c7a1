"""Balances, the ledger, payments and keys: a breach of each that was planted is found."""

from collections.abc import Callable
from functools import partial
from uuid import uuid4

import pytest
from django.db.models import F
from django.utils import timezone

from apps.api.models import IdempotencyRecord
from apps.api.operations import Operation
from apps.api.views import IdempotentView
from apps.concerts.models import Seat
from apps.core.transactions import run_in_transaction
from apps.outbox.events import RESERVATION_CANCELLED
from apps.outbox.models import OutboxEvent
from apps.outbox.recording import record_event
from apps.payments.counter import PaidBy
from apps.payments.models import LedgerEntry, LedgerTransaction, Wallet
from apps.payments.services import charge_wallet
from apps.reservations.models import Hold, Reservation, SeatClaim
from apps.reservations.services import cancel_seats
from tests.factories.accounts import CustomerFactory
from tests.factories.counter import give, move, sell
from tests.factories.payments import WalletFactory, refund
from tests.factories.visitors import Visitor
from tests.ops.invariants.planting import (
    adjust,
    breaches,
    broken,
    cancel,
    expect_broken,
    unprotected,
    without_foreign_keys,
)

pytestmark = pytest.mark.django_db


def booked(wallet: Wallet, number: int, **changes: int) -> None:
    LedgerTransaction.objects.filter(customer=wallet.pk, sequence=number).update(**changes)


# What may be wrong in the history of a wallet that was filled with 5, 4 and 3 won.
HISTORIES: dict[str, Callable[[Wallet], object]] = {
    "balance in between": lambda wallet: booked(wallet, 2, balance_after=6),
    "first amount": lambda wallet: booked(wallet, 1, balance_after=2, amount=2),
    "first balance": lambda wallet: booked(wallet, 1, balance_after=6),
    "gap": lambda wallet: booked(wallet, 3, sequence=4),
    "does not begin at one": lambda wallet: wallet.customer.ledger_transactions.update(
        sequence=F("sequence") + 10
    ),
    "wallet lags behind": lambda wallet: Wallet.objects.filter(pk=wallet.pk).update(version=2),
    "wallet runs ahead": lambda wallet: Wallet.objects.filter(pk=wallet.pk).update(version=4),
    "last balance": lambda wallet: booked(wallet, 3, balance_after=13, amount=4),
}


@pytest.mark.usefixtures("sold")
class TestBalanceIsLedger:
    @pytest.mark.parametrize(
        ("balance", "found"),
        [
            (900_001, ["balance 900,001, ledger 900,000"]),
            (-1, ["balance -1, ledger 900,000", "balance below zero"]),
        ],
    )
    def test_another_balance_is_found(
        self, sold: Reservation, balance: int, found: list[str]
    ) -> None:
        with unprotected((Wallet, "wallet_balance_never_negative")):
            Wallet.objects.filter(pk=sold.customer_id).update(balance=balance)

        told = [f"customer {sold.customer_id}: {words}" for words in found]
        assert {name: sorted(examples) for name, examples in broken().items()} == {
            "balance_is_ledger": told
        }

    @pytest.mark.parametrize("plant", HISTORIES.values(), ids=HISTORIES)
    def test_a_history_that_does_not_follow_is_found(
        self, plant: Callable[[Wallet], object]
    ) -> None:
        wallet = WalletFactory(balance=5)
        for amount in (4, 3):
            charge_wallet(customer_id=wallet.pk, amount=amount)

        with unprotected():
            plant(wallet)

        assert broken()["balance_is_ledger"] == [
            f"customer {wallet.pk}: the movements do not follow from each other up to the balance"
        ]

    def test_a_history_without_a_wallet_is_found(self) -> None:
        wallet = WalletFactory(balance=5)
        adjust(wallet.pk, -5)

        with unprotected():
            Wallet.objects.filter(pk=wallet.pk).delete()

        assert breaches() == {"balance_is_ledger": 1}


@pytest.mark.usefixtures("sold")
class TestLedgerBalanced:
    def test_entries_that_do_not_sum_to_zero_are_found(self) -> None:
        entry = LedgerEntry.objects.get(account="SALES_REVENUE")

        with unprotected():
            LedgerEntry.objects.filter(pk=entry.pk).update(amount=1)

        expect_broken("ledger_balanced", f"transaction {entry.transaction_id}: unbalanced")

    def test_a_top_up_without_entries_is_found(self, sold: Reservation) -> None:
        with unprotected():
            LedgerTransaction.objects.create(
                customer_id=sold.customer_id, sequence=9, type="CHARGE", amount=5, balance_after=5
            )

        found = broken()
        assert {name: len(examples) for name, examples in found.items()} == {
            "ledger_balanced": 2,
            "balance_is_ledger": 1,
        }
        whole, _ = found["ledger_balanced"]
        assert whole == "the ledger as a whole: 5 won too much on one side"

    def test_entries_of_a_transaction_that_does_not_exist_are_found(self) -> None:
        nowhere = uuid4()

        with without_foreign_keys(LedgerEntry):
            for account, amount in (("CASH", -5), ("REFUNDS", 5)):
                LedgerEntry.objects.create(transaction_id=nowhere, account=account, amount=amount)

        expect_broken("ledger_balanced", f"transaction {nowhere}: unbalanced")

    def test_entries_of_another_customer_are_found(self) -> None:
        """Exchange both, so that the sums of both customers are right again."""
        first, second = (WalletFactory(balance=5).customer for _ in range(2))
        entries = {owner: LedgerEntry.objects.get(customer=owner) for owner in (first, second)}

        with unprotected():
            for owner, other in ((first, second), (second, first)):
                LedgerEntry.objects.filter(pk=entries[owner].pk).update(customer=other)

        assert breaches() == {"ledger_balanced": 2}

    def test_a_third_and_a_fourth_entry_are_found(self) -> None:
        paid = LedgerTransaction.objects.get(type="PAYMENT")

        with unprotected():
            for account, amount in (("SALES_REVENUE", 5), ("CASH", -5)):
                LedgerEntry.objects.create(transaction=paid, account=account, amount=amount)

        assert breaches() == {"ledger_balanced": 1}

    @pytest.mark.parametrize("type", ["CHARGE", "PAYMENT", "REFUND", "ADJUSTMENT"])
    def test_another_counter_account_is_found(self, sold: Reservation, type: str) -> None:
        cancel(sold)
        adjust(sold.customer_id, 5)
        movement = LedgerTransaction.objects.filter(type=type).order_by("sequence")[0]
        entry = movement.entries.get(customer=None)

        for account in {"CASH", "SALES_REVENUE", "REFUNDS", "ADJUSTMENTS"} - {entry.account}:
            with unprotected():
                LedgerEntry.objects.filter(pk=entry.pk).update(account=account)

            assert breaches() == {"ledger_balanced": 1}

    @pytest.mark.parametrize("type", ["TILL_CASH", "TILL_CARD", "COMP", "COMP_BACK"])
    def test_another_account_of_the_counter_is_found(self, seats: list[Seat], type: str) -> None:
        sell(seats[3:4])
        sell(seats[4:5], paid_by=PaidBy.CARD)
        cancel(give(seats[5:6]).reservation)
        assert breaches() == {}
        entry = LedgerTransaction.objects.get(type=type).entries.get(customer=None)

        for account in {"CASH", "TILL_CASH", "TILL_CARD", "COMPS"} - {entry.account}:
            with unprotected():
                LedgerEntry.objects.filter(pk=entry.pk).update(account=account)

            assert breaches() == {"ledger_balanced": 1}

    def test_a_customer_of_the_counter_account_is_found(self, sold: Reservation) -> None:
        entry = LedgerEntry.objects.get(account="SALES_REVENUE")

        with unprotected((LedgerEntry, "ledger_entry_customer_fits_account")):
            LedgerEntry.objects.filter(pk=entry.pk).update(customer=sold.customer_id)

        assert breaches().pop("ledger_balanced") == 1


class TestReservationPaid:
    @pytest.fixture
    def older(self) -> Wallet:
        """The wallet of a customer who registered before the buyer of `sold`."""
        wallet: Wallet = WalletFactory(balance=5)
        return wallet

    def test_a_payment_for_something_else_is_found_on_both_sides(self, sold: Reservation) -> None:
        other = uuid4()

        with unprotected():
            LedgerTransaction.objects.filter(reference=sold.pk).update(reference=other)

        found = broken()
        assert sorted(found.pop("reservation_paid")) == sorted(
            [
                f"reservation {sold.pk}: 0 payments",
                f"reservation {other}: does not exist, but was paid for or refunded",
            ]
        )
        assert found == {}

    def test_a_second_payment_is_found(self, sold: Reservation) -> None:
        with unprotected((LedgerTransaction, "ledger_one_payment_per_reference")):
            [paid, *_] = LedgerTransaction.objects.filter(reference=sold.pk)
            again = LedgerTransaction.objects.create(
                customer_id=sold.customer_id,
                sequence=3,
                type="PAYMENT",
                amount=paid.amount,
                balance_after=800_000,
                reference=sold.pk,
            )
            for account, amount, customer_id in (
                ("CUSTOMER_LIABILITY", paid.amount, sold.customer_id),
                ("SALES_REVENUE", -paid.amount, None),
            ):
                LedgerEntry.objects.create(
                    transaction=again, account=account, amount=amount, customer_id=customer_id
                )
            Wallet.objects.filter(pk=sold.customer_id).update(balance=800_000, version=3)

        expect_broken("reservation_paid", f"reservation {sold.pk}: 2 payments")

    def test_another_price_is_found(self, sold: Reservation) -> None:
        Reservation.objects.filter(pk=sold.pk).update(total_price=1)
        Hold.objects.filter(pk=sold.hold_id).update(total_price=1)

        found = broken()
        assert len(found.pop("reservation_announced")) == 1
        assert found == {
            "reservation_paid": [f"reservation {sold.pk}: paid 100000 of 1 won"],
            "reservation_is_its_hold": [f"reservation {sold.pk}: its tickets cost 100000 of 1 won"],
        }

    def test_refunds_above_what_was_paid_are_found(self, sold: Reservation) -> None:
        part = partial(refund, customer_id=sold.customer_id, reference=sold.pk, amount=60_000)
        refunded = run_in_transaction(part)
        assert breaches() == {}
        more = 40_001
        with unprotected():
            LedgerTransaction.objects.filter(pk=refunded.pk).update(
                amount=F("amount") + more, balance_after=F("balance_after") + more
            )
            for sign in (1, -1):
                refunded.entries.filter(amount=sign * 60_000).update(amount=sign * 100_001)
            Wallet.objects.filter(pk=sold.customer_id).update(balance=F("balance") + more)

        expect_broken("reservation_paid", f"reservation {sold.pk}: refunded 100001 of 100000 won")

    def test_a_seat_that_was_given_up_without_its_price_is_found(self, sold: Reservation) -> None:
        first, second = sold.tickets.order_by("seat_id")
        clerk = CustomerFactory(staff=True)
        cancel_seats(
            reservation_id=sold.pk, seat_ids=[first.seat_id], reason="x", staff_id=clerk.pk
        )
        assert breaches() == {}
        now = timezone.now()
        sold.tickets.filter(pk=second.pk).update(cancelled_at=now, cancel_reason="x")
        SeatClaim.objects.filter(hold=sold.hold_id, seat=second.seat_id).update(ended_at=now)

        found = broken()
        assert found.pop("reservation_paid") == [
            f"reservation {sold.pk}: gave up seats for 100000 won, refunded 50000"
        ]
        assert found.pop("reservation_is_its_hold") == [
            f"reservation {sold.pk}: stands, but all its seats have been given up"
        ]
        assert found.keys() == {"reservation_announced"}

    def test_a_cancellation_without_a_refund_is_found(self, sold: Reservation) -> None:
        now = timezone.now()
        Reservation.objects.filter(pk=sold.pk).update(status="CANCELLED", cancelled_at=now)
        SeatClaim.objects.filter(hold=sold.hold_id).update(ended_at=now)
        payload = OutboxEvent.objects.get(payload__reservation_id=str(sold.pk)).payload
        tell = partial(record_event, type=RESERVATION_CANCELLED, occurred_at=now)
        run_in_transaction(partial(tell, payload=payload))

        expect_broken(
            "reservation_paid", f"reservation {sold.pk}: gave up seats for 100000 won, refunded 0"
        )

    def test_the_payment_of_another_customer_is_found(self, sold: Reservation) -> None:
        other = CustomerFactory()

        Reservation.objects.filter(pk=sold.pk).update(customer=other)
        Hold.objects.filter(pk=sold.hold_id).update(customer=other)

        assert breaches() == {"reservation_paid": 1, "reservation_announced": 1}

    @pytest.mark.parametrize("is_older", [False, True])
    def test_a_refund_to_another_customer_is_found(
        self, older: Wallet, sold: Reservation, is_older: bool
    ) -> None:
        cancel(sold)
        refunded = LedgerTransaction.objects.get(type="REFUND")
        other = older if is_older else WalletFactory(balance=5)
        assert (other.pk < sold.customer_id) == is_older

        with unprotected():
            LedgerTransaction.objects.filter(pk=refunded.pk).update(
                customer=other.pk, sequence=2, balance_after=5 + refunded.amount
            )
            refunded.entries.filter(customer__isnull=False).update(customer=other.pk)
            Wallet.objects.filter(pk=other.pk).update(balance=5 + refunded.amount, version=2)
            Wallet.objects.filter(pk=sold.customer_id).update(balance=900_000, version=2)

        expect_broken(
            "reservation_paid", f"reservation {sold.pk}: paid by or refunded to another customer"
        )

    def test_an_entry_for_another_customer_is_found(self, sold: Reservation) -> None:
        """Leave what the transaction of the payment says of its customer as it was."""
        other = WalletFactory(balance=100_000)
        [paid] = LedgerTransaction.objects.filter(reference=sold.pk)

        with unprotected():
            paid.entries.filter(customer__isnull=False).update(customer=other.pk)

        found = broken()
        assert len(found.pop("balance_is_ledger")) == 2
        assert found == {"ledger_balanced": [f"transaction {paid.pk}: unbalanced"]}


class TestIdempotencyKeyOnce:
    @pytest.fixture
    def record(self) -> IdempotencyRecord:
        visitor = Visitor(CustomerFactory())
        visitor.post("/balance/charges", {"amount": 1_000}, key="once")
        assert breaches() == {}
        return IdempotencyRecord.objects.get()

    def answer_with(self, record: IdempotencyRecord, effect: object) -> None:
        """Let the stored answer name another effect."""
        first = LedgerTransaction.objects.order_by("sequence")[0]
        record.body = bytes(record.body).replace(str(first.pk).encode(), str(effect).encode())

    def test_a_second_effect_is_found(self, record: IdempotencyRecord) -> None:
        second = charge_wallet(customer_id=record.customer_id, amount=1_000)
        with unprotected((IdempotencyRecord, "idempotency_key_once")):
            record.pk = None
            self.answer_with(record, second.pk)
            record.save()

        expect_broken(
            "idempotency_key_once",
            f"customer {record.customer_id}, payments.charge, key once: used 2 times",
        )

    def test_an_effect_of_two_keys_is_found(self, record: IdempotencyRecord) -> None:
        record.pk, record.key = None, "twice"
        record.save()

        effect = LedgerTransaction.objects.get().pk
        expect_broken("idempotency_key_once", f"payments.charge: several keys made {effect}")

    def test_an_answer_without_its_effect_is_found(self, record: IdempotencyRecord) -> None:
        record.pk, record.key = None, "lost"
        self.answer_with(record, uuid4())
        record.save()

        asked = f"customer {record.customer_id}, payments.charge, key lost"
        expect_broken("idempotency_key_once", f"{asked}: answered, but without effect")

    @pytest.mark.parametrize(
        "changes",
        [{"operation": "reservations.confirm"}, {"body": b"\xff\x00\\ no JSON at all"}],
        ids=["of another kind", "unreadable"],
    )
    def test_an_answer_that_names_no_effect_is_found(
        self, record: IdempotencyRecord, changes: dict[str, object]
    ) -> None:
        IdempotencyRecord.objects.filter(pk=record.pk).update(**changes)

        assert breaches() == {"idempotency_key_once": 1}

    def test_every_call_with_a_key_is_known(self) -> None:
        import apps.payments.views
        import apps.reservations.views  # noqa: F401

        own = {
            view.idempotent_as
            for view in IdempotentView.__subclasses__()
            if view.__module__.startswith("apps.")
        }

        assert own == set(Operation)


class TestCounterMoneySpent:
    def test_a_sale_at_the_counter_a_gift_and_a_move_break_nothing(
        self, sold: Reservation, seats: list[Seat]
    ) -> None:
        sell(seats[3:4])
        cancel(give(seats[4:5]).reservation)
        move(give(seats[6:8]).reservation, seats[8:10])

        assert breaches() == {}

    def test_money_of_the_house_that_went_to_the_customer_is_found(
        self, sold: Reservation, seats: list[Seat]
    ) -> None:
        given = give(seats[3:4]).reservation
        cancel(given)
        elsewhere = uuid4()
        with unprotected():
            LedgerTransaction.objects.filter(type="COMP_BACK").update(reference=elsewhere)

        assert set(broken()["counter_money_spent"]) == {
            f"reservation {given.pk}: 0 of 50000 won back to the house, refunded 50000",
            f"reservation {elsewhere}: 50000 of 0 won back to the house, refunded 0",
        }

    def test_a_part_that_the_customer_got_in_place_of_the_house_is_found(
        self, sold: Reservation, seats: list[Seat]
    ) -> None:
        """Of two complimentary seats one is given back, half of its price to the house."""
        given = give(seats[3:5]).reservation
        staff_id = CustomerFactory(staff=True).pk
        cancel_seats(reservation_id=given.pk, seat_ids=[seats[3].pk], reason="x", staff_id=staff_id)
        assert breaches() == {}
        back = LedgerTransaction.objects.get(type="COMP_BACK")
        with unprotected():
            LedgerTransaction.objects.filter(pk=back.pk).update(
                amount=-25_000, balance_after=F("balance_after") + 25_000
            )
            for sign in (1, -1):
                back.entries.filter(amount=sign * 50_000).update(amount=sign * 25_000)
            Wallet.objects.filter(pk=given.customer_id).update(balance=F("balance") + 25_000)

        expect_broken(
            "counter_money_spent",
            f"reservation {given.pk}: 25000 of 100000 won back to the house, refunded 50000",
        )

    def test_money_of_the_till_that_no_sale_took_is_found(
        self, sold: Reservation, seats: list[Seat]
    ) -> None:
        till = LedgerTransaction.objects.get(
            reference=sell(seats[3:4]).reservation.pk, amount__gt=0
        )
        with unprotected():
            LedgerTransaction.objects.filter(pk=till.pk).update(reference=uuid4())

        assert [words.partition(": ")[2] for words in broken()["counter_money_spent"]] == [
            "50000 won brought for a price of 0"
        ]
