"""A performance, and an administrator at the pages of staff."""

import pytest
from django.test import Client

from apps.accounts.models import User
from apps.concerts.models import Performance
from tests.boxoffice.staff import logged_in
from tests.factories.accounts import CustomerFactory
from tests.factories.concerts import PerformanceFactory


@pytest.fixture
def performance() -> Performance:
    return PerformanceFactory()


@pytest.fixture
def boss() -> User:
    return CustomerFactory(admin=True)


@pytest.fixture
def staff(boss: User) -> Client:
    """The browser of `boss`."""
    return logged_in(boss)
