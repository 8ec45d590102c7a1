"""Live rooms whose time stands still until a test moves it."""

from datetime import timedelta
from typing import Any, Self

import redis

from apps.accounts.models import User
from apps.concerts.models import Concert
from apps.queue import services
from apps.queue.core.room import SECOND, EndReason, Figures, Finish, Policy, Room, Visit
from apps.queue.core.tokens import TokenClaims
from apps.queue.live import token_signer
from apps.queue.models import WaitingRoom
from apps.queue.services import Admission, VisitorStatus
from tests.factories.accounts import CustomerFactory
from tests.factories.queue import policy

CONCERT = 7
LONG_AGO = "2000-01-01T00:00:00Z"
FROZEN_CLOCK = """
local function clock()
  return tonumber(redis.call('GET', (KEYS[1]:gsub(':room$', ':clock'))))
end
"""


class Clock:
    """The store's time in one room, in microseconds."""

    def __init__(self, store: redis.Redis, concert_id: int, now: int) -> None:
        self._store = store
        self._key = f"{{queue:{concert_id}}}:clock"
        self.set(now)

    def set(self, now: int) -> None:
        self.now = now
        self._store.set(self._key, now)

    def advance(self, **span: float) -> None:
        self.set(self.now + timedelta(**span) // timedelta(microseconds=1))

    def lose_everything(self) -> None:
        """FLUSHALL; a moment later time goes on where it was."""
        self._store.flushall()
        self.advance(milliseconds=1)


class TestedRoom(Room):
    """A live room without a row behind it."""

    __test__ = False
    clock: Clock

    def set_policy(self, *, was_stored: bool = False, **changes: Any) -> Policy:
        wanted = policy(**changes)
        self.configure(wanted, epoch="first", was_stored=was_stored)
        return wanted

    def join_all(self, *customer_ids: int) -> list[TokenClaims]:
        return [claims(customer_id, self.join(customer_id)) for customer_id in customer_ids]

    def end(self, mine: TokenClaims, reason: EndReason = EndReason.COMPLETED) -> Finish:
        """End the visit of these claims."""
        return self.finish(
            customer_id=mine.customer_id,
            slot=mine.slot,
            generation=mine.generation,
            reason=reason,
        )

    def tick(self) -> int:
        """Admit until no more visitors may come in; returns how many did."""
        admitted = 0
        while True:
            step = self.admit()
            admitted += step.admitted
            if not step.has_more:
                return admitted

    def glance(self) -> Figures:
        figures = self.figures()
        assert figures is not None
        return figures

    def pass_time(self, **span: float) -> None:
        """Let time go by with a tick every ten seconds, so that nothing looks like an outage."""
        end = self.clock.now + timedelta(**span) // timedelta(microseconds=1)
        while self.clock.now < end:
            self.clock.set(min(self.clock.now + 10 * SECOND, end))
            self.tick()


def tick() -> int:
    """Look after every room that is not retired, as the beat does; returns how many visitors were admitted."""
    WaitingRoom.objects.exclude(activity="RETIRED").update(next_tick_at=LONG_AGO)
    return services.admit_visitors()


def policy_form(**changes: object) -> dict[str, object]:
    """Return what a browser sends for the default policy of a room."""
    return {
        "opens_at_0": "",
        "opens_at_1": "",
        "capacity": "50",
        "admissions_per_minute": "",
        "lease": "00:05:00",
        "patience": "00:05:00",
        "lottery_window": "01:00:00",
        "reason": "Planned",
    } | changes


class Visitor:
    """A customer who keeps the token of the last answer, as a browser does."""

    def __init__(self, concert: Concert, customer: User | None = None) -> None:
        self.concert = concert
        self.customer: User = customer or CustomerFactory()
        self.token = ""

    def join(self) -> Self:
        status = services.join_queue(
            customer_id=self.customer.pk, concert_id=self.concert.pk, previous_token=self.token
        )
        self.token = status.token
        return self

    def poll(self) -> VisitorStatus:
        status = services.visitor_status(token=self.token)
        self.token = status.token
        return status

    @property
    def standing(self) -> str:
        """WAITING, ACTIVE, or why it is over."""
        status = self.poll()
        return status.expired_reason or status.status

    @property
    def slot(self) -> int:
        """The place that the token names."""
        return token_signer().read(self.token).slot

    def enter(self) -> Admission:
        return services.admitted_visitor(
            token=self.token, customer_id=self.customer.pk, concert_id=self.concert.pk
        )

    def leave(self) -> None:
        services.leave_queue(token=self.token)

    def pay(self) -> None:
        slot = services.verify_token(
            token=self.token, customer_id=self.customer.pk, concert_id=self.concert.pk
        )
        services.finish_visit(
            concert_id=self.concert.pk,
            customer_id=self.customer.pk,
            slot=slot.slot,
            generation=slot.generation,
            reason=EndReason.COMPLETED,
        )


def claims(customer_id: int, visit: Visit) -> TokenClaims:
    """Return what the token says that a visitor gets with this answer."""
    return TokenClaims(
        concert_id=CONCERT,
        customer_id=customer_id,
        slot=visit.slot,
        generation=visit.generation,
        issued_at=visit.at,
        lease_until=visit.expires_at if visit.admitted_at else 0,
        admitted_at=visit.admitted_at,
    )
