"""Customers at the pages: logged in, in the queue, or let in by a real waiting room."""

from typing import Any

from django.test import Client
from django.urls import reverse

from apps.accounts.models import User
from apps.concerts.models import Concert, Performance
from apps.queue.services import admit_visitors
from tests.factories.accounts import CustomerFactory

JSON = {"Accept": "application/json"}


def logged_in(customer: User | None = None) -> Client:
    client = Client(raise_request_exception=False)
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


def seat_map(performance: Performance) -> str:
    return reverse("storefront:seat_map", args=[performance.concert_id, performance.pk])
