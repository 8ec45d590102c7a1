"""Sets the scenes: a queue, halls that are half sold, and what the customer of the demo has to do with them.

Needs Django to be set up for the stack whose pictures are taken.
"""

import random
from collections.abc import Sequence
from functools import cache

from django.conf import settings
from django.contrib.auth.hashers import make_password
from django.db.models import F
from django.urls import reverse
from django.utils import timezone

from apps.accounts.models import User
from apps.concerts.models import Concert, Performance
from apps.concerts.selectors import dates_of, seats_of
from apps.payments.services import charge_wallet
from apps.queue.services import join_queue, leave_queue, set_capacity
from apps.reservations.models import Hold, SeatClaim
from apps.reservations.services import cancel_reservation, hold_seats
from dev.demo.accounts import CUSTOMER, PERSONAS
from dev.demo.sales import buy_seats
from dev.screenshots.pictures import Stage
from dev.screenshots.staff_stage import Cast, set_staff_stage
from dev.stack.visitors import (
    Cookie,
    await_turn,
    first_position_cookie,
    queue_cookie,
    session_cookie,
)

# Visitors of the waiting room, in their order; those who have left were the first of those ahead.
INSIDE, AHEAD, BEHIND, LEFT = 40, 240, 30, 64
PARTIES = 70  # that buy or hold seats in each hall, as far as what they want is free

# Concerts of the demo, by what they are for here.
ENGLISH, KOREAN, ARENA = "Paper Lantern Parade", "은하수를 건너는 밤", "LUMEN SEVEN: 첫 번째 궤도"
CLUB, FULL = "마지막 기차가 떠난 뒤", "Small Hours"
SOLD_OUT, OPENING = "One Night, No Encore", "새벽 네 시의 오케스트라"


def set_stage(base_url: str) -> Stage:
    """:raises TimeoutError: no turn came in time."""
    customer = _persona(CUSTOMER)
    crowd = _crowd(INSIDE + AHEAD + BEHIND)
    stage = Stage(base_url)
    _trade(stage, customer)
    _fill_hall(stage, "seats", _dates(ENGLISH)[0], crowd)
    _fill_hall(stage, "seats-ko", _dates(KOREAN)[0], crowd)
    # Last: no visitor is seen again before the pictures are taken.
    visits = _queue_up(stage, customer, crowd)
    stage.paths |= {
        name: reverse(f"storefront:{name}")
        for name in ("home", "register", "login", "wallet", "reservations")
    }
    stage.paths |= {
        "concert": _path("concert", ENGLISH),
        "search": reverse("storefront:home") + "?q=basement",
        "not-found": "/concerts/tomorrow/",
    }
    session = session_cookie(base_url, customer)
    stage.cookies = {"stranger": [], "customer": [session], "queued": [session, *visits]}
    # After the queue: those who wait are on the pages of staff.
    busy = _dates(KOREAN)[1]
    _fill_hall(stage, "staff-hall", busy, crowd[PARTIES:])
    stage.cookies["staff"] = [session_cookie(base_url, _persona("administrator"))]
    set_staff_stage(
        stage,
        Cast(
            clerk=_persona("box office"),
            buyers=(crowd[-1], crowd[-2]),
            date=busy,
            queued=_concert_id(FULL),
            ending=_dates(FULL)[-1],
        ),
    )
    return stage


def _persona(role: str) -> User:
    return User.objects.get(
        email=next(persona.email for persona in PERSONAS if persona.role == role)
    )


@cache
def _concert_id(title: str) -> int:
    return Concert.objects.get(title=title).pk


def _dates(title: str) -> list[Performance]:
    return list(dates_of(_concert_id(title)))


def _path(view: str, title: str) -> str:
    return reverse(f"storefront:{view}", args=[_concert_id(title)])


def _crowd(size: int) -> list[User]:
    """Return accounts that cannot log in."""
    no_password = make_password(None)
    return User.objects.bulk_create(
        User(email=f"visitor{n:03}@demo.example", name=f"Visitor {n}", password=no_password)
        for n in range(1, size + 1)
    )


# --- The customer -------------------------------------------------------------------------------------------------


def _trade(stage: Stage, customer: User) -> None:
    """Make two reservations, one that was given back, a hold that is affordable, one that is not and one whose time is over."""
    theatre, arena, club, full = (_dates(title) for title in (ENGLISH, ARENA, CLUB, FULL))
    booked = buy_seats(customer, theatre[1], _ids(theatre[1], "Stalls C", 44, 46))
    buy_seats(customer, full[3], _ids(full[3], "Bar", 4, 5))
    given_back = buy_seats(customer, club[1], _ids(club[1], "Bar", 26, 28))
    cancel_reservation(customer_id=customer.pk, reservation_id=given_back.pk)
    charge_wallet(customer_id=customer.pk, amount=50_000)
    for name, key in (("reservation", "ticket"), ("cancellation", "cancellation")):
        stage.paths[key] = reverse(f"storefront:{name}", args=[booked.pk])
    for key, performance, section in (
        ("checkout", full[2], "Floor"),
        ("checkout-short", arena[1], "Floor B"),
        ("checkout-over", full[1], "Bar"),
    ):
        held = _hold(customer, performance, _ids(performance, section, 4, 6))
        arguments = [performance.concert_id, held.pk]
        stage.paths[key] = reverse("storefront:checkout", args=arguments)
    Hold.objects.filter(pk=held.pk).update(
        held_at=F("held_at") - settings.HOLD_TIME, expires_at=F("held_at")
    )


def _ids(performance: Performance, section: str, first: int, end: int) -> list[int]:
    return list(seats_of(performance.pk, section).values_list("pk", flat=True)[first:end])


def _hold(customer: User, performance: Performance, seat_ids: Sequence[int]) -> Hold:
    return hold_seats(
        customer_id=customer.pk, performance_id=performance.pk, seat_ids=seat_ids, admission=None
    ).hold


# --- The waiting rooms --------------------------------------------------------------------------------------------


def _queue_up(stage: Stage, customer: User, crowd: Sequence[User]) -> list[Cookie]:
    """Let the customer wait in two rooms and be admitted to three; return the cookies of all five visits."""
    set_capacity(concert_id=_concert_id(FULL), capacity=INSIDE, staff_id=None)
    inside = [_join(FULL, visitor) for visitor in crowd[:INSIDE]]
    visits = {title: _join(title, customer) for title in (ENGLISH, KOREAN, SOLD_OUT, OPENING)}
    await_turn([*inside, visits[ENGLISH], visits[KOREAN], visits[SOLD_OUT]])
    ahead = [_join(FULL, visitor) for visitor in crowd[INSIDE : INSIDE + AHEAD]]
    visits[FULL] = _join(FULL, customer)
    for visitor in crowd[INSIDE + AHEAD :]:
        _join(FULL, visitor)
    for token in ahead[:LEFT]:
        leave_queue(token=token)
    stage.paths |= {
        "queue": _path("queue", FULL),
        "queue-opening": _path("queue", OPENING),
        "no-seats": _path("seats", SOLD_OUT),
    }
    return [
        *(
            queue_cookie(stage.base_url, _concert_id(title), token)
            for title, token in visits.items()
        ),
        first_position_cookie(stage.base_url, _concert_id(FULL), AHEAD + 1),
    ]


def _join(title: str, visitor: User) -> str:
    return join_queue(customer_id=visitor.pk, concert_id=_concert_id(title)).token


# --- The halls ----------------------------------------------------------------------------------------------------


def _fill_hall(stage: Stage, key: str, performance: Performance, crowd: Sequence[User]) -> None:
    """Sell some of the seats and hold others, the same ones each time."""
    chance = random.Random(7)
    stage.paths[key] = reverse("storefront:seat_map", args=[performance.concert_id, performance.pk])
    taken = SeatClaim.objects.live(at=timezone.now()).of_performance(performance.pk)
    open_seats = seats_of(performance.pk).filter(allocation=None)
    free = list(open_seats.exclude(pk__in=taken.values("seat_id")))
    wanted = [seat for seat in free if (seat.section, seat.row) == ("Stalls C", "F")][4:6]
    stage.chosen[key] = [(seat.x, seat.y) for seat in wanted]
    left = {seat.pk: seat for seat in free if seat not in wanted}
    for visitor in crowd[:PARTIES]:
        first, size = chance.choice(free), chance.choice((2, 2, 3, 4))
        party = [first.pk + n for n in range(size)]
        if not all(pk in left and left[pk].row == first.row for pk in party):
            continue
        if chance.random() < 0.2:
            _hold(visitor, performance, party)
        else:
            buy_seats(visitor, performance, party)
        for pk in party:
            del left[pk]
