"""An administrator at the pages of staff."""

import pytest
from django.test import Client

from apps.accounts.models import User
from tests.boxoffice.staff import logged_in
from tests.factories.accounts import CustomerFactory


@pytest.fixture
def boss() -> User:
    return CustomerFactory(admin=True)


@pytest.fixture
def staff(boss: User) -> Client:
    """The browser of `boss`."""
    return logged_in(boss)
