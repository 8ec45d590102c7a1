"""What a list costs does not depend on how long it is. Every count is pinned: whoever changes one says why."""

from collections.abc import Callable
from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from apps.concerts.models import Seat
from apps.shared import caching
from apps.shared.caching import forget_everything
from tests.api.conftest import Caller, customer_in, logged_in
from tests.factories.accounts import CustomerFactory
from tests.factories.concerts import ConcertFactory, PerformanceFactory, RankingEntryFactory
from tests.factories.payments import WalletFactory
from tests.factories.reservations import hold, reservation

pytestmark = pytest.mark.django_db

ANYBODY = Caller({})
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
        forget_everything()
        with CaptureQueriesContext(connection) as captured:
            response = caller(f"GET {path}")
        data = response.json()["data"]
        shown = next(data[name] for name in ("items", "seats", "statuses") if name in data)
        assert len(shown) == items
        assert len(captured) == queries, [query["sql"] for query in captured]

    return check


@pytest.mark.parametrize("length", [1, MANY])
class TestPublicList:
    def test_of_concerts(self, cost: Cost, length: int):
        for concert in ConcertFactory.create_batch(length):
            PerformanceFactory(concert=concert, seats=2)

        cost(ANYBODY, "/concerts", queries=PAGE, items=length)

    def test_of_popular_concerts(self, cost: Cost, length: int):
        RankingEntryFactory.create_batch(length)

        # No projection has been built here: the sums come from the table, the titles after them.
        cost(ANYBODY, "/concerts/popular?limit=100", queries=2, items=length)

    def test_of_what_sold_out_fastest(self, cost: Cost, length: int):
        PerformanceFactory.create_batch(length, sold_out_at=timezone.now())

        cost(ANYBODY, "/concerts/fastest-sold-out?limit=100", queries=1, items=length)


@pytest.mark.parametrize("length", [1, MANY])
class TestPersonalList:
    def test_of_reservations(self, cost: Cost, length: int):
        customer = WalletFactory(balance=5_000_000).customer
        for _ in range(length):
            performance = PerformanceFactory(seats=3, concert__seats_per_customer=3)
            reservation(customer, list(performance.seats.all()))

        # All the tickets, their seats with them.
        cost(logged_in(customer), "/reservations", queries=LOGIN + PAGE + 1, items=length)

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
            ("seat-map", 2),  # the performance with the version of its map, and the seats
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
        first = ANYBODY(f"GET {path}")

        with django_assert_num_queries(0):
            second = ANYBODY(f"GET {path}")

        assert first.status_code == second.status_code == 200
        assert first.content == second.content
