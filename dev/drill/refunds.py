"""Sell seats that are kept back and refund them, again and again, while customers want seats. Importing this needs Django to be set up."""

import json
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import count, cycle
from uuid import UUID

from django.db import connection
from django.urls import reverse

from apps.concerts.models import SeatAllocation
from apps.core.errors import DomainError
from apps.payments.counter import PaidBy
from apps.reservations.services import WalkUp, cancel_seats, sell_at_counter
from dev.drill.acts import Act, What
from dev.drill.faults import AimMissed
from dev.drill.history import Attempt, Call, History
from dev.drill.house import Hall

SEATS_AT_ONCE = 2  # of a sale, refunded one by one
WORKERS = 2
PATIENCE = 600.0  # seconds


class KeptSeats:
    """Sells and refunds by the services that the pages of staff call: a thousand forms would take ten minutes.

    What it does is in `history` as if it had been done by forms, so that the verdict asks for the same.
    """

    def __init__(
        self, *, history: History, phase: str, staff_id: int, halls: Sequence[Hall]
    ) -> None:
        self._history = history
        self._phase = phase
        self._staff_id = staff_id
        self._halls = halls
        self._numbers = count(1)
        self._lock = threading.Lock()
        self._left = self._refunded = self._leaked = 0

    def sell_and_refund(self, refunds: int) -> list[str]:
        """Refund that many seats that were kept back, each of them sold before, by several threads at once; return the figures, in words.

        :raises AimMissed: it took too long.
        """
        self._left = refunds
        with ThreadPoolExecutor(WORKERS) as workers:
            list(workers.map(self._work, range(WORKERS)))
        return [
            f"{self._refunded:,} kept seats sold and refunded, {self._leaked} leaked out of their category"
        ]

    def _work(self, number: int) -> None:
        own = [
            (hall, chunk)
            for hall in self._halls
            for chunk in _chunks(hall.for_refunds)[number::WORKERS]
        ]
        give_up_at = time.monotonic() + PATIENCE
        try:
            for hall, seats in cycle(own):
                if time.monotonic() > give_up_at:
                    raise AimMissed(f"{self._refunded:,} refunds in {PATIENCE:.0f} s")
                if not self._take(len(seats)):
                    return
                if not self._sell_and_refund(hall, seats):
                    self._take(-len(seats))
        finally:
            connection.close()

    def _take(self, seats: int) -> bool:
        with self._lock:
            is_due = self._left > 0 or seats < 0
            self._left -= seats if is_due else 0
        return is_due

    def _sell_and_refund(self, hall: Hall, seats: tuple[int, ...]) -> bool:
        """Return whether it was done: a seat that a customer asks for at this moment is left alone."""
        reason = self._next_reason()
        sent_at = time.time()
        try:
            sold = sell_at_counter(
                performance_id=hall.performance_id,
                seat_ids=seats,
                customer=WalkUp(reason),
                paid_by=PaidBy.CASH,
                staff_id=self._staff_id,
                reason=reason,
            )
        except DomainError:
            return False
        order = sold.reservation.pk
        self._note(
            What.SELL,
            reason,
            sent_at,
            location=reverse("admin:reservations_tickets", args=[order]),
            seats=seats,
            amount=sold.reservation.total_price,
            paid_by=PaidBy.CASH.value,
        )
        for seat_id in seats:
            self._refund(order, seat_id)
            returned = SeatAllocation.objects.filter(seat=seat_id, category=hall.kept[seat_id])
            with self._lock:
                self._refunded += 1
                self._leaked += not returned.exists()
        return True

    def _refund(self, order: UUID, seat_id: int) -> None:
        reason, sent_at = self._next_reason(), time.time()
        given = cancel_seats(
            reservation_id=order, seat_ids=[seat_id], reason=reason, staff_id=self._staff_id
        )
        self._note(
            What.GIVE_BACK,
            reason,
            sent_at,
            location=reverse("admin:reservations_reservation_change", args=[order]),
            told=given.in_words,
            subject=str(order),
            seats=(seat_id,),
        )

    def _next_reason(self) -> str:
        # Such as the reasons of the forms of the same account, with other numbers.
        return f"drill:{self._phase}:{self._staff_id}:{1_000_000 + next(self._numbers)}"

    def _note(
        self,
        what: What,
        reason: str,
        sent_at: float,
        *,
        location: str,
        told: str = "",
        **about: object,
    ) -> None:
        data = {"location": location, "told": [told] if told else [what.value]}
        body = json.dumps({"code": "SUCCESS", "message": "", "data": data}).encode()
        act = Act("POST", location, what=what, reason=reason, **about)  # type: ignore[arg-type]
        attempt = Attempt(sent_at, time.time() - sent_at, 200, body=body)
        self._history.note(
            Call(
                phase=self._phase,
                user_id=self._staff_id,
                request=act,
                key=reason,
                attempts=[attempt],
            )
        )


def _chunks(seat_ids: Sequence[int]) -> list[tuple[int, ...]]:
    return [
        tuple(seat_ids[first : first + SEATS_AT_ONCE])
        for first in range(0, len(seat_ids), SEATS_AT_ONCE)
    ]
