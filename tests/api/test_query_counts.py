"""Pin what lists and sales cost in statements: however long a list is, and with the reason for each count."""

from collections.abc import Callable
from datetime import timedelta
from functools import partial
from typing import Any
from uuid import uuid4

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from apps.concerts.models import Concert, Performance, Seat
from apps.core import caching
from apps.core.caching import clear_process_caches
from tests.api.conftest import Caller, customer_in, logged_in
from tests.factories.accounts import CustomerFactory
from tests.factories.concerts import ConcertFactory, PerformanceFactory, RankingEntryFactory
from tests.factories.payments import WalletFactory
from tests.factories.reservations import hold, reservation
from tests.factories.visitors import Visitor, admitted_visitor

pytestmark = pytest.mark.django_db

STRANGER = Caller({})
LOGIN = 1  # the access token with its customer
GATE = 1  # what the queue token must be for; the token itself needs no SQL
PAGE = 2  # the items, and how many there are in all
MANY = 20
LARGE_HALL = 5_000

Cost = Callable[..., None]


@pytest.fixture
def cost() -> Cost:
    """`cost(caller, path, queries=2, items=20)`, with nothing kept from before."""

    def check(caller: Caller, path: str, *, queries: int, items: int) -> None:
        clear_process_caches()
        with CaptureQueriesContext(connection) as captured:
            response = caller(f"GET {path}")
        data = response.json()["data"]
        shown = next(data[name] for name in ("items", "seats", "statuses") if name in data)
        assert len(shown) == items
        assert len(captured) == queries, [query["sql"] for query in captured]

    return check


@pytest.mark.parametrize("length", [1, MANY])
class TestPublicList:
    def test_of_popular_concerts(self, cost: Cost, length: int):
        RankingEntryFactory.create_batch(length)

        # No projection has been built here: the sums come from the table, the titles after them.
        cost(STRANGER, "/concerts/popular?limit=100", queries=2, items=length)

    def test_of_what_sold_out_fastest(self, cost: Cost, length: int):
        PerformanceFactory.create_batch(length, sold_out_at=timezone.now())

        # The past ones, which are known for a minute, and the others.
        cost(STRANGER, "/concerts/fastest-sold-out?limit=100", queries=2, items=length)


@pytest.mark.parametrize("length", [1, MANY])
class TestPersonalList:
    def test_of_reservations(self, cost: Cost, length: int):
        customer = WalletFactory(balance=5_000_000).customer
        for _ in range(length):
            performance = PerformanceFactory(seats=3, concert__seats_per_customer=3)
            reservation(customer, list(performance.seats.all()))

        # All the tickets, their seats with them; all the refunds; and what staff tell those who have them.
        cost(logged_in(customer), "/reservations", queries=LOGIN + PAGE + 3, items=length)

    def test_of_transactions(self, cost: Cost, length: int):
        wallet = WalletFactory(balance=1)
        for _ in range(length - 1):
            WalletFactory(customer=wallet.customer, balance=1)

        cost(
            logged_in(wallet.customer), "/balance/transactions", queries=LOGIN + PAGE, items=length
        )


class TestGatedList:
    @pytest.mark.parametrize("length", [1, MANY])
    def test_of_performances(self, cost: Cost, length: int):
        concert = ConcertFactory()
        for performance in PerformanceFactory.create_batch(length, concert=concert, seats=2):
            hold(CustomerFactory(), [performance.seats.first()])
        visitor = customer_in(concert.pk)

        # The claims, and the dates with the number of their seats.
        path = f"/concerts/{concert.pk}/performances"
        cost(visitor, path, queries=LOGIN + GATE + 2, items=length)

    @pytest.mark.parametrize("length", [1, LARGE_HALL])
    @pytest.mark.parametrize(
        ("part", "queries"),
        [
            ("seats", 2),  # claims and seats
            ("availability", 1),
            ("seat-map", 1),  # the seats; the version comes with the performance at the gate
        ],
    )
    def test_of_seats(self, cost: Cost, part: str, queries: int, length: int):
        performance = PerformanceFactory(seats=length)
        hold(CustomerFactory(), [performance.seats.first()])
        visitor = customer_in(performance.concert_id)

        path = f"/performances/{performance.pk}/{part}"
        cost(visitor, path, queries=LOGIN + GATE + queries, items=length)

    def test_of_the_seats_of_one_section(self, cost: Cost):
        performance = PerformanceFactory(seats=3)
        Seat.objects.filter(performance=performance, number=1).update(section="2")
        visitor = customer_in(performance.concert_id)

        path = f"/performances/{performance.pk}/seats?section=2"
        cost(visitor, path, queries=LOGIN + GATE + 2, items=1)


KEY = 3  # try its lock, look for an answer, keep the new one


@pytest.mark.django_db(transaction=True)
class TestSale:
    """Statements of the calls that a sale consists of, without BEGIN and COMMIT."""

    @pytest.fixture
    def performance(self) -> Performance:
        return PerformanceFactory(seats=3, concert__seats_per_customer=3)

    @pytest.fixture
    def visitor(self, performance: Performance) -> Visitor:
        return admitted_visitor(performance.concert_id)

    def costs(self, queries: int, call: Callable[[], Any]) -> Any:
        with CaptureQueriesContext(connection) as captured:
            response = call()
        assert response.status_code in (200, 201), response.content
        sent = [query["sql"] for query in captured if query["sql"] not in ("BEGIN", "COMMIT")]
        assert len(sent) == queries, sent
        return response.json()["data"]

    def hold(self, visitor: Visitor, performance: Performance, seats: int = 2, **key: str) -> Any:
        seat_ids = list(performance.seats.values_list("pk", flat=True)[:seats])
        body = {"performance_id": performance.pk, "seat_ids": seat_ids}
        return partial(visitor.post, "/holds", body, **key)

    @pytest.mark.parametrize("seats", [1, 3])
    def test_hold(self, visitor: Visitor, performance: Performance, seats: int):
        # The customer's lock, the rules and what the customer has, the seats' lock, what is in the way; the hold with its claims.
        self.costs(LOGIN + GATE + 4 + 1, self.hold(visitor, performance, seats))

    def test_hold_where_no_single_seat_may_be_left(self, performance: Performance):
        Concert.objects.update(single_seats="REFUSE")
        visitor = admitted_visitor(performance.concert_id)

        # And what is free in the rows.
        self.costs(LOGIN + GATE + 5 + 1, self.hold(visitor, performance, 3))

    def test_hold_with_a_key(self, visitor: Visitor, performance: Performance):
        self.costs(LOGIN + GATE + KEY + 4 + 1, self.hold(visitor, performance, key="k"))

    def test_hold_of_the_best(self, visitor: Visitor, performance: Performance):
        body = {"performance_id": performance.pk, "quantity": 2}

        # Before it: choosing; the lock of those who choose, what they have taken.
        call = partial(visitor.post, "/holds/best-available", body)
        self.costs(LOGIN + GATE + 3 + 4 + 1, call)

    @pytest.mark.parametrize("seats", [1, 3])
    def test_payment(self, visitor: Visitor, performance: Performance, seats: int):
        held = self.hold(visitor, performance, seats)().json()["data"]
        pay = partial(visitor.post, "/reservations", {"hold_id": held["hold_id"]}, key="p")

        # The locks of customer, seats, hold and wallet, the clock; money, reservation, event.
        self.costs(LOGIN + KEY + 5 + 3, pay)
        # The same call again writes nothing, and has to be asked what the token is for.
        self.costs(LOGIN + KEY - 1 + 5 + GATE, pay)

    def test_cancellation(self, visitor: Visitor, performance: Performance):
        held = self.hold(visitor, performance)().json()["data"]
        pay = visitor.post("/reservations", {"hold_id": held["hold_id"]}, key="p").json()["data"]
        path = f"/reservations/{pay['reservation_id']}/cancel"

        # Which hold it was; the four locks, the reservation and the clock; money, reservation, event.
        self.costs(LOGIN + KEY + 1 + 6 + 3, partial(visitor.post, path, key="c"))

    def test_release(self, visitor: Visitor, performance: Performance):
        held = self.hold(visitor, performance)().json()["data"]

        # Three locks, the clock with what is left of the lease; the end of the hold and of its claims.
        self.costs(LOGIN + 4 + 1, partial(visitor.delete, f"/holds/{held['hold_id']}"))

    def test_extension(self, visitor: Visitor, performance: Performance):
        held = self.hold(visitor, performance)().json()["data"]
        path = f"/holds/{held['hold_id']}/extend"

        # Three locks, the clock with the end of sales; whether the visit is over, by its room and by the exit log; the new end.
        self.costs(LOGIN + KEY + 4 + 2 + 1, partial(visitor.post, path, key="l"))

    def test_top_up(self, visitor: Visitor):
        charge = partial(visitor.post, "/balance/charges", {"amount": 5}, key="c")

        self.costs(LOGIN + KEY + 1 + 1, charge)


@pytest.mark.django_db(transaction=True)
class TestRefusalOfASale:
    def test_keeps_what_the_connection_has_prepared(self, monkeypatch):
        """Without them, the crowd before a seat that is taken would make the server plan every statement anew."""
        connection.ensure_connection()
        # None gives way to another one.
        monkeypatch.setattr(connection.connection, "prepared_max", None)
        performance = PerformanceFactory(seats=1)
        seat = performance.seats.get()
        hold(CustomerFactory(), [seat])
        late = admitted_visitor(performance.concert_id)
        body = {"performance_id": performance.pk, "seat_ids": [seat.pk]}
        assert late.post("/holds", body).status_code == 409
        before = self.prepared()

        refused = late.post("/holds", body)
        unknown = late.post("/reservations", {"hold_id": str(uuid4())}, key="k")

        assert (refused.status_code, unknown.status_code) == (409, 404)
        assert before
        assert self.prepared() >= before

    def prepared(self) -> set[str]:
        with connection.cursor() as cursor:
            cursor.execute("SELECT name FROM pg_prepared_statements")
            return {row[0] for row in cursor.fetchall()}


class TestWithoutSql:
    def test_is_the_status_of_a_queue_token(self, django_assert_num_queries):
        visitor = customer_in(PerformanceFactory(seats=1).concert_id)

        with django_assert_num_queries(0):
            status = visitor("GET /queue/tokens/me").json()["data"]

        assert status["status"] == "ACTIVE"

    @pytest.mark.parametrize(
        "path", ["/concerts/popular", "/concerts/fastest-sold-out", "/queue/concerts/{concert_id}"]
    )
    def test_is_what_the_process_knows_already(
        self, path: str, django_assert_num_queries, monkeypatch: pytest.MonkeyPatch
    ):
        for cache in caching._all_caches:
            monkeypatch.setattr(cache, "_clock", lambda: 0.0)
        performance = PerformanceFactory(sold_out_at=timezone.now() + timedelta(seconds=1))
        path = path.format(concert_id=performance.concert_id)
        first = STRANGER(f"GET {path}")

        with django_assert_num_queries(0):
            second = STRANGER(f"GET {path}")

        assert first.status_code == second.status_code == 200
        assert first.content == second.content
