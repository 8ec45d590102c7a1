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
    """Press "Join the queue"; no visitor is admitted yet."""
    client = logged_in(customer)
    answer = client.post(url("queue", concert))
    assert answer.status_code == 302, answer.content
    return client


def admitted(concert: Concert, customer: User | None = None) -> Client:
    client = joined(concert, customer)
    admit_visitors()
    return client


def url(name: str, concert: Concert) -> str:
    return reverse(f"storefront:{name}", args=[concert.pk])


def date_url(name: str, performance: Performance) -> str:
    return reverse(f"storefront:{name}", args=[performance.concert_id, performance.pk])


def status_of(client: Client, concert: Concert) -> Any:
    return client.get(url("queue_status", concert))


def form(**fields: Any) -> dict[str, Any]:
    """Add a key of its own, as every page makes one."""
    return {"key": str(uuid4()), **fields}


def seat_map(performance: Performance) -> str:
    return date_url("seat_map", performance)


def checkout_of(held: Hold) -> str:
    return f"/concerts/{held.performance.concert_id}/checkout/{held.pk}/"
