"""A hall and one of the drill's customers in it."""

import pytest

from apps.concerts.models import Seat
from dev.drill import customers
from tests.dev.drilling import Shopper
from tests.factories.concerts import PerformanceFactory


@pytest.fixture
def performance(db):
    return PerformanceFactory(seats=4, concert__seats_per_customer=4)


@pytest.fixture
def seats(performance):
    return list(Seat.objects.of_performance(performance.pk).in_map_order())


@pytest.fixture
def shopper(performance, monkeypatch):
    """Admitted, with a million won, and never pausing."""
    monkeypatch.setattr(customers, "PAUSE", 0.0)
    shopper = Shopper(performance.concert_id)
    shopper.come_in()
    return shopper
