"""Every test of an invariant runs twice: with a check of everything, and with one of what has changed lately."""

import pytest

from apps.concerts.models import Performance, Seat
from apps.concerts.services import rebuild_ranking
from apps.reservations.models import Hold, Reservation
from tests.factories.accounts import CustomerFactory
from tests.factories.concerts import PerformanceFactory
from tests.factories.reservations import hold, reservation
from tests.ops.invariants import planting
from tests.ops.invariants.planting import LATELY, consume_events


@pytest.fixture(autouse=True, params=[None, LATELY], ids=["everything", "lately"])
def _span(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(planting, "span", request.param)


@pytest.fixture
def performance() -> Performance:
    return PerformanceFactory(seats=12, concert__seats_per_customer=2)


@pytest.fixture
def seats(performance: Performance) -> list[Seat]:
    return list(Seat.objects.of_performance(performance.pk).in_map_order())


@pytest.fixture
def sold(seats: list[Seat]) -> Reservation:
    """Two seats, paid; every consumer has heard of it."""
    rebuild_ranking()
    made = reservation(CustomerFactory(), seats[:2])
    consume_events()
    return made


@pytest.fixture
def untold(sold: Reservation, seats: list[Seat]) -> Reservation:
    """One seat, paid; no consumer has heard of it yet."""
    return reservation(CustomerFactory(), seats[2:3])


@pytest.fixture
def held(seats: list[Seat]) -> Hold:
    """One seat, held by another customer and not paid."""
    return hold(CustomerFactory(), seats[5:6])
