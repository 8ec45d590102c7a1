"""Every invariant, by a breach that was planted past locks, triggers and constraints; and none in an honest history.

Every test runs twice: with a check of everything, and with one of what has changed lately.
"""

from collections.abc import Callable, Generator
from contextlib import contextmanager
from datetime import datetime, timedelta
from functools import partial
from uuid import uuid4

import pgtrigger
import pytest
from django.apps import apps
from django.db import OperationalError, connection, models
from django.utils import timezone

from apps.accounts.models import User
from apps.api.models import IdempotencyRecord
from apps.api.operations import Operation
from apps.api.views import IdempotentView
from apps.concerts.models import Concert, Performance, RankingEntry, Seat, venue_day
from apps.concerts.services import rebuild_ranking
from apps.core.transactions import run_in_transaction
from apps.ops.invariants import INVARIANTS, Invariant, check_invariants
from apps.ops.invariants.findings import Findings
from apps.ops.invariants.findings import breaches as found_by
from apps.ops.purging import purge_all
from apps.outbox.draining import MAX_ATTEMPTS, drain
from apps.outbox.events import CONSUMERS, RESERVATION_CANCELLED
from apps.outbox.models import EventDelivery, OutboxEvent, Receiver
from apps.outbox.recording import record_event
from apps.payments.models import LedgerEntry, LedgerTransaction, Wallet
from apps.payments.services import adjust_wallet, charge_wallet
from apps.queue.models import WaitingRoom
from apps.queue.services import admit_visitors
from apps.reservations.models import Hold, Reservation, SeatClaim, Ticket
from apps.reservations.services import (
    cancel_reservation,
    expire_holds,
    extend_hold,
    release_hold,
)
from tests.factories.accounts import CustomerFactory
from tests.factories.concerts import PerformanceFactory
from tests.factories.payments import WalletFactory, refund
from tests.factories.queue import QueueExitFactory, WaitingRoomFactory
from tests.factories.reservations import hold, overdue_hold, reservation
from tests.factories.visitors import Visitor

pytestmark = pytest.mark.django_db

NOWHERE = "redis://127.0.0.1:1/0"


LATELY = timedelta(minutes=15)
span: timedelta | None = None  # of the check; None: everything


@pytest.fixture(autouse=True, params=[None, LATELY], ids=["everything", "lately"])
def _span(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(globals(), "span", request.param)


def check() -> list[Invariant]:
    return check_invariants(since=None if span is None else timezone.now() - span)


def breaches() -> dict[str, int]:
    return {one.name: one.breaches for one in check() if one.breaches}


def found(name: str) -> list[str]:
    return next(one.examples for one in check() if one.name == name)


def consume_events() -> None:
    for consumer in CONSUMERS.values():
        drain(consumer=consumer.name)


def cancel(reserved: Reservation) -> None:
    call = partial(cancel_reservation, customer_id=reserved.customer_id, reservation_id=reserved.pk)
    run_in_transaction(call)


@contextmanager
def unprotected(*constraints: tuple[type[models.Model], str]) -> Generator[None]:
    """Without the triggers and the named constraints; the test's transaction brings them back."""
    connection.check_constraints()
    with pgtrigger.ignore():
        with connection.schema_editor() as editor:
            for model, name in constraints:
                [constraint] = [one for one in model._meta.constraints if one.name == name]
                editor.remove_constraint(model, constraint)
        yield
        connection.check_constraints()


@contextmanager
def without_foreign_keys(model: type[models.Model]) -> Generator[None]:
    """Without the triggers and the foreign keys of a model, for the rest of the test."""
    table = model._meta.db_table
    connection.check_constraints()
    with connection.cursor() as cursor:
        for name, about in connection.introspection.get_constraints(cursor, table).items():
            if about["foreign_key"]:
                cursor.execute(f'ALTER TABLE "{table}" DROP CONSTRAINT "{name}"')
    with pgtrigger.ignore():
        yield
        connection.check_constraints()


@pytest.fixture
def performance() -> Performance:
    return PerformanceFactory(seats=12, concert__seats_per_customer=2)


@pytest.fixture
def seats(performance: Performance) -> list[Seat]:
    return list(Seat.objects.of_performance(performance.pk).in_map_order())


@pytest.fixture
def sold(seats: list[Seat]) -> Reservation:
    """Two seats, paid, and everybody has heard of it."""
    rebuild_ranking()
    made = reservation(CustomerFactory(), seats[:2])
    consume_events()
    return made


@pytest.fixture
def untold(sold: Reservation, seats: list[Seat]) -> Reservation:
    """One seat, paid, and nobody has heard of it yet."""
    return reservation(CustomerFactory(), seats[2:3])


class TestHonestHistory:
    def test_of_an_empty_service_breaks_nothing(self) -> None:
        results = check()

        assert [result.name for result in results] == list(INVARIANTS)
        assert breaches() == {}
        assert all(result.examples == [] for result in results)

    def test_breaks_nothing(self, performance: Performance, seats: list[Seat]) -> None:
        WaitingRoomFactory(concert=performance.concert, capacity=2)
        rebuild_ranking()
        buyer = CustomerFactory()
        for chosen in (seats[4:5], seats[5:6]):
            reserved = reservation(buyer, chosen)
            cancel(reserved)
        reservation(buyer, seats[4:6])  # the same seats again, up to the limit again
        let_go = hold(CustomerFactory(), seats[6:8])
        release_hold(customer_id=let_go.customer_id, hold_id=let_go.pk)
        overdue_hold(CustomerFactory(), seats[6:7])
        taken_over = overdue_hold(CustomerFactory(), seats[7:8])
        hold(CustomerFactory(), seats[7:8])  # ends the overdue one in its way
        late = overdue_hold(CustomerFactory(), seats[8:9])
        expire_holds()
        self._buy_by_the_api(performance, seats)
        staff = CustomerFactory(staff=True)
        run_in_transaction(
            lambda: adjust_wallet(
                customer_id=buyer.pk, amount=-1_000, reason="A mistake", staff_id=staff.pk
            )
        )

        assert breaches() == {}
        consume_events()
        assert breaches() == {}
        late.refresh_from_db()
        taken_over.refresh_from_db()
        assert late.status == taken_over.status == Hold.Status.EXPIRED
        assert not any(one.not_checked for one in check())
        assert IdempotencyRecord.objects.count() == 5  # one of each kind
        assert LedgerTransaction.objects.filter(type="REFUND").count() == 3

    def test_may_lower_the_seat_limit(self, sold: Reservation) -> None:
        Concert.objects.update(seats_per_customer=1)

        assert breaches() == {}

    def _buy_by_the_api(self, performance: Performance, seats: list[Seat]) -> None:
        """Three visitors of a room for two; every kind of call that takes a key, some of them twice."""
        first, second, third = (Visitor(CustomerFactory()) for _ in range(3))
        for visitor in (first, second, third):
            visitor.join(performance.concert_id)
        admit_visitors()
        for _ in range(2):
            first.post("/balance/charges", {"amount": 200_000}, key="charge")
        held = first.post(
            "/holds",
            {"performance_id": performance.pk, "seat_ids": [seats[0].pk, seats[1].pk]},
            key="hold",
        ).json()["data"]
        for _ in range(2):
            paid = first.post("/reservations", {"hold_id": held["hold_id"]}, key="pay")
        reserved = paid.json()["data"]["reservation_id"]
        for _ in range(2):
            cancelled = first.post(f"/reservations/{reserved}/cancel", key="cancel")
        assert cancelled.status_code == 200
        best = {"performance_id": performance.pk, "quantity": 2}
        assert second.post("/holds/best-available", best, key="best").status_code == 201
        consume_events()  # the first one's payment lets the third in
        assert third.post("/holds/best-available", best).status_code == 201


class TestSeatClaimedOnce:
    def test_a_second_claim_is_found(self, sold: Reservation, seats: list[Seat]) -> None:
        other = hold(CustomerFactory(), seats[5:6])

        with unprotected((SeatClaim, "seat_claimed_once")):
            SeatClaim.objects.filter(hold=other).update(seat=seats[0])

        assert breaches() == {"seat_claimed_once": 1}
        first, second = SeatClaim.objects.filter(seat=seats[0]).order_by("pk")
        assert found("seat_claimed_once") == [
            f"seat {seats[0].pk}: 2 claims, {first.pk} and {second.pk}"
        ]

    def test_a_seat_that_was_sold_twice_is_found(
        self, sold: Reservation, seats: list[Seat]
    ) -> None:
        """As after a claim that ended without a cancellation: no two claims are open."""
        SeatClaim.objects.filter(hold=sold.hold_id, seat=seats[0]).update(ended_at=timezone.now())
        reservation(CustomerFactory(), seats[:1])

        assert breaches() == {"seat_claimed_once": 1, "reservation_is_its_hold": 1}

    @pytest.mark.parametrize("status", ["RELEASED", "EXPIRED"])
    def test_an_open_claim_of_a_hold_that_is_over_is_found(
        self, seats: list[Seat], status: str
    ) -> None:
        held = hold(CustomerFactory(), seats[:1])
        Hold.objects.filter(pk=held.pk).update(status=status, ended_at=held.held_at)

        [claim] = SeatClaim.objects.all()
        assert breaches() == {"seat_claimed_once": 1}
        assert found("seat_claimed_once") == [
            f"seat {seats[0].pk}: claim {claim.pk} is open, but its hold is over"
        ]

    def test_an_overdue_claim_is_none(self, sold: Reservation, seats: list[Seat]) -> None:
        other = overdue_hold(CustomerFactory(), seats[5:6])

        with unprotected((SeatClaim, "seat_claimed_once")):
            SeatClaim.objects.filter(hold=other).update(seat=seats[0])

        assert breaches() == {}


class TestBalanceIsLedger:
    def test_another_balance_is_found(self, sold: Reservation) -> None:
        with unprotected():
            Wallet.objects.filter(pk=sold.customer_id).update(balance=900_001)

        assert breaches() == {"balance_is_ledger": 1}
        assert found("balance_is_ledger") == [
            f"customer {sold.customer_id}: balance 900,001, ledger 900,000"
        ]

    def test_a_debt_is_found(self, sold: Reservation) -> None:
        with unprotected((Wallet, "wallet_balance_never_negative")):
            Wallet.objects.filter(pk=sold.customer_id).update(balance=-1)

        assert breaches() == {"balance_is_ledger": 2}
        assert f"customer {sold.customer_id}: balance below zero" in found("balance_is_ledger")

    @pytest.mark.parametrize(
        "plant",
        [
            lambda wallet: LedgerTransaction.objects.filter(customer=wallet.pk, sequence=2).update(
                balance_after=6
            ),
            lambda wallet: LedgerTransaction.objects.filter(customer=wallet.pk, sequence=1).update(
                balance_after=2, amount=2
            ),
            lambda wallet: LedgerTransaction.objects.filter(customer=wallet.pk, sequence=1).update(
                balance_after=6
            ),
            lambda wallet: LedgerTransaction.objects.filter(customer=wallet.pk, sequence=3).update(
                sequence=4
            ),
            lambda wallet: LedgerTransaction.objects.filter(customer=wallet.pk).update(
                sequence=models.F("sequence") + 10
            ),
            lambda wallet: Wallet.objects.filter(pk=wallet.pk).update(version=2),
            lambda wallet: Wallet.objects.filter(pk=wallet.pk).update(version=4),
            lambda wallet: LedgerTransaction.objects.filter(customer=wallet.pk, sequence=3).update(
                balance_after=13, amount=4
            ),
        ],
        ids=[
            "balance in between",
            "first amount",
            "first balance",
            "gap",
            "does not begin at one",
            "wallet lags behind",
            "wallet runs ahead",
            "last balance",
        ],
    )
    def test_a_history_that_does_not_follow_is_found(
        self, sold: Reservation, plant: Callable[[Wallet], object]
    ) -> None:
        wallet = WalletFactory(balance=5)
        for amount in (4, 3):
            run_in_transaction(partial(charge_wallet, customer_id=wallet.pk, amount=amount))

        with unprotected():
            plant(wallet)

        assert breaches().pop("balance_is_ledger") == 1
        assert found("balance_is_ledger") == [
            f"customer {wallet.pk}: the movements do not follow from each other up to the balance"
        ]

    def test_a_history_without_a_wallet_is_found(self, sold: Reservation) -> None:
        wallet = WalletFactory(balance=5)
        run_in_transaction(
            partial(
                adjust_wallet,
                customer_id=wallet.pk,
                amount=-5,
                reason="A mistake",
                staff_id=sold.customer_id,
            )
        )

        with unprotected():
            Wallet.objects.filter(pk=wallet.pk).delete()

        assert breaches() == {"balance_is_ledger": 1}


class TestLedgerBalanced:
    def test_entries_that_do_not_sum_to_zero_are_found(self, sold: Reservation) -> None:
        entry = LedgerEntry.objects.get(account="SALES_REVENUE")

        with unprotected():
            LedgerEntry.objects.filter(pk=entry.pk).update(amount=1)

        assert breaches() == {"ledger_balanced": 1}
        assert found("ledger_balanced") == [f"transaction {entry.transaction_id}: unbalanced"]

    def test_a_top_up_without_entries_is_found(self, sold: Reservation) -> None:
        with unprotected():
            LedgerTransaction.objects.create(
                customer_id=sold.customer_id, sequence=9, type="CHARGE", amount=5, balance_after=5
            )

        assert breaches() == {"ledger_balanced": 2, "balance_is_ledger": 1}
        assert "the ledger as a whole: 5 won too much on one side" in found("ledger_balanced")

    def test_entries_of_a_transaction_that_does_not_exist_are_found(
        self, sold: Reservation
    ) -> None:
        nowhere = uuid4()

        with without_foreign_keys(LedgerEntry):
            for account, amount in (("CASH", -5), ("REFUNDS", 5)):
                LedgerEntry.objects.create(transaction_id=nowhere, account=account, amount=amount)

        assert breaches() == {"ledger_balanced": 1}
        assert found("ledger_balanced") == [f"transaction {nowhere}: unbalanced"]

    def test_entries_of_another_customer_are_found(self, sold: Reservation) -> None:
        """Both of them, so that the sums of both are right again."""
        first, second = WalletFactory(balance=5), WalletFactory(balance=5)

        with unprotected():
            for entry, customer in zip(
                LedgerEntry.objects.filter(customer__in=[first.pk, second.pk]).order_by("customer"),
                sorted([first.pk, second.pk], reverse=True),
                strict=True,
            ):
                LedgerEntry.objects.filter(pk=entry.pk).update(customer=customer)

        assert breaches() == {"ledger_balanced": 2}

    def test_a_third_and_a_fourth_entry_are_found(self, sold: Reservation) -> None:
        booked = LedgerTransaction.objects.get(type="PAYMENT")

        with unprotected():
            for account, amount in (("SALES_REVENUE", 5), ("CASH", -5)):
                LedgerEntry.objects.create(transaction=booked, account=account, amount=amount)

        assert breaches() == {"ledger_balanced": 1}

    @pytest.mark.parametrize("type", ["CHARGE", "PAYMENT", "REFUND", "ADJUSTMENT"])
    def test_another_counter_account_is_found(self, sold: Reservation, type: str) -> None:
        cancel(sold)
        staff = CustomerFactory(staff=True)
        adjust = partial(adjust_wallet, customer_id=sold.customer_id, amount=5, reason="A gift")
        run_in_transaction(partial(adjust, staff_id=staff.pk))
        booked = LedgerTransaction.objects.filter(type=type).order_by("sequence")[0]
        entry = booked.entries.get(customer=None)

        for account in {"CASH", "SALES_REVENUE", "REFUNDS", "ADJUSTMENTS"} - {entry.account}:
            with unprotected():
                LedgerEntry.objects.filter(pk=entry.pk).update(account=account)

            assert breaches() == {"ledger_balanced": 1}

    def test_a_customer_of_the_counter_account_is_found(self, sold: Reservation) -> None:
        entry = LedgerEntry.objects.get(account="SALES_REVENUE")

        with unprotected((LedgerEntry, "ledger_entry_customer_fits_account")):
            LedgerEntry.objects.filter(pk=entry.pk).update(customer=sold.customer_id)

        assert breaches().pop("ledger_balanced") == 1


class TestReservationPaid:
    def test_a_payment_for_something_else_is_found_on_both_sides(self, sold: Reservation) -> None:
        other = uuid4()

        with unprotected():
            LedgerTransaction.objects.filter(reference=sold.pk).update(reference=other)

        assert breaches() == {"reservation_paid": 2}
        assert sorted(found("reservation_paid")) == sorted(
            [
                f"reservation {sold.pk}: 0 payments",
                f"reservation {other}: does not exist, but was paid for or refunded",
            ]
        )

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

        assert breaches() == {"reservation_paid": 1}
        assert found("reservation_paid") == [f"reservation {sold.pk}: 2 payments"]

    def test_another_price_is_found(self, sold: Reservation) -> None:
        Reservation.objects.filter(pk=sold.pk).update(total_price=1)
        Hold.objects.filter(pk=sold.hold_id).update(total_price=1)

        assert breaches() == {
            "reservation_paid": 1,
            "reservation_is_its_hold": 1,
            "reservation_announced": 1,
        }
        assert found("reservation_paid") == [f"reservation {sold.pk}: paid 100000 of 1 won"]
        assert found("reservation_is_its_hold") == [
            f"reservation {sold.pk}: its tickets cost 100000 of 1 won"
        ]

    def test_a_refund_without_a_cancellation_is_found(self, sold: Reservation) -> None:
        run_in_transaction(
            partial(
                refund,
                customer_id=sold.customer_id,
                amount=sold.total_price,
                reference=sold.pk,
            )
        )

        assert breaches() == {"reservation_paid": 1}
        assert found("reservation_paid") == [f"reservation {sold.pk}: refunded, but not cancelled"]

    def test_a_cancellation_without_a_refund_is_found(self, sold: Reservation) -> None:
        now = timezone.now()
        Reservation.objects.filter(pk=sold.pk).update(status="CANCELLED", cancelled_at=now)
        SeatClaim.objects.filter(hold=sold.hold_id).update(ended_at=now)
        run_in_transaction(
            lambda: record_event(
                type=RESERVATION_CANCELLED,
                payload=OutboxEvent.objects.get(payload__reservation_id=str(sold.pk)).payload,
                occurred_at=now,
            )
        )

        assert breaches() == {"reservation_paid": 1}
        assert found("reservation_paid") == [f"reservation {sold.pk}: cancelled, 0 refunds"]

    def test_somebody_elses_payment_is_found(self, sold: Reservation) -> None:
        other = CustomerFactory()

        Reservation.objects.filter(pk=sold.pk).update(customer=other)
        Hold.objects.filter(pk=sold.hold_id).update(customer=other)

        assert breaches() == {"reservation_paid": 1, "reservation_announced": 1}

    def test_a_refund_to_somebody_else_is_found(self, sold: Reservation) -> None:
        cancel(sold)
        refund = LedgerTransaction.objects.get(type="REFUND")
        other = WalletFactory(balance=5)

        with unprotected():
            LedgerTransaction.objects.filter(pk=refund.pk).update(
                customer=other.pk, sequence=2, balance_after=5 + refund.amount
            )
            LedgerEntry.objects.filter(transaction=refund, customer__isnull=False).update(
                customer=other.pk
            )
            Wallet.objects.filter(pk=other.pk).update(balance=5 + refund.amount, version=2)
            Wallet.objects.filter(pk=sold.customer_id).update(balance=900_000, version=2)

        assert breaches() == {"reservation_paid": 1}
        assert found("reservation_paid") == [
            f"reservation {sold.pk}: paid by or refunded to somebody else"
        ]

    def test_an_entry_for_somebody_else_is_found(self, sold: Reservation) -> None:
        """Of a payment; what the transaction says of its customer is still right."""
        other = WalletFactory(balance=100_000)
        [paid] = LedgerTransaction.objects.filter(reference=sold.pk)

        with unprotected():
            LedgerEntry.objects.filter(transaction=paid, customer__isnull=False).update(
                customer=other.pk
            )

        assert breaches() == {"ledger_balanced": 1, "balance_is_ledger": 2}
        assert found("ledger_balanced") == [f"transaction {paid.pk}: unbalanced"]


class TestReservationIsItsHold:
    @pytest.mark.parametrize(
        ("plant", "example", "also"),
        [
            (
                lambda sold, seats: Hold.objects.filter(pk=sold.hold_id).update(status="RELEASED"),
                "reservation {sold}: its hold is RELEASED",
                {"seat_claimed_once": 2},
            ),
            (
                lambda sold, seats: Hold.objects.filter(pk=sold.hold_id).update(
                    customer=CustomerFactory()
                ),
                "reservation {sold}: its hold is of another customer",
                {},
            ),
            (
                lambda sold, seats: Hold.objects.filter(pk=sold.hold_id).update(total_price=1),
                "reservation {sold}: its hold had another price",
                {},
            ),
            (
                lambda sold, seats: Ticket.objects.filter(seat=seats[0]).delete(),
                "reservation {sold}, seat {seat}: was held, but has no ticket",
                {"reservation_is_its_hold": 2, "reservation_announced": 1},
            ),
            (
                lambda sold, seats: SeatClaim.objects.filter(seat=seats[0]).delete(),
                "reservation {sold}, seat {seat}: has a ticket, but was not held",
                {},
            ),
            (
                lambda sold, seats: Ticket.objects.filter(seat=seats[0]).update(price=1),
                "reservation {sold}, seat {seat}: the ticket has another price",
                {"reservation_is_its_hold": 2},
            ),
            (
                lambda sold, seats: SeatClaim.objects.filter(seat=seats[0]).update(
                    ended_at=timezone.now()
                ),
                "reservation {sold}, seat {seat}: the seat has been given up, the reservation has not",
                {},
            ),
        ],
    )
    def test_a_difference_is_found(
        self,
        sold: Reservation,
        seats: list[Seat],
        plant: Callable[[Reservation, list[Seat]], object],
        example: str,
        also: dict[str, int],
    ) -> None:
        plant(sold, seats)

        assert breaches() == {"reservation_is_its_hold": 1} | also
        assert example.format(sold=sold.pk, seat=seats[0].pk) in found("reservation_is_its_hold")

    def test_one_without_tickets_is_found(self, sold: Reservation) -> None:
        Ticket.objects.filter(reservation=sold).delete()
        SeatClaim.objects.filter(hold=sold.hold_id).delete()

        assert breaches() == {"reservation_is_its_hold": 1, "reservation_announced": 1}
        assert found("reservation_is_its_hold") == [f"reservation {sold.pk}: has no tickets"]

    def test_another_sum_of_tickets_and_claims_is_found(
        self, sold: Reservation, seats: list[Seat]
    ) -> None:
        for model in (Ticket, SeatClaim):
            model.objects.filter(seat=seats[0]).update(price=1)

        assert breaches() == {"reservation_is_its_hold": 1}
        assert found("reservation_is_its_hold") == [
            f"reservation {sold.pk}: its tickets cost 50001 of 100000 won"
        ]

    def test_another_price_of_a_claim_is_found(self, sold: Reservation, seats: list[Seat]) -> None:
        SeatClaim.objects.filter(seat=seats[0]).update(price=1)

        assert breaches() == {"reservation_is_its_hold": 1}

    def test_a_claim_for_another_performance_is_found(
        self, sold: Reservation, seats: list[Seat]
    ) -> None:
        SeatClaim.objects.filter(seat=seats[0]).update(performance=PerformanceFactory())

        assert breaches() == {"reservation_is_its_hold": 2}
        assert found("reservation_is_its_hold") == [
            f"hold {sold.hold_id}, seat {seats[0].pk}: claimed for another performance",
            f"hold {sold.hold_id}, seat {seats[0].pk}: the seat is of another performance",
        ]

    def test_a_seat_of_another_performance_is_found(
        self, sold: Reservation, seats: list[Seat]
    ) -> None:
        [elsewhere] = Seat.objects.of_performance(PerformanceFactory(seats=1).pk)
        held = hold(CustomerFactory(), seats[5:6])  # not paid yet
        SeatClaim.objects.filter(hold=held).update(seat=elsewhere)

        assert breaches() == {"reservation_is_its_hold": 1}
        assert found("reservation_is_its_hold") == [
            f"hold {held.pk}, seat {elsewhere.pk}: the seat is of another performance"
        ]

    def test_a_ticket_for_another_performance_is_found(
        self, sold: Reservation, seats: list[Seat]
    ) -> None:
        [elsewhere] = Seat.objects.of_performance(PerformanceFactory(seats=1).pk)
        Ticket.objects.filter(seat=seats[0]).update(seat=elsewhere)

        assert breaches() == {"reservation_is_its_hold": 2, "reservation_announced": 1}

    def test_a_payment_after_the_end_is_found(self, sold: Reservation) -> None:
        late = sold.hold.expires_at + timedelta(seconds=1)

        with unprotected((Hold, "hold_confirmed_before_it_expired")):
            Hold.objects.filter(pk=sold.hold_id).update(ended_at=late)
            Reservation.objects.filter(pk=sold.pk).update(reserved_at=late)

        assert breaches() == {"reservation_is_its_hold": 1}
        assert found("reservation_is_its_hold") == [
            f"reservation {sold.pk}: confirmed when its hold was over"
        ]

    def test_a_paid_hold_without_a_reservation_is_found(
        self, sold: Reservation, seats: list[Seat]
    ) -> None:
        held = hold(CustomerFactory(), seats[5:6])
        Hold.objects.filter(pk=held.pk).update(status="CONFIRMED", ended_at=held.held_at)

        assert breaches() == {"reservation_is_its_hold": 1}
        assert found("reservation_is_its_hold") == [
            f"hold {held.pk}: paid, but without a reservation"
        ]

    def test_a_cancelled_one_that_keeps_its_seat_is_found(
        self, sold: Reservation, seats: list[Seat]
    ) -> None:
        cancel(sold)
        SeatClaim.objects.filter(seat=seats[1]).update(ended_at=None)

        assert breaches() == {"reservation_is_its_hold": 1}
        assert found("reservation_is_its_hold") == [
            f"reservation {sold.pk}, seat {seats[1].pk}: cancelled, but the seat is still taken"
        ]


class TestSeatLimitKept:
    def test_a_seat_too_many_is_found(self, sold: Reservation, seats: list[Seat]) -> None:
        other = hold(CustomerFactory(), seats[5:6])
        Hold.objects.filter(pk=other.pk).update(customer=sold.customer_id)

        assert breaches() == {"seat_limit_kept": 1}
        assert found("seat_limit_kept") == [
            f"customer {sold.customer_id}, hold {other.pk}: 3 seats of 2"
        ]

    def test_one_that_was_given_up_since_is_found(
        self, sold: Reservation, seats: list[Seat]
    ) -> None:
        let_go = hold(CustomerFactory(), seats[5:6])
        release_hold(customer_id=let_go.customer_id, hold_id=let_go.pk)
        Hold.objects.filter(pk=let_go.pk).update(customer=sold.customer_id)

        assert breaches() == {"seat_limit_kept": 1}

    def test_the_limit_of_that_time_counts(self, sold: Reservation) -> None:
        Hold.objects.filter(pk=sold.hold_id).update(seat_limit=1)

        assert breaches() == {"seat_limit_kept": 1}
        assert found("seat_limit_kept") == [
            f"customer {sold.customer_id}, hold {sold.hold_id}: 2 seats of 1"
        ]

    def test_seats_one_after_the_other_are_fine(self, seats: list[Seat]) -> None:
        customer = CustomerFactory()
        overdue_hold(customer, seats[:2])
        for _ in range(3):
            held = hold(customer, seats[:2])
            release_hold(customer_id=customer.pk, hold_id=held.pk)

        assert breaches() == {}

    def test_seats_in_the_moment_in_which_others_end_are_fine(self, seats: list[Seat]) -> None:
        customer = CustomerFactory()
        first = hold(customer, seats[:2])
        release_hold(customer_id=customer.pk, hold_id=first.pk)
        first.refresh_from_db()
        second = hold(customer, seats[:2])
        Hold.objects.filter(pk=second.pk).update(held_at=first.ended_at)

        assert breaches() == {}


class TestUnpaidLimitKept:
    @pytest.fixture
    def other_date(self, performance: Performance) -> list[Seat]:
        return list(PerformanceFactory(concert=performance.concert, seats=2).seats.all())

    @pytest.mark.parametrize("end", ["", "release", "over"])
    def test_a_seat_too_many_of_all_dates_is_found(
        self, seats: list[Seat], other_date: list[Seat], end: str
    ) -> None:
        first, customer = hold(CustomerFactory(), seats[:2]), CustomerFactory()
        second = hold(customer, other_date[:1])
        if end == "release":
            release_hold(customer_id=customer.pk, hold_id=second.pk)
        elif end == "over":
            Hold.objects.filter(pk=second.pk).update(
                status="EXPIRED", ended_at=models.F("expires_at")
            )
            SeatClaim.objects.filter(hold=second).update(ended_at=second.expires_at)
        Hold.objects.filter(pk=first.pk).update(customer=customer)

        assert breaches() == {"unpaid_limit_kept": 1}
        assert found("unpaid_limit_kept") == [
            f"customer {customer.pk}, hold {second.pk}: 3 unpaid seats of 2"
        ]

    def test_what_was_paid_before_is_fine(self, sold: Reservation, other_date: list[Seat]) -> None:
        hold(sold.customer, other_date[:2])

        assert breaches() == {}

    def test_holds_from_before_the_limit_are_fine(
        self, seats: list[Seat], other_date: list[Seat]
    ) -> None:
        first, customer = hold(CustomerFactory(), seats[:2]), CustomerFactory()
        hold(customer, other_date[:1])
        Hold.objects.filter(pk=first.pk).update(customer=customer)
        Hold.objects.update(unpaid_limit=None)

        assert breaches() == {}


class TestHoldExtendedOnce:
    @pytest.mark.parametrize(
        ("columns", "described"),
        [
            ({"extended_at": 1}, "extended, but not on record when or from when"),
            ({"extended_at": -1, "extended_from": 300}, "extended before it was made"),
            ({"extended_at": 300, "extended_from": 300}, "extended when it was over"),
            (
                {"extended_at": 9, "extended_from": 300, "expires_at": 601},
                "00:05:01 longer than its first 00:05:00",
            ),
        ],
    )
    def test_one_against_the_rules_is_found(
        self, seats: list[Seat], columns: dict[str, int], described: str
    ) -> None:
        held = hold(CustomerFactory(), seats[:1])
        times = {name: held.held_at + timedelta(seconds=at) for name, at in columns.items()}
        with unprotected((Hold, "hold_extended_once")):
            Hold.objects.filter(pk=held.pk).update(
                **{"expires_at": held.held_at + timedelta(seconds=600)} | times
            )

        assert breaches() == {"hold_extended_once": 1}
        assert found("hold_extended_once") == [f"hold {held.pk}: {described}"]

    def test_one_whose_seats_were_taken_from_it_is_found(self, seats: list[Seat]) -> None:
        held = hold(CustomerFactory(), seats[:1])
        extend_hold(customer_id=held.customer_id, hold_id=held.pk)
        Hold.objects.filter(pk=held.pk).update(status="EXPIRED", ended_at=held.expires_at)
        SeatClaim.objects.update(ended_at=held.expires_at)

        assert breaches() == {"hold_extended_once": 1}

    def test_one_by_the_rules_is_fine(self, seats: list[Seat]) -> None:
        held = hold(CustomerFactory(), seats[:1])
        extend_hold(customer_id=held.customer_id, hold_id=held.pk)
        assert breaches() == {}
        release_hold(customer_id=held.customer_id, hold_id=held.pk)

        assert breaches() == {}


class TestHoldCanBePaid:
    def test_one_that_no_wallet_has_room_for_is_found(self, seats: list[Seat]) -> None:
        held = hold(CustomerFactory(), seats[:1])
        Hold.objects.filter(pk=held.pk).update(total_price=10_000_001)

        assert breaches() == {"hold_can_be_paid": 1}
        assert found("hold_can_be_paid") == [
            f"hold {held.pk}: costs 10000001 won, a balance may be 10000000"
        ]

    def test_one_that_is_over_is_fine(self, seats: list[Seat]) -> None:
        held = overdue_hold(CustomerFactory(), seats[:1])
        Hold.objects.filter(pk=held.pk).update(total_price=10_000_001)

        assert breaches() == {}


class TestReservationAnnounced:
    def test_a_lost_event_is_found(self, untold: Reservation) -> None:
        event = OutboxEvent.objects.get(payload__reservation_id=str(untold.pk))
        event.deliveries.all().delete()
        event.delete()

        assert breaches() == {"reservation_announced": 1}
        assert found("reservation_announced") == [
            f"reservation {untold.pk} (CONFIRMED): told 0 times as confirmed, 0 times as cancelled"
        ]

    def test_an_event_that_was_told_twice_is_found(self, untold: Reservation) -> None:
        event = OutboxEvent.objects.get(payload__reservation_id=str(untold.pk))
        run_in_transaction(
            lambda: record_event(
                type=event.type, payload=event.payload, occurred_at=event.occurred_at
            )
        )

        assert breaches() == {"reservation_announced": 1}

    def test_a_cancellation_that_nobody_told_is_found(self, untold: Reservation) -> None:
        cancel(untold)
        [event] = OutboxEvent.objects.filter(type=RESERVATION_CANCELLED)
        event.deliveries.all().delete()
        event.delete()

        assert breaches() == {"reservation_announced": 1}

    def test_an_event_of_nothing_is_found(self, untold: Reservation) -> None:
        run_in_transaction(
            lambda: record_event(type=RESERVATION_CANCELLED, payload={}, occurred_at=timezone.now())
        )

        assert breaches() == {"reservation_announced": 1}

    @pytest.mark.parametrize(
        ("change", "another"),
        [
            ({"customer_id": 0}, "customer"),
            ({"performance_id": 0}, "performance"),
            ({"total_price": 1}, "price"),
            ({"total_price": "cheap"}, "price"),
            ({"seats": []}, "choice of seats"),
            ({"seats": [{"seat_id": 0}]}, "choice of seats"),
            ({"seats": None}, "choice of seats"),
            ({"seat_count": 2}, "choice of seats"),
        ],
    )
    def test_an_event_of_something_else_is_found(
        self, untold: Reservation, change: dict[str, object], another: str
    ) -> None:
        event = OutboxEvent.objects.get(payload__reservation_id=str(untold.pk))
        OutboxEvent.objects.filter(pk=event.pk).update(payload=event.payload | change)

        assert breaches() == {"reservation_announced": 1}
        assert found("reservation_announced") == [
            f"reservation {untold.pk} (CONFIRMED): told 1 times as confirmed, 0 times as cancelled,"
            f" with another {another}"
        ]

    def test_a_cancellation_of_something_else_is_found(self, untold: Reservation) -> None:
        cancel(untold)
        event = OutboxEvent.objects.get(type=RESERVATION_CANCELLED)
        OutboxEvent.objects.filter(pk=event.pk).update(payload=event.payload | {"customer_id": 0})

        assert breaches() == {"reservation_announced": 2}


class TestEventDelivered:
    def test_a_consumer_that_was_forgotten_is_found(self, sold: Reservation) -> None:
        [forgotten] = EventDelivery.objects.filter(consumer="external_sync")
        forgotten.delete()

        assert breaches() == {"event_delivered": 1}
        assert found("event_delivered") == [
            f"event {forgotten.event_id}: no delivery to external_sync"
        ]

    def test_a_second_delivery_is_found(self, sold: Reservation) -> None:
        with unprotected((EventDelivery, "event_delivered_once")):
            [delivery] = EventDelivery.objects.filter(consumer="token_expiry")
            delivery.pk = None
            delivery.save()

        assert breaches() == {"event_delivered": 1}

    def test_pending_and_dead_ones_are_counted_and_no_breach(self, untold: Reservation) -> None:
        given_up = EventDelivery.objects.pending().filter(consumer="token_expiry")
        given_up.update(status="DEAD", attempts=MAX_ATTEMPTS)

        [counts] = [one.counts for one in check() if one.name == "event_delivered"]

        assert breaches() == {}
        assert counts == {"pending": 2, "dead": 1}


class TestDeliveriesTried:
    def make_due(self, consumer: str, **ago: float) -> EventDelivery:
        delivery = EventDelivery.objects.pending().get(consumer=consumer)
        delivery.next_attempt_at = timezone.now() - timedelta(**ago)
        delivery.save()
        return delivery

    def test_one_that_nobody_tries_is_found(self, untold: Reservation) -> None:
        stuck = self.make_due("token_expiry", minutes=61)

        assert breaches() == {"deliveries_tried": 1}
        assert (
            f"token_expiry: event {stuck.event_id} has been due since"
            in found("deliveries_tried")[0]
        )

    def test_one_that_is_late_is_none(self, untold: Reservation) -> None:
        self.make_due("token_expiry", minutes=59)

        assert breaches() == {}

    def test_what_waits_for_an_unhealthy_receiver_is_none(self, untold: Reservation) -> None:
        now = timezone.now()
        self.make_due("external_sync", days=2)
        Receiver.objects.create(
            consumer="external_sync",
            failures=99,
            failing_since=now - timedelta(days=2),
            unhealthy_since=now - timedelta(days=2),
            next_probe_at=now + timedelta(minutes=5),
        )

        assert breaches() == {}

    def test_an_unhealthy_receiver_that_is_not_probed_is_found(self, untold: Reservation) -> None:
        ago = timezone.now() - timedelta(minutes=61)
        self.make_due("external_sync", days=2)
        Receiver.objects.create(
            consumer="external_sync", failing_since=ago, unhealthy_since=ago, next_probe_at=ago
        )

        assert breaches() == {"deliveries_tried": 1}

    @pytest.mark.parametrize(("minutes", "breach"), [(59, {}), (61, {"deliveries_tried": 1})])
    def test_the_backlog_of_one_that_is_back_has_its_time(
        self, untold: Reservation, minutes: int, breach: dict[str, int]
    ) -> None:
        self.make_due("external_sync", days=2)
        recovered_at = timezone.now() - timedelta(minutes=minutes)
        Receiver.objects.create(consumer="external_sync", recovered_at=recovered_at)

        assert breaches() == breach

    @pytest.mark.parametrize("attempts", [0, MAX_ATTEMPTS - 1])
    def test_one_given_up_before_the_last_attempt_is_found(
        self, untold: Reservation, attempts: int
    ) -> None:
        EventDelivery.objects.pending().filter(consumer="external_sync").update(
            status="DEAD", attempts=attempts, last_error="DeliveryPostponed: HTTP 404: not found"
        )

        assert breaches() == {"deliveries_tried": 1}
        [dead] = EventDelivery.objects.dead()
        assert found("deliveries_tried") == [
            f"event {dead.event_id}: given up by external_sync after {attempts} attempts,"
            " though nobody refused it"
        ]

    @pytest.mark.parametrize(
        ("attempts", "error"),
        [(1, "DeliveryRefused: HTTP 410: gone"), (MAX_ATTEMPTS, "DeliveryPostponed: HTTP 404: ")],
    )
    def test_one_that_was_given_up_rightly_is_none(
        self, untold: Reservation, attempts: int, error: str
    ) -> None:
        EventDelivery.objects.pending().filter(consumer="external_sync").update(
            status="DEAD", attempts=attempts, last_error=error
        )

        assert breaches() == {}


class TestRankingRecounted:
    def test_another_figure_in_the_store_is_found(self, sold: Reservation, store) -> None:
        today = venue_day(timezone.now()).isoformat()
        # Sums of all time take all of the table, so they are left to the check of everything.
        window, key_end = ("all", "all") if span is None else (today, f"day:{today}")
        [key] = store.keys(f"*ranking*:{key_end}")
        concert_id = sold.performance.concert_id
        store.zincrby(key, 5, concert_id)

        assert breaches() == {"ranking_recounted": 1}
        assert found("ranking_recounted") == [
            f"concert {concert_id}, {window}: shows 6, recorded 1"
        ]

    def test_a_sale_that_was_not_recorded_is_found(self, sold: Reservation) -> None:
        RankingEntry.objects.all().delete()
        rebuild_ranking()

        assert breaches() == {"ranking_recounted": 1, "seats_counted": 1}
        [event] = OutboxEvent.objects.all()
        assert found("ranking_recounted") == [
            f"event {event.pk}: delivered, but not in the ranking"
        ]

    def test_a_sale_that_never_happened_is_found(self, sold: Reservation) -> None:
        [entry] = RankingEntry.objects.all()
        entry.pk = uuid4()
        entry.save(force_insert=True)
        rebuild_ranking()

        assert breaches() == {"ranking_recounted": 1, "seats_counted": 1}
        assert found("ranking_recounted") == [
            f"event {entry.pk}: in the ranking, but never happened"
        ]

    @pytest.mark.parametrize(
        ("change", "performances"),
        [("performance", 2), ("concert", 0), ("seats", 1), ("sign", 1), ("time", 0)],
    )
    def test_a_sale_of_something_else_is_found(
        self, sold: Reservation, change: str, performances: int
    ) -> None:
        other = PerformanceFactory()
        RankingEntry.objects.update(
            **{
                "performance": {"performance": other},
                "concert": {"concert": other.concert},
                "seats": {"seats": 3},
                "sign": {"seats": -2, "reservations": -1},
                "time": {"occurred_at": timezone.now() + timedelta(days=1)},
            }[change]
        )
        rebuild_ranking()

        miscounted = {"seats_counted": performances} if performances else {}
        assert breaches() == {"ranking_recounted": 1, **miscounted}
        [event] = OutboxEvent.objects.all()
        assert found("ranking_recounted") == [
            f"event {event.pk}: the ranking counted something else"
        ]

    def test_is_not_checked_while_the_store_is_unavailable(
        self, sold: Reservation, settings
    ) -> None:
        settings.QUEUE_URL = NOWHERE
        RankingEntry.objects.all().delete()

        [result] = [one for one in check() if one.name == "ranking_recounted"]

        assert result.not_checked == "store unavailable"
        assert result.breaches == 1  # the part that needs no store

    def test_is_not_checked_while_it_is_lost(self, sold: Reservation, store) -> None:
        store.flushall()

        [result] = [one for one in check() if one.name == "ranking_recounted"]

        assert (result.not_checked, result.breaches) == ("not built", 0)


class TestSeatsCounted:
    @pytest.mark.parametrize("change", ["seats_total", "seats_unblocked", "seats_sold"])
    def test_a_count_that_is_wrong_is_found(
        self, sold: Reservation, performance: Performance, change: str
    ) -> None:
        consume_events()
        assert breaches() == {}

        Performance.objects.filter(pk=performance.pk).update(**{change: models.F(change) + 1})

        assert breaches() == {"seats_counted": 1}
        [example] = found("seats_counted")
        assert example.startswith(f"performance {performance.pk}: ")

    def test_a_seat_behind_its_back_is_found(
        self, performance: Performance, seats: list[Seat]
    ) -> None:
        Seat.objects.filter(pk=seats[0].pk).update(is_blocked=True)

        number = len(seats)
        wrong = (
            f"performance {performance.pk}: {number} seats, {number} not blocked, 0 sold, "
            f"where {number}, {number - 1} and 0 are"
        )
        # Nothing tells that lately something was wrong here: no sale, no cancellation.
        assert found("seats_counted") == ([wrong] if span is None else [])


class TestCapacityKept:
    def test_a_visitor_too_many_is_found(self, performance: Performance) -> None:
        room: WaitingRoom = WaitingRoomFactory(concert=performance.concert, capacity=1)
        now = timezone.now()
        for minutes in (10, 9):
            QueueExitFactory(
                concert=room.concert,
                admitted_at=now - timedelta(minutes=minutes),
                ended_at=now - timedelta(minutes=5),
            )

        assert breaches() == {"capacity_kept": 1}
        assert "2 active of 1" in found("capacity_kept")[0]


class TestIdempotencyKeyOnce:
    @pytest.fixture
    def record(self) -> IdempotencyRecord:
        visitor = Visitor(CustomerFactory())
        visitor.post("/balance/charges", {"amount": 1_000}, key="once")
        assert breaches() == {}
        return IdempotencyRecord.objects.get()

    def test_a_second_effect_is_found(self, record: IdempotencyRecord) -> None:
        charge = partial(charge_wallet, customer_id=record.customer_id, amount=1_000)
        second = run_in_transaction(charge)
        [first, _] = LedgerTransaction.objects.order_by("sequence")
        with unprotected((IdempotencyRecord, "idempotency_key_once")):
            record.pk = None
            record.body = bytes(record.body).replace(
                str(first.pk).encode(), str(second.pk).encode()
            )
            record.save()

        assert breaches() == {"idempotency_key_once": 1}
        assert found("idempotency_key_once") == [
            f"customer {record.customer_id}, payments.charge, key once: used 2 times"
        ]

    def test_an_effect_of_two_keys_is_found(self, record: IdempotencyRecord) -> None:
        record.pk, record.key = None, "twice"
        record.save()

        assert breaches() == {"idempotency_key_once": 1}
        [booked] = LedgerTransaction.objects.all()
        assert found("idempotency_key_once") == [f"payments.charge: several keys made {booked.pk}"]

    def test_an_answer_without_its_effect_is_found(self, record: IdempotencyRecord) -> None:
        record.pk, record.key = None, "lost"
        [booked] = LedgerTransaction.objects.all()
        record.body = bytes(record.body).replace(str(booked.pk).encode(), str(uuid4()).encode())
        record.save()

        assert breaches() == {"idempotency_key_once": 1}
        assert found("idempotency_key_once") == [
            f"customer {record.customer_id}, payments.charge, key lost: answered, but without effect"
        ]

    def test_an_answer_of_another_kind_is_found(self, record: IdempotencyRecord) -> None:
        IdempotencyRecord.objects.filter(pk=record.pk).update(operation="reservations.confirm")

        assert breaches() == {"idempotency_key_once": 1}

    def test_an_unreadable_answer_is_found(self, record: IdempotencyRecord) -> None:
        IdempotencyRecord.objects.filter(pk=record.pk).update(body=b"\xff\x00\\ no JSON at all")

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


class TestCheckInvariants:
    def test_names_ten_examples_and_counts_all(self, seats: list[Seat]) -> None:
        for _ in range(12):
            WalletFactory(balance=1_000)
        with unprotected():
            Wallet.objects.update(balance=1)

        [result] = [one for one in check() if one.breaches]

        assert result.breaches == 12
        assert len(result.examples) == 10

    def test_tells_each_result_as_it_is_there(self) -> None:
        told: list[str] = []

        results = check_invariants(on_progress=lambda one: told.append(one.name))

        assert told == [result.name for result in results]

    def test_is_not_bound_by_the_time_a_request_may_take(self) -> None:
        with connection.cursor() as cursor:
            cursor.execute("SET LOCAL statement_timeout = '1ms'")

        assert len(check_invariants()) == len(INVARIANTS)

    def test_gives_up_when_its_own_time_is_over(self) -> None:
        with pytest.raises(TimeoutError, match=f"0 of {len(INVARIANTS)} checked"):
            check_invariants(seconds=0.0)

    def test_gives_up_on_a_statement_that_takes_too_long(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def slow(since: datetime | None) -> Findings:
            return found_by("SELECT pg_sleep(60)::text")

        monkeypatch.setitem(INVARIANTS, "balance_is_ledger", ("Sleeps.", slow))

        with pytest.raises(OperationalError, match="statement timeout"):
            check_invariants(seconds=1.0)

    def test_takes_one_statement_or_few_for_each(
        self, sold: Reservation, django_assert_max_num_queries
    ) -> None:
        """However many rows there are."""
        with django_assert_max_num_queries(5 * len(INVARIANTS)):
            check()


class TestWhatIsOld:
    """A check of what has changed lately leaves it to the one of everything."""

    def age(self) -> None:
        """Let everything have happened a day before."""
        connection.check_constraints()
        with pgtrigger.ignore():
            for model in apps.get_models():
                times = [
                    field.name
                    for field in model._meta.concrete_fields
                    if isinstance(field, models.DateField)  # or one of its subclass with a time
                ]
                if times and model.__module__.startswith("apps."):
                    day = {name: models.F(name) - timedelta(days=1) for name in times}
                    model._base_manager.update(**day)
            connection.check_constraints()

    @pytest.mark.parametrize(
        ("plant", "broken"),
        [
            (
                lambda sold: SeatClaim.objects.update(ended_at=timezone.now()),
                {"reservation_is_its_hold": 2},
            ),
            (
                lambda sold: Hold.objects.update(status="RELEASED"),
                {"seat_claimed_once": 2, "reservation_is_its_hold": 1},
            ),
            (lambda sold: Wallet.objects.update(balance=5), {"balance_is_ledger": 1}),
            (lambda sold: LedgerEntry.objects.update(customer=None), {"ledger_balanced": 2}),
            (
                lambda sold: LedgerTransaction.objects.filter(type="PAYMENT").update(
                    reference=uuid4()
                ),
                {"reservation_paid": 2},
            ),
            (lambda sold: Hold.objects.update(seat_limit=1), {"seat_limit_kept": 1}),
            (lambda sold: Hold.objects.update(unpaid_limit=1), {"unpaid_limit_kept": 1}),
            (
                lambda sold: OutboxEvent.objects.update(payload={}),
                {"reservation_announced": 2, "ranking_recounted": 1},
            ),
            (
                lambda sold: EventDelivery.objects.filter(consumer="token_expiry").delete(),
                {"event_delivered": 1},
            ),
            (lambda sold: RankingEntry.objects.update(seats=3), {"ranking_recounted": 1}),
            (
                lambda sold: QueueExitFactory.create_batch(
                    2,
                    concert=WaitingRoomFactory(capacity=1).concert,
                    admitted_at=timezone.now() - timedelta(minutes=1),
                ),
                {"capacity_kept": 1},
            ),
            (
                lambda sold: IdempotencyRecord.objects.create(
                    customer_id=sold.customer_id, operation="payments.charge", key="k", status=200
                ),
                {"idempotency_key_once": 1},
            ),
        ],
    )
    def test_is_found_at_night(
        self, sold: Reservation, plant: Callable[[Reservation], object], broken: dict[str, int]
    ) -> None:
        with unprotected((LedgerEntry, "ledger_entry_customer_fits_account")):
            plant(sold)
        fresh = breaches()
        self.age()
        rebuild_ranking()

        assert fresh.items() >= broken.items()
        assert breaches() == (fresh if span is None else {})


class TestAfterAPurge:
    @pytest.fixture(autouse=True)
    def _short(self, settings) -> None:
        settings.EVENT_RETENTION = settings.UNPAID_HOLD_RETENTION = timedelta(days=2)

    def age(self, days: int) -> None:
        for _ in range(days):
            TestWhatIsOld().age()
        rebuild_ranking()

    def test_nothing_is_missed(self, sold: Reservation, seats: list[Seat]) -> None:
        cancelled = reservation(CustomerFactory(), seats[4:5])
        cancel(cancelled)
        late = reservation(CustomerFactory(), seats[5:6])
        consume_events()
        release_hold(
            customer_id=hold(released := CustomerFactory(), seats[6:7]).customer_id,
            hold_id=Hold.objects.get(customer=released).pk,
        )
        self.age(3)
        cancel(late)
        reservation(CustomerFactory(), seats[7:8])
        consume_events()

        purge_all()

        assert OutboxEvent.objects.count() == 2
        assert not Hold.objects.filter(status="RELEASED").exists()
        assert breaches() == {}

    def test_what_should_be_there_is_missed(self, sold: Reservation, seats: list[Seat]) -> None:
        self.age(3)
        purge_all()
        recent = reservation(CustomerFactory(), seats[5:6])
        consume_events()
        EventDelivery.objects.all().delete()
        OutboxEvent.objects.all().delete()

        assert breaches() == {"reservation_announced": 1, "ranking_recounted": 1}
        assert str(recent.pk) in found("reservation_announced")[0]

    def test_a_longer_retention_asks_for_nothing_that_is_gone(
        self, sold: Reservation, settings
    ) -> None:
        self.age(3)
        purge_all()

        settings.EVENT_RETENTION = timedelta(days=365)

        assert breaches() == {}

    def test_what_was_not_consumed_stays(self, sold: Reservation) -> None:
        EventDelivery.objects.filter(consumer="external_sync").update(
            status="DEAD", attempts=MAX_ATTEMPTS, done_at=None
        )
        self.age(3)

        purge_all()

        assert OutboxEvent.objects.count() == 1
        assert breaches() == {}


class TestWhileSalesGoOn:
    @pytest.mark.django_db(transaction=True)
    def test_raises_no_false_alarm(self, race) -> None:
        performance = PerformanceFactory(seats=12, concert__seats_per_customer=2)
        seats = list(Seat.objects.of_performance(performance.pk).in_map_order())
        customers: list[User] = [WalletFactory(balance=1_000_000).customer for _ in range(3)]
        rebuild_ranking()
        done: list[bool] = []

        def sell(customer: User, own: list[Seat]) -> None:
            for _ in range(8):
                reserved = reservation(customer, own)
                consume_events()
                cancel(reserved)
            done.append(True)

        def check() -> set[str]:
            alarms: set[str] = set()
            while len(done) < len(customers):
                alarms |= breaches().keys()
            return alarms

        sellers = [
            partial(sell, customer, seats[2 * n : 2 * n + 2])
            for n, customer in enumerate(customers)
        ]
        *sold, alarms = race([*sellers, check])

        assert sold == [None] * 3
        assert alarms == set()
        assert Reservation.objects.count() == 24
