"""A small world with a sale under way, and the operations of the OpenAPI document."""

import json
from dataclasses import dataclass
from functools import cache
from typing import Any
from uuid import uuid4

import pytest
from django.test import Client
from drf_spectacular.generators import SchemaGenerator

from apps.accounts.models import User
from apps.concerts.models import Performance, Seat
from apps.queue.services import admit_now
from apps.reservations.models import Hold, Reservation, Ticket
from tests.factories.accounts import PASSWORD, CustomerFactory, bearer
from tests.factories.concerts import PerformanceFactory
from tests.factories.payments import WalletFactory
from tests.factories.reservations import hold, reservation

PREFIX = "/api/v1"
SEATS = 40


@cache
def openapi() -> dict[str, Any]:
    """Return the document as the code describes it."""
    return SchemaGenerator().get_schema(request=None, public=True)


def operations() -> dict[str, dict[str, Any]]:
    """`{"GET /concerts/{concert_id}": its description, ...}`."""
    return {
        f"{method.upper()} {path.removeprefix(PREFIX)}": described
        for path, methods in openapi()["paths"].items()
        for method, described in methods.items()
    }


@dataclass
class Caller:
    """Call the API, with or without a login and a place in the queue."""

    headers: dict[str, str]
    user_id: int = 0

    def __call__(self, operation: str, body: Any = None, **options: Any) -> Any:
        """`caller("GET /holds/3f...")`: calls that take an `Idempotency-Key` get a new one."""
        method, _, path = operation.partition(" ")
        headers = {"Idempotency-Key": str(uuid4())} | self.headers | options.pop("headers", {})
        data = "" if body is None else json.dumps(body)
        return Client(raise_request_exception=False).generic(
            method, f"{PREFIX}{path}", data, "application/json", headers=headers, **options
        )


@dataclass
class World:
    """A concert on sale and what its callers have; what belongs to one customer belongs to `owner`."""

    performance: Performance
    seats: list[Seat]
    owner: Caller
    other: Caller
    staff: Caller
    credentials: dict[str, str]
    hold: Hold
    reservation: Reservation
    ticket: Ticket

    @property
    def ids(self) -> dict[str, Any]:
        return {
            "concert_id": self.performance.concert_id,
            "performance_id": self.performance.pk,
            "hold_id": self.hold.pk,
            "reservation_id": self.reservation.pk,
            "ticket_id": self.ticket.pk,
        }


def logged_in(customer: Any) -> Caller:
    return Caller(bearer(customer), customer.pk)


def let_in(caller: Caller, concert_id: int) -> None:
    """Take a place in the queue and be admitted; a place that has ended is taken anew."""
    caller.headers.pop("Queue-Token", None)
    answer = caller("POST /queue/tokens", {"concert_id": concert_id})
    caller.headers["Queue-Token"] = answer.json()["data"]["token"]
    admit_now(concert_id)


def customer_in(concert_id: int) -> Caller:
    """Return a customer with a million won and `PASSWORD` whom the waiting room has admitted."""
    wallet = WalletFactory(balance=1_000_000, customer__password=PASSWORD)
    caller = logged_in(wallet.customer)
    let_in(caller, concert_id)
    return caller


@pytest.fixture
def world(db: None) -> World:
    performance = PerformanceFactory(seats=SEATS, concert__seats_per_customer=10)
    seats = list(Seat.objects.of_performance(performance.pk).in_map_order())
    owner = customer_in(performance.concert_id)
    customer = User.objects.get(pk=owner.user_id)
    sold = reservation(customer, seats[:1])
    return World(
        performance=performance,
        seats=seats,
        owner=owner,
        other=customer_in(performance.concert_id),
        staff=logged_in(CustomerFactory(staff=True)),
        credentials={"email": customer.email, "password": PASSWORD},
        hold=hold(customer, seats[1:2]),
        reservation=sold,
        ticket=sold.tickets.get(),
    )
