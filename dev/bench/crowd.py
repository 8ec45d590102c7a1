"""Concerts and customers for a measurement, made in bulk by the services of Encore. Needs Django to be set up."""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import httpx
import redis

from apps.queue.core.room import SECOND
from apps.queue.core.tokens import TokenClaims
from apps.queue.live import token_signer
from apps.queue.services import close_room, join_queue
from dev.api import Api
from dev.bench.bench import Bench
from dev.bench.room_costs import fill_room
from dev.demo.loadtest import LoadTest, LoadTestCustomer, prepare_load_test
from dev.stack.visitors import await_turn

HIGHEST_CAPACITY = 100_000

Progress = Callable[[int], None]


@dataclass(frozen=True, slots=True)
class Visit:
    """A customer in the queue of a concert."""

    login: str
    token: str

    def api(self, http: httpx.Client) -> Api:
        return Api(http, access_token=self.login, queue_token=self.token)


def new_concert(
    bench: Bench,
    *,
    seats: int,
    capacity: int,
    seats_per_customer: int = 10,
    customers: int = 0,
    customers_done: Progress = lambda count: None,
) -> LoadTest:
    """Make a concert on sale with an open waiting room, which `close_rooms` closes."""
    made = prepare_load_test(
        customers=customers,
        seats=seats,
        capacity=capacity,
        seats_per_customer=seats_per_customer,
        customers_done=customers_done,
    )
    bench.concerts.append(made.concert_id)
    return made


def close_rooms(bench: Bench) -> None:
    """Send all visitors away who still wait somewhere: visitors who lose patience later would be work for a later scenario."""
    kept = {concert_id for concert_id, _ in bench.rooms.values()}
    for concert_id in bench.concerts:
        if concert_id not in kept:
            close_room(concert_id=concert_id, staff_id=None)
    bench.concerts = [concert_id for concert_id in bench.concerts if concert_id in kept]


def admitted(concert_id: int, customers: Sequence[LoadTestCustomer]) -> list[Visit]:
    """Let customers join a concert with room for all of them, and return when it is the turn of each.

    :raises TimeoutError: the room did not admit them in time.
    """
    tokens = await_turn(
        [
            join_queue(customer_id=customer.user_id, concert_id=concert_id).token
            for customer in customers
        ]
    )
    return [
        Visit(customer.access_token, token)
        for customer, token in zip(customers, tokens, strict=True)
    ]


def waiting_room(
    client: redis.Redis, concert_id: int, size: int, *, tokens: int, progress: Progress
) -> list[str]:
    """Fill a room of a concert in bulk; return the queue tokens of some of its visitors, chosen at random.

    The room must exist in the store, so a customer has to have joined it before.
    """
    seconds, micros = client.time()
    first_at = int(seconds) * SECOND + int(micros) + 1
    done = 0
    for now_done in fill_room(client, concert_id, size, first_at=first_at):
        progress(now_done - done)
        done = now_done
    signer = token_signer()
    # From the second half: none of them is admitted while others are measured.
    numbers = random.sample(range(size // 2, size), min(tokens, size // 2))
    return [
        signer.issue(
            TokenClaims(
                concert_id,
                customer_id=number + 1,
                slot=first_at + number,
                generation=1,
                issued_at=first_at + number,
            )
        )
        for number in numbers
    ]


def client_of(base_url: str) -> httpx.Client:
    return httpx.Client(base_url=base_url, timeout=60)
