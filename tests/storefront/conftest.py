"""A customer with money, a hold and a reservation."""

import pytest
from django.test import Client

from apps.accounts.models import User
from apps.concerts.models import Performance
from apps.reservations.models import Hold, Reservation
from tests.factories.accounts import PASSWORD, CustomerFactory
from tests.factories.concerts import PerformanceFactory
from tests.factories.payments import WalletFactory
from tests.factories.reservations import hold, reservation
from tests.storefront.rules import StrictClient


@pytest.fixture
def customer() -> User:
    """With a password and 200,000 won."""
    found: User = WalletFactory(
        customer=CustomerFactory(password=PASSWORD), balance=200_000
    ).customer
    return found


@pytest.fixture
def browser(customer: User) -> Client:
    logged_in = StrictClient()
    logged_in.force_login(customer)
    return logged_in


@pytest.fixture
def performance() -> Performance:
    found: Performance = PerformanceFactory(seats=4, concert__seats_per_customer=4)
    return found


@pytest.fixture
def held(customer: User, performance: Performance) -> Hold:
    return hold(customer, list(performance.seats.all())[:2])


@pytest.fixture
def booked(customer: User, performance: Performance) -> Reservation:
    return reservation(customer, list(performance.seats.all())[2:3])
