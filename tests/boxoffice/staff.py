"""Staff at the administration: their browsers, and the addresses of its pages."""

from typing import Any

from django.contrib.auth.models import Permission
from django.db.models import Model
from django.test import Client
from django.urls import reverse

from apps.accounts.models import User
from tests.factories.accounts import CustomerFactory


def logged_in(user: User, **options: Any) -> Client:
    client = Client(**options)
    client.force_login(user)
    return client


def administrator(**fields: Any) -> Client:
    return logged_in(CustomerFactory(admin=True, **fields))


def clerk(*codenames: str, **options: Any) -> Client:
    """Return the browser of staff who have only these permissions."""
    user = CustomerFactory(staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=codenames))
    return logged_in(user, **options)


def page_of(obj: Model, page: str = "change") -> str:
    return reverse(f"admin:{obj._meta.app_label}_{obj._meta.model_name}_{page}", args=[obj.pk])


def list_of(model: type[Model], page: str = "changelist") -> str:
    return reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_{page}")


def names_of_actions(model_admin: Any, kind: str = "actions_detail") -> list[str]:
    """Return the names of its actions of a kind, those in groups as well."""
    groups = (
        action["items"] if isinstance(action, dict) else [action]
        for action in getattr(model_admin, kind, None) or ()
    )
    return [name for group in groups for name in group]
