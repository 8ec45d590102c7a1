"""Customers, staff and their logins."""

from typing import Any

import factory
from django.contrib.auth.models import Permission
from django.test import Client

from apps.accounts.models import User
from apps.accounts.services import issue_access_tokens

PASSWORD = "seven-green-kites"


class CustomerFactory(factory.django.DjangoModelFactory[User]):
    """`CustomerFactory(password=PASSWORD)` can log in with it; without one only with `bearer(customer)`."""

    class Meta:
        model = User

    email = factory.Sequence(lambda n: f"customer{n}@example.com")
    name = factory.Sequence(lambda n: f"Customer {n}")
    password = None

    class Params:
        staff = factory.Trait(is_staff=True)
        admin = factory.Trait(is_staff=True, is_superuser=True)

    @classmethod
    def _create(cls, model_class: type[User], *args: Any, **kwargs: Any) -> User:
        return model_class.objects.create_user(*args, **kwargs)


def browser_of(user: User) -> Client:
    """Return a browser in which `user` is logged in to the pages."""
    browser = Client()
    browser.force_login(user, backend="django.contrib.auth.backends.ModelBackend")
    return browser


def clerk_browser(*codenames: str) -> Client:
    """Return a browser of a member of the staff who has these permissions and no others."""
    clerk: User = CustomerFactory(staff=True)
    clerk.user_permissions.set(Permission.objects.filter(codename__in=codenames))
    return browser_of(clerk)


def bearer(customer: User) -> dict[str, str]:
    """Return headers for Django's test client that log `customer` in."""
    [issued] = issue_access_tokens(user_ids=[customer.pk])
    return {"Authorization": f"Bearer {issued.token}"}
