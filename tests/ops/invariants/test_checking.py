"""The check itself: silent in an honest history, while sales go on and after a purge; bounded in time."""

from collections.abc import Callable
from datetime import datetime, timedelta
from functools import partial
from uuid import uuid4

import pytest
from django.db import OperationalError, connection
from django.utils import timezone

from apps.accounts.models import User
from apps.api.models import IdempotencyRecord
from apps.concerts.models import Concert, Performance, RankingEntry, Seat
from apps.concerts.services import rebuild_ranking
from apps.ops.invariants import INVARIANTS, check_invariants
from apps.ops.invariants.findings import Findings
from apps.ops.invariants.findings import breaches as found_by
from apps.ops.purging import purge_all
from apps.outbox.draining import MAX_ATTEMPTS
from apps.outbox.models import EventDelivery, OutboxEvent
from apps.payments.models import LedgerEntry, LedgerTransaction, Wallet
from apps.queue.services import admit_visitors
from apps.reservations.models import Hold, Reservation, SeatClaim
from apps.reservations.services import expire_holds, release_hold
from tests.factories.accounts import CustomerFactory
from tests.factories.payments import WalletFactory
from tests.factories.queue import QueueExitFactory, WaitingRoomFactory
from tests.factories.reservations import hold, overdue_hold, reservation
from tests.factories.visitors import Visitor
from tests.ops.invariants import planting
from tests.ops.invariants.planting import (
    adjust,
    age,
    breaches,
    broken,
    cancel,
    check,
    consume_events,
    unprotected,
)

pytestmark = pytest.mark.django_db


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
        adjust(buyer.pk, -1_000)

        assert breaches() == {}
        consume_events()
        assert breaches() == {}
        late.refresh_from_db()
        taken_over.refresh_from_db()
        assert late.status == taken_over.status == Hold.Status.EXPIRED
        assert not any(result.not_checked for result in check())
        assert IdempotencyRecord.objects.count() == 5  # one of each kind
        assert LedgerTransaction.objects.filter(type="REFUND").count() == 3

    def test_may_lower_the_seat_limit(self, sold: Reservation) -> None:
        Concert.objects.update(seats_per_customer=1)

        assert breaches() == {}

    def _buy_by_the_api(self, performance: Performance, seats: list[Seat]) -> None:
        """Let three visitors into a room for two; make every kind of call that takes a key, some twice."""
        first, second, third = (Visitor(CustomerFactory()) for _ in range(3))
        for visitor in (first, second, third):
            visitor.join(performance.concert_id)
        admit_visitors()
        for _ in range(2):
            first.post("/balance/charges", {"amount": 200_000}, key="charge")
        wanted = {"performance_id": performance.pk, "seat_ids": [seats[0].pk, seats[1].pk]}
        held = first.post("/holds", wanted, key="hold").json()["data"]
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


class TestCheckInvariants:
    def test_names_ten_examples_and_counts_all(self) -> None:
        WalletFactory.create_batch(12, balance=1_000)
        with unprotected():
            Wallet.objects.update(balance=1)

        [result] = [result for result in check() if result.breaches]

        assert result.breaches == 12
        assert len(result.examples) == 10

    def test_tells_each_result_as_it_is_there(self) -> None:
        told: list[str] = []

        results = check_invariants(on_progress=lambda result: told.append(result.name))

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

    def test_takes_few_statements_for_each_however_many_rows_there_are(
        self, sold: Reservation, django_assert_max_num_queries
    ) -> None:
        with django_assert_max_num_queries(5 * len(INVARIANTS)):
            check()


class TestWhatIsOld:
    """A check of what has changed lately leaves it to the one of everything."""

    @pytest.mark.parametrize(
        ("plant", "expected"),
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
        self, sold: Reservation, plant: Callable[[Reservation], object], expected: dict[str, int]
    ) -> None:
        with unprotected((LedgerEntry, "ledger_entry_customer_fits_account")):
            plant(sold)
        fresh = breaches()
        age()
        rebuild_ranking()

        assert fresh.items() >= expected.items()
        assert breaches() == (fresh if planting.span is None else {})


class TestAfterAPurge:
    @pytest.fixture(autouse=True)
    def _short(self, settings) -> None:
        settings.EVENT_RETENTION = settings.UNPAID_HOLD_RETENTION = timedelta(days=2)

    def let_three_days_pass(self) -> None:
        age(days=3)
        rebuild_ranking()

    def test_nothing_is_missed(self, sold: Reservation, held: Hold, seats: list[Seat]) -> None:
        cancel(reservation(CustomerFactory(), seats[4:5]))
        late = reservation(CustomerFactory(), seats[6:7])
        consume_events()
        release_hold(customer_id=held.customer_id, hold_id=held.pk)
        self.let_three_days_pass()
        cancel(late)
        reservation(CustomerFactory(), seats[7:8])
        consume_events()

        purge_all()

        assert OutboxEvent.objects.count() == 2
        assert not Hold.objects.filter(status="RELEASED").exists()
        assert breaches() == {}

    def test_what_should_be_there_is_missed(self, sold: Reservation, seats: list[Seat]) -> None:
        self.let_three_days_pass()
        purge_all()
        recent = reservation(CustomerFactory(), seats[5:6])
        consume_events()
        EventDelivery.objects.all().delete()
        OutboxEvent.objects.all().delete()

        found = broken()
        assert {name: len(examples) for name, examples in found.items()} == {
            "reservation_announced": 1,
            "ranking_recounted": 1,
        }
        assert str(recent.pk) in found["reservation_announced"][0]

    def test_a_longer_retention_asks_for_nothing_that_is_gone(
        self, sold: Reservation, settings
    ) -> None:
        self.let_three_days_pass()
        purge_all()

        settings.EVENT_RETENTION = timedelta(days=365)

        assert breaches() == {}

    def test_what_was_not_consumed_stays(self, sold: Reservation) -> None:
        EventDelivery.objects.filter(consumer="external_sync").update(
            status="DEAD", attempts=MAX_ATTEMPTS, done_at=None
        )
        self.let_three_days_pass()

        purge_all()

        assert OutboxEvent.objects.count() == 1
        assert breaches() == {}


class TestWhileSalesGoOn:
    @pytest.mark.django_db(transaction=True)
    def test_raises_no_false_alarm(self, performance: Performance, seats: list[Seat], race) -> None:
        customers: list[User] = [WalletFactory(balance=1_000_000).customer for _ in range(3)]
        rebuild_ranking()
        done: list[bool] = []

        def sell(customer: User, own: list[Seat]) -> None:
            for _ in range(8):
                reserved = reservation(customer, own)
                consume_events()
                cancel(reserved)
            done.append(True)

        def watch() -> set[str]:
            alarms: set[str] = set()
            while len(done) < len(customers):
                alarms |= breaches().keys()
            return alarms

        sellers = [
            partial(sell, customer, seats[2 * n : 2 * n + 2])
            for n, customer in enumerate(customers)
        ]
        *sold, alarms = race([*sellers, watch])

        assert sold == [None] * 3
        assert alarms == set()
        assert Reservation.objects.count() == 24
