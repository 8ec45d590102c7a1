"""A fresh concert and a crowd for a load test, made in bulk."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import timedelta
from typing import Any

from django.contrib.auth.hashers import make_password
from django.utils import timezone

from apps.accounts.models import User
from apps.accounts.services import issue_access_tokens
from apps.concerts.layouts import SectionLayout
from apps.concerts.models import Concert, Grade
from apps.concerts.publication import publish_concert
from apps.concerts.selectors import seats_of
from apps.concerts.services import create_performance
from apps.core.transactions import run_in_transaction
from apps.payments.services import charge_new_wallets
from apps.queue.services import set_capacity

PRICE = 50_000  # won
MONEY = 1_000_000  # won
STARTS_IN = timedelta(days=30)
SEATS_PER_ROW, SEATS_PER_SECTION = 50, 1_000
CUSTOMERS_AT_ONCE = 500

Progress = Callable[[int], None]


@dataclass(frozen=True, slots=True)
class LoadTestCustomer:
    user_id: int
    email: str
    access_token: str


@dataclass(frozen=True, slots=True)
class LoadTest:
    """`seat_ids` are those of the first performance."""

    concert_id: int
    performance_id: int
    performance_ids: list[int]
    seat_ids: list[int]
    customers: list[LoadTestCustomer]

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def prepare_load_test(
    *,
    customers: int,
    seats: int,
    capacity: int,
    seats_per_customer: int,
    performances: int = 1,
    seats_done: Progress = lambda count: None,
    customers_done: Progress = lambda count: None,
) -> LoadTest:
    """Make a concert on sale with an open waiting room, and customers with money and a valid login.

    `seats_done` and `customers_done` are told how many more there are now.
    """
    concert = _new_concert(seats_per_customer)
    performance_ids = []
    for number in range(performances):
        performance = create_performance(
            concert_id=concert.pk,
            # At different times, as a concert's performances must be.
            starts_at=timezone.now() + STARTS_IN + timedelta(hours=number),
            layout=hall_of(seats),
        )
        performance_ids.append(performance.pk)
        seats_done(seats)
    publish_concert(concert_id=concert.pk)
    set_capacity(concert_id=concert.pk, capacity=capacity, staff_id=None)
    return LoadTest(
        concert_id=concert.pk,
        performance_id=performance_ids[0],
        performance_ids=performance_ids,
        seat_ids=list(seats_of(performance_ids[0]).values_list("pk", flat=True)),
        customers=list(_new_customers(concert.pk, customers, customers_done)),
    )


def hall_of(seats: int) -> list[SectionLayout]:
    """Sections of rows of 50 seats, `seats` in all: the last ones are smaller where it does not come out even."""
    shapes: list[tuple[int, int]] = []
    while seats:
        rows = min(seats, SEATS_PER_SECTION) // SEATS_PER_ROW
        shapes.append((rows, SEATS_PER_ROW) if rows else (1, seats))
        seats -= rows * SEATS_PER_ROW or seats
    return [
        SectionLayout(name=str(n), rows=rows, seats_per_row=width, grade=Grade.R, price=PRICE)
        for n, (rows, width) in enumerate(shapes, start=1)
    ]


def _new_concert(seats_per_customer: int) -> Concert:
    now = timezone.now()
    return Concert.objects.create(
        title=f"Load test {now:%Y-%m-%d %H:%M:%S}",
        artist="Nobody",
        venue="Nowhere",
        sales_open_at=now - timedelta(minutes=1),
        seats_per_customer=seats_per_customer,
    )


def _new_customers(
    concert_id: int, count: int, customers_done: Progress
) -> Iterator[LoadTestCustomer]:
    # They log in with the tokens that they are given. Hashing a password for each would take minutes.
    no_password = make_password(None)
    for first in range(1, count + 1, CUSTOMERS_AT_ONCE):
        numbers = range(first, min(first + CUSTOMERS_AT_ONCE, count + 1))
        users = [
            User(
                email=f"load-{concert_id}-{number}@demo.example",
                name=f"Load test customer {number}",
                password=no_password,
            )
            for number in numbers
        ]
        run_in_transaction(lambda users=users: _insert(users))  # type: ignore[misc]
        issued = issue_access_tokens(user_ids=[user.pk for user in users])
        for user, login in zip(users, issued, strict=True):
            yield LoadTestCustomer(user.pk, user.email, login.token)
        customers_done(len(users))


def _insert(users: Sequence[User]) -> None:
    User.objects.bulk_create(users)
    charge_new_wallets(customer_ids=[user.pk for user in users], amount=MONEY)
