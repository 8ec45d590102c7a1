"""A customer with money, a hold and a reservation."""

import pytest
from django.test import Client

from apps.accounts.models import User
from apps.concerts.models import Performance
from apps.reservations.models import Hold, Reservation
from tests.factories.accounts import PASSWORD
from tests.factories.concerts import PerformanceFactory
from tests.factories.payments import WalletFactory
from tests.factories.reservations import hold, reservation
from tests.storefront.rules import StrictClient


@pytest.fixture
def customer() -> User:
    """A customer with a password and 200,000 won."""
    return WalletFactory(balance=200_000, customer__password=PASSWORD).customer


@pytest.fixture
def browser(customer: User) -> Client:
    client = StrictClient()
    client.force_login(customer)
    return client


@pytest.fixture
def performance() -> Performance:
    return PerformanceFactory(seats=4, concert__seats_per_customer=4)


@pytest.fixture
def held(customer: User, performance: Performance) -> Hold:
    return hold(customer, list(performance.seats.all())[:2])


@pytest.fixture
def booked(customer: User, performance: Performance) -> Reservation:
    return reservation(customer, list(performance.seats.all())[2:3])
