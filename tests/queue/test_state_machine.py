"""Random histories of one room, played against the services and against a simple model of what should happen."""

from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
import redis
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)

from apps.concerts.errors import ConcertNotFound
from apps.concerts.publication import publish_concert, withdraw_concert
from apps.queue import services
from apps.queue.core.room import SECOND, EndReason
from apps.queue.core.tokens import TokenClaims
from apps.queue.live import token_signer
from apps.queue.models import WaitingRoom
from apps.queue.services.clock import from_micros, to_micros
from tests.factories.queue import WaitingRoomFactory
from tests.queue.rooms import Clock
from tests.queue.rooms import tick as tick_rooms

pytestmark = pytest.mark.slow

LEASE, PATIENCE = 300 * SECOND, 300 * SECOND
CUSTOMERS = range(1, 7)


@dataclass
class Stay:
    """One customer in the model: WAITING, or ACTIVE from `admitted_at` on."""

    slot: int
    until: int  # the end of patience, or of the lease
    admitted_at: int = 0
    has_shown_up: bool = False


class Withdrawn(Exception):
    """There is no new place while the concert is offline."""


@dataclass
class Model:
    now: int
    capacity: int = 2
    is_paused: bool = False
    is_withdrawn: bool = False
    resumed_at: int = 0
    people: dict[int, Stay] = field(default_factory=dict)
    # How visits ended: what the room remembers, what waits to be recorded, what is on record.
    remembered: dict[tuple[int, int], str] = field(default_factory=dict)
    pending: dict[tuple[int, int], str] = field(default_factory=dict)
    recorded: dict[tuple[int, int], str] = field(default_factory=dict)
    last_place: int = 0
    is_lost: bool = False
    needs_replay: bool = False
    healing_until: int = 0
    ticked_at: int = 0
    grace_until: int = 0
    interrupted_at: int = 0

    @property
    def active(self) -> dict[int, Stay]:
        return {who: stay for who, stay in self.people.items() if stay.admitted_at}

    @property
    def waiting(self) -> list[int]:
        """Return who waits, in the order of their places."""
        slots = {who: stay.slot for who, stay in self.people.items() if not stay.admitted_at}
        return sorted(slots, key=slots.__getitem__)

    @property
    def admits(self) -> bool:
        return not (self.is_paused or self.is_withdrawn or self.is_healing)

    @property
    def is_healing(self) -> bool:
        return self.needs_replay or self.now < self.healing_until

    def lose_everything(self) -> None:
        self.people.clear()
        self.remembered.clear()
        self.pending.clear()
        self.last_place = self.ticked_at = self.healing_until = 0
        self.grace_until = self.interrupted_at = 0
        self.is_lost, self.needs_replay = True, False

    def come_back(self) -> None:
        if self.is_lost:
            self.is_lost, self.needs_replay = False, True
            self.healing_until = self.now + 10 * SECOND

    def time_out(self, who: int, stay: Stay) -> None:
        self.people.pop(who, None)
        self.remembered.setdefault((who, stay.slot), "TIMED_OUT")
        self.pending[who, stay.slot] = "TIMED_OUT"

    def endings(self, who: int, slot: int) -> set[str]:
        """Return how this visit ended; also with a later place on record, which must have been taken by a loss."""
        key = (who, slot)
        ends = {ends[key] for ends in (self.remembered, self.recorded) if key in ends}
        later = {
            reason
            for (customer, taken), reason in self.recorded.items()
            if customer == who and taken > slot and reason != "MERGED"
        }
        return ends or later

    def record_pending(self) -> None:
        self.recorded = self.pending | self.recorded
        self.pending.clear()

    def merge(self, who: int, slot: int) -> None:
        if (who, slot) not in self.remembered:
            self.remembered[who, slot] = self.pending[who, slot] = "MERGED"

    @property
    def is_interrupted(self) -> bool:
        return 0 < self.ticked_at < self.now - 20 * SECOND

    def began_at(self, stay: Stay) -> int:
        """Since when a turn counts: it stands still while the concert is offline, and begins anew afterwards."""
        return max(stay.admitted_at, self.now if self.is_withdrawn else self.resumed_at)

    def end_of(self, stay: Stay) -> int:
        if not stay.admitted_at or (began_at := self.began_at(stay)) == stay.admitted_at:
            return stay.until
        return max(stay.until, began_at + (LEASE if stay.has_shown_up else 60 * SECOND))

    def is_over(self, stay: Stay) -> bool:
        until = self.end_of(stay)
        could_show_up = not (self.is_interrupted or until <= self.interrupted_at)
        return until <= self.now and (stay.has_shown_up or could_show_up)

    def admit(self) -> None:
        if self.is_lost or self.needs_replay:
            return
        if self.is_interrupted:
            self.grace_until = self.now + PATIENCE
            self.interrupted_at = self.now
        for who, stay in self.active.items():
            if stay.until <= self.now:
                stay.until = self.end_of(stay)
                if stay.until > self.now:
                    continue
                if stay.until <= self.interrupted_at and not stay.has_shown_up:
                    stay.until = self.now + 60 * SECOND
                else:
                    self.time_out(who, stay)
        self.last_place = self.last_place or self.now
        for who in self.waiting:
            stay = self.people[who]
            is_impatient = self.grace_until <= self.now and stay.until <= self.now
            if is_impatient:
                self.time_out(who, stay)
            elif self.admits and len(self.active) < self.capacity:
                self.people[who] = Stay(stay.slot, self.now + 60 * SECOND, admitted_at=self.now)
        self.ticked_at = self.now if self.people else 0

    def tick(self) -> None:
        self.come_back()
        self.needs_replay = False
        for (who, slot), reason in self.recorded.items():
            self.remembered.setdefault((who, slot), reason)
        self.admit()
        self.record_pending()

    def proves_more(self, claims: TokenClaims, stay: Stay | None) -> bool:
        return (
            stay is None
            or stay.slot > claims.slot
            or (claims.lease_until > 0 and not stay.admitted_at and stay.slot == claims.slot)
        )

    def visit_status(self, claims: TokenClaims) -> str:
        """WAITING, ACTIVE or EXPIRED; to be followed by `note_advice`."""
        self.come_back()
        who = claims.customer_id
        stay = self.people.get(who)
        if self.proves_more(claims, stay):
            if (who, claims.slot) in self.remembered:
                return "EXPIRED"
            self.record_pending()
            if ends := self.endings(who, claims.slot):
                self.remembered[who, claims.slot] = min(ends)
                return "EXPIRED"
            self.restore(claims, stay)
            stay = self.people.get(who)
        elif stay and stay.slot < claims.slot:
            self.merge(who, claims.slot)
        if stay is None or (stay.admitted_at and self.is_over(stay)):
            if stay:
                self.time_out(who, stay)
            return "EXPIRED"
        if not stay.admitted_at:
            return "WAITING"
        if not stay.has_shown_up:
            stay.has_shown_up = True
            earliest = max(self.began_at(stay) + LEASE, self.now + 60 * SECOND)
            stay.until = max(self.end_of(stay), earliest)
        return "ACTIVE"

    def restore(self, claims: TokenClaims, stay: Stay | None) -> None:
        who = claims.customer_id
        if stay and stay.admitted_at:
            return
        turn = Stay(claims.slot, claims.lease_until, claims.admitted_at, has_shown_up=True)
        if claims.lease_until and self.end_of(turn) <= self.now:
            if stay and stay.slot == claims.slot:
                del self.people[who]
            self.remembered.setdefault((who, claims.slot), "TIMED_OUT")
            self.pending[who, claims.slot] = "TIMED_OUT"
            return
        if stay and stay.slot > claims.slot:
            self.merge(who, stay.slot)
        if claims.lease_until and len(self.active) < self.capacity:
            turn.until = self.end_of(turn)
            self.people[who] = turn
        else:
            self.people[who] = Stay(claims.slot, self.now)
        self.last_place = max(self.last_place, claims.slot)

    def join(self, who: int, claims: TokenClaims | None) -> tuple[str, bool]:
        """The status, and whether the slot is new.

        :raises Withdrawn: it would be.
        """
        if self.is_withdrawn and self.is_lost and claims is None:
            raise Withdrawn
        self.come_back()
        stay = self.people.get(who)
        if claims and self.proves_more(claims, stay) and not self.endings(who, claims.slot):
            status_of_visit = self.visit_status(claims)
            if status_of_visit != "EXPIRED":
                return status_of_visit, False
        stay = self.people.get(who)
        is_there = stay and not (stay.admitted_at and self.is_over(stay))
        if claims and stay and is_there and claims.slot > stay.slot:
            self.merge(who, claims.slot)
        if stay:
            status_of_visit = self.visit_status(TokenClaims(0, who, stay.slot, 1, 0))
            if status_of_visit != "EXPIRED":
                return status_of_visit, False
        if self.is_withdrawn:
            raise Withdrawn
        self.last_place = max(self.now, self.last_place + 1)
        self.people[who] = Stay(self.last_place, self.now)
        self.ticked_at = self.ticked_at or self.now
        return "WAITING", True

    def note_advice(self, who: int, seconds: int) -> None:
        stay = self.people[who]
        if not stay.admitted_at:
            stay.until = self.now + max(PATIENCE, 2 * seconds * SECOND)

    def finish(self, who: int, slot: int, reason: str) -> None:
        self.recorded.setdefault((who, slot), reason)
        if self.is_lost:
            return
        self.remembered.setdefault((who, slot), reason)
        stay = self.people.get(who)
        if stay and stay.slot == slot:
            del self.people[who]
            if stay.admitted_at:
                self.admit()


class WaitingRoomMachine(RuleBasedStateMachine):
    store: redis.Redis

    @initialize()
    def open(self) -> None:
        room = WaitingRoomFactory(capacity=2)
        self.concert_id = room.concert_id
        now = to_micros(room.concert.sales_open_at) + 24 * 3600 * SECOND
        self.clock = Clock(self.store, self.concert_id, now)
        self.model = Model(now)
        self.tokens: dict[int, list[str]] = {who: [] for who in CUSTOMERS}
        self.tick()

    def choose(self, who: int, age: int) -> str | None:
        """One of the tokens the customer got so far, the newest if `age` is 0."""
        tokens = self.tokens[who]
        return tokens[-1 - age] if age < len(tokens) else None

    def compare(self, who: int, status_of_visit: str, status: services.VisitorStatus) -> None:
        assert status.status == status_of_visit
        if status_of_visit == "EXPIRED":
            return
        self.tokens[who].append(status.token)
        stay = self.model.people[who]
        assert token_signer().read(status.token).slot == stay.slot
        assert status.poll_after_seconds is not None
        self.model.note_advice(who, status.poll_after_seconds)
        assert status.expires_at is not None
        assert to_micros(status.expires_at) == self.model.end_of(stay)
        if status_of_visit == "ACTIVE":
            assert status.position == 0
        elif self.model.is_healing:
            assert status.position is None
        else:
            assert status.position == self.model.waiting.index(who) + 1

    @rule(who=st.sampled_from(CUSTOMERS), age=st.sampled_from([0, 0, 0, 1, 3]), shows=st.booleans())
    def join(self, who: int, age: int, shows: bool) -> None:
        token = self.choose(who, age) if shows else None
        claims = token_signer().read(token) if token else None

        join = partial(
            services.join_queue, customer_id=who, concert_id=self.concert_id, previous_token=token
        )
        try:
            status_of_visit, is_new = self.model.join(who, claims)
        except Withdrawn:
            with pytest.raises(ConcertNotFound):
                join()
            return
        status = join()

        assert status.is_new == is_new
        self.compare(who, status_of_visit, status)

    @rule(who=st.sampled_from(CUSTOMERS), age=st.sampled_from([0, 0, 0, 0, 1, 3]))
    def poll(self, who: int, age: int) -> None:
        token = self.choose(who, age)
        if token is None:
            return
        claims = token_signer().read(token)

        status_of_visit = self.model.visit_status(claims)
        status = services.visitor_status(token=token)

        self.compare(who, status_of_visit, status)
        if status_of_visit == "EXPIRED":
            ends = self.model.endings(who, claims.slot)
            assert status.expired_reason in {"LEFT" if end == "MERGED" else end for end in ends}

    @rule(who=st.sampled_from(CUSTOMERS), age=st.sampled_from([0, 0, 1]))
    def leave(self, who: int, age: int) -> None:
        token = self.choose(who, age)
        if token is None:
            return
        status_of_visit = self.model.visit_status(token_signer().read(token))
        if status_of_visit != "EXPIRED":
            if not self.model.people[who].admitted_at:
                self.model.people[who].until = self.model.now + PATIENCE
            self.model.finish(who, self.model.people[who].slot, "LEFT")

        status = services.leave_queue(token=token)

        assert status.status == "EXPIRED"

    @rule(who=st.sampled_from(CUSTOMERS), age=st.sampled_from([0, 0, 1, 3]))
    def pay(self, who: int, age: int) -> None:
        """The event of a payment, which may be late: whose hold it was is in the token of then."""
        token = self.choose(who, age)
        if token is None:
            return
        claims = token_signer().read(token)
        if not claims.admitted_at:
            return

        self.model.finish(who, claims.slot, "COMPLETED")
        services.finish_visit(
            concert_id=self.concert_id,
            customer_id=who,
            slot=claims.slot,
            generation=claims.generation,
            reason=EndReason.COMPLETED,
        )

    @rule()
    def tick(self) -> None:
        self.model.tick()
        tick_rooms()

    @rule(seconds=st.sampled_from([1, 5, 9, 10, 11, 15, 20, 21, 59, 60, 61, 299, 300, 700]))
    def time(self, seconds: int) -> None:
        self.clock.advance(seconds=seconds)
        self.model.now = self.clock.now

    @rule()
    def steady_minutes(self) -> None:
        """Two minutes with a tick every ten seconds, so that nothing looks like an outage."""
        for _ in range(12):
            self.time(10)
            self.tick()

    @rule()
    def lose_everything(self) -> None:
        self.clock.lose_everything()
        self.model.lose_everything()
        self.model.now = self.clock.now

    @rule(capacity=st.integers(1, 4), is_paused=st.booleans())
    def change_policy(self, capacity: int, is_paused: bool) -> None:
        """It reaches the live room with the next tick here: transactions of a test never commit."""
        control = services.pause_room if is_paused else services.resume_room
        control(concert_id=self.concert_id, staff_id=None)
        services.set_capacity(concert_id=self.concert_id, capacity=capacity, staff_id=None)
        self.model.capacity, self.model.is_paused = capacity, is_paused
        self.tick()

    @rule(is_published=st.booleans())
    def publish_or_withdraw(self, is_published: bool) -> None:
        turn = publish_concert if is_published else withdraw_concert
        if turn(concert_id=self.concert_id, reason="Row F") and is_published:
            # By the time of these histories.
            WaitingRoom.objects.update(resumed_at=from_micros(self.clock.now))
            self.model.resumed_at = self.model.now
        self.model.is_withdrawn = not is_published
        self.tick()

    @invariant()
    def the_room_is_as_the_model_says(self) -> None:
        if self.model.is_lost:
            return
        key = f"{{queue:{self.concert_id}}}"
        waiting: Any = self.store.zrange(f"{key}:waiting", 0, -1)
        active: Any = self.store.zrange(f"{key}:active", 0, -1)
        assert [int(who) for who in waiting] == self.model.waiting
        assert {int(who) for who in active} == set(self.model.active)

    def teardown(self) -> None:
        """The next history has the database and the store to itself again."""
        WaitingRoom.objects.all().delete()
        self.store.flushall()


@pytest.mark.django_db
@pytest.mark.usefixtures("time_of")
def test_no_history_differs_from_the_model(store: redis.Redis) -> None:
    WaitingRoomMachine.store = store

    run_state_machine_as_test(
        WaitingRoomMachine,
        settings=settings(
            max_examples=25,
            stateful_step_count=40,
            deadline=timedelta(seconds=30),
            suppress_health_check=list(HealthCheck),
        ),
    )
