"""Customers at the pages: logged in, in the queue, or let in by a real waiting room."""

from typing import Any
from uuid import uuid4

from django.test import Client
from django.urls import reverse

from apps.accounts.models import User
from apps.concerts.models import Concert, Performance
from apps.queue.services import admit_visitors
from apps.reservations.models import Hold
from tests.factories.accounts import CustomerFactory
from tests.storefront.rules import StrictClient

JSON = {"Accept": "application/json"}


def logged_in(customer: User | None = None) -> Client:
    client = StrictClient(raise_request_exception=False)
    client.force_login(customer or CustomerFactory())
    return client


def joined(concert: Concert, customer: User | None = None) -> Client:
    """Has pressed "Join the queue"; nobody has been admitted yet."""
    client = logged_in(customer)
    answer = client.post(reverse("storefront:queue", args=[concert.pk]))
    assert answer.status_code == 302, answer.content
    return client


def admitted(concert: Concert, customer: User | None = None) -> Client:
    client = joined(concert, customer)
    admit_visitors()
    return client


def status_of(client: Client, concert: Concert) -> Any:
    return client.get(reverse("storefront:queue_status", args=[concert.pk]))


def form(**fields: Any) -> dict[str, Any]:
    """With a key of its own, as every page makes one."""
    return {"key": str(uuid4()), **fields}


def seat_map(performance: Performance) -> str:
    return reverse("storefront:seat_map", args=[performance.concert_id, performance.pk])


def checkout_of(held: Hold) -> str:
    return f"/concerts/{held.performance.concert_id}/checkout/{held.pk}/"
