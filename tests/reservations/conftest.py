from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from functools import partial
from typing import Any

import pytest

from apps.accounts.models import User
from apps.concerts.models import Performance, Seat
from apps.reservations.models import Hold
from tests.factories.concerts import ConcertFactory, PerformanceFactory
from tests.factories.payments import WalletFactory
from tests.factories.reservations import hold
from tests.factories.visitors import Visitor, admitted_visitor
from tests.protections import Step
from tests.reservations.racing import Elsewhere, Stopped, with_own_connection


@pytest.fixture
def elsewhere() -> Generator[Elsewhere]:
    """`elsewhere(call)` runs it in another thread, with a database connection of its own, and returns a future."""
    with ThreadPoolExecutor() as pool:
        yield lambda call: pool.submit(with_own_connection(call))


@pytest.fixture
def stopped_before(
    elsewhere: Elsewhere, monkeypatch: pytest.MonkeyPatch
) -> Callable[[str | Step, Callable[[], Any]], Stopped]:
    """`stopped_before("book", call)` runs it in another thread up to there; `finish()` of what it returns does the rest."""
    return partial(Stopped, elsewhere, monkeypatch)


@pytest.fixture
def performance() -> Performance:
    """Four seats at 50,000 won, two for each customer. Another date and another concert have seats at other prices."""
    another_concert = ConcertFactory()
    PerformanceFactory.create_batch(2, concert=another_concert, seats=2, seats__price=30_000)
    made: Performance = PerformanceFactory(seats=4, concert__seats_per_customer=2)
    PerformanceFactory(
        concert=made.concert,
        seats=2,
        seats__price=70_000,
        seats__section="2",
        starts_at=made.starts_at + timedelta(days=1),
    )
    return made


@pytest.fixture
def seats(performance: Performance) -> list[Seat]:
    return list(Seat.objects.of_performance(performance.pk).in_map_order())


@pytest.fixture
def customer() -> User:
    """A customer with a million won, beside one with less."""
    WalletFactory(balance=40_000)
    return WalletFactory(balance=1_000_000).customer


@pytest.fixture
def held(customer: User, seats: list[Seat]) -> Hold:
    return hold(customer, seats[:1])


@pytest.fixture
def visitor(performance: Performance) -> Visitor:
    """A customer with a million won who has just been admitted."""
    return admitted_visitor(performance.concert_id)
