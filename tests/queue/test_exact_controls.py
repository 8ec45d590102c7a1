"""Controls of staff, retirement and the gate at their limits, with a second room that nothing of it concerns."""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.test import TestCase
from django.utils import timezone

from apps.concerts.errors import SalesClosed, SalesNotOpen
from apps.concerts.models import Concert, Performance
from apps.concerts.publication import publish_concert, withdraw_concert
from apps.queue import services
from apps.queue.core.room import Room
from apps.queue.errors import QueueTokenExpired, QueueTokenInvalid
from apps.queue.live import live_room, token_signer
from apps.queue.models import PolicyChange, WaitingRoom
from apps.queue.services import Admission, controls
from apps.queue.services.retiring import retire_if_finished
from tests.factories.accounts import CustomerFactory
from tests.factories.concerts import PerformanceFactory, begin_at
from tests.factories.queue import WaitingRoomFactory
from tests.queue.rooms import Visitor

pytestmark = pytest.mark.django_db

STORES = ["node"]
MICROSECOND = timedelta(microseconds=1)


def run(control: Callable[..., WaitingRoom], room: WaitingRoom, **values: Any) -> WaitingRoom:
    """Run the hooks of the commit, too."""
    with TestCase.captureOnCommitCallbacks(execute=True):
        control(concert_id=room.concert_id, **{"staff_id": None, **values})
    return WaitingRoom.objects.with_concert().get(pk=room.pk)


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> datetime:
    now = timezone.now()
    monkeypatch.setattr(controls, "database_now", lambda: now)
    return now


class TestOpening:
    """Sales open in an hour and close an hour later."""

    @pytest.fixture
    def room(self, now: datetime) -> WaitingRoom:
        hour = timedelta(hours=1)
        room: WaitingRoom = WaitingRoomFactory(
            state="CLOSED",
            pause_reason="Out of order",
            concert__sales_open_at=now + hour,
            concert__sales_close_at=now + 2 * hour,
        )
        WaitingRoomFactory(state="CLOSED")
        return room

    @pytest.mark.parametrize("after", [3_600, 7_199])
    def test_is_possible_for_a_moment_of_the_sales(
        self, room: WaitingRoom, now: datetime, after: int
    ) -> None:
        at = now + timedelta(seconds=after)

        opened = run(services.open_room, room, at=at)

        assert (opened.state, opened.opens_at, opened.pause_reason) == ("OPEN", at, "")
        assert WaitingRoom.objects.filter(state="CLOSED").count() == 1

    def test_is_refused_a_moment_before(self, room: WaitingRoom, now: datetime) -> None:
        with pytest.raises(SalesNotOpen) as refused:
            run(services.open_room, room, at=now + timedelta(hours=1) - MICROSECOND)

        assert refused.value.retry_after == 3_600
        Concert.objects.filter(pk=room.concert_id).update(
            sales_open_at=now + timedelta(seconds=10, milliseconds=1)
        )
        with pytest.raises(SalesNotOpen) as refused:
            run(services.open_room, room, at=now)
        assert refused.value.retry_after == 11
        assert WaitingRoom.objects.filter(state="CLOSED").count() == 2

    def test_is_refused_from_the_end_of_the_sales_on(
        self, room: WaitingRoom, now: datetime
    ) -> None:
        with pytest.raises(SalesClosed):
            run(services.open_room, room, at=now + timedelta(hours=2))

        assert WaitingRoom.objects.filter(state="CLOSED").count() == 2

    def test_needs_no_moment_when_its_own_is_over(self, room: WaitingRoom, now: datetime) -> None:
        Concert.objects.update(sales_open_at=now - timedelta(hours=1))

        opened = run(services.open_room, room)

        assert (opened.state, opened.opens_at) == ("OPEN", None)
        WaitingRoom.objects.update(state="CLOSED", opens_at=now + timedelta(minutes=5))
        assert run(services.open_room, room).opens_at == now


class TestClosing:
    def test_makes_what_was_before_worthless_in_one_room(self) -> None:
        room, other = (WaitingRoomFactory(state="PAUSED", pause_reason="Why") for _ in range(2))

        closed = run(services.close_room, room)

        assert (closed.state, closed.generation, closed.pause_reason) == ("CLOSED", 2, "")
        assert closed.lottery_key != room.lottery_key
        other.refresh_from_db()
        assert (other.state, other.generation, other.pause_reason) == ("PAUSED", 1, "Why")
        again = run(services.close_room, room)
        assert (again.generation, again.lottery_key) == (2, closed.lottery_key)


class TestRecords:
    def test_name_who_did_what_and_why(self) -> None:
        room, staff = WaitingRoomFactory(), CustomerFactory(staff=True)
        opens_at = room.concert.sales_open_at + timedelta(hours=1)

        run(
            services.edit_policy,
            room,
            staff_id=staff.pk,
            reason="More time",
            lease=timedelta(minutes=7),
            opens_at=opens_at,
        )

        found = PolicyChange.objects.order_by("field").values_list(
            "room", "field", "old_value", "new_value", "changed_by", "actor", "reason"
        )
        by = (staff.pk, "", "More time")
        assert list(found) == [
            (room.pk, "lease", "0:05:00", "0:07:00", *by),
            (room.pk, "opens_at", "", opens_at.isoformat(), *by),
        ]

    def test_name_who_was_removed(self, concert: Concert, visitors: list[Visitor]) -> None:
        gone, stays = visitors[1].customer.pk, visitors[2].customer.pk

        services.remove_visitor(concert_id=concert.pk, customer_id=gone, actor="root", reason="x")

        [change] = PolicyChange.objects.all()
        assert (change.field, change.old_value, change.new_value) == (
            *("removed_visitor", ""),
            str(gone),
        )
        assert (change.actor, change.reason) == ("root", "x")
        assert live_room(concert.pk).visit_of(gone) is None
        assert live_room(concert.pk).visit_of(stays) is not None

    def test_follow_a_concert_that_goes_offline_and_comes_back(self) -> None:
        other, room = (WaitingRoomFactory(pause_reason="Own") for _ in range(2))

        for change in (withdraw_concert, publish_concert):
            with TestCase.captureOnCommitCallbacks(execute=True):
                assert change(concert_id=room.concert_id, reason="Seats moved", actor="root")
            room.refresh_from_db()
            is_offline = change is withdraw_concert
            assert room.withdrawal_reason == ("Seats moved" if is_offline else "")
            assert (room.resumed_at is None) == is_offline

        found = PolicyChange.objects.order_by("pk").values_list(
            "room", "field", "old_value", "new_value", "actor", "reason"
        )
        by = ("root", "Seats moved")
        assert list(found) == [
            (room.pk, "is_published", "True", "False", *by),
            (room.pk, "is_published", "False", "True", *by),
        ]
        other.refresh_from_db()
        assert (room.version, other.version, other.resumed_at) == (3, 1, None)


class TestRetiring:
    """Two rooms that rest, whose concerts are over by more than a day."""

    @pytest.fixture
    def rooms(self) -> list[WaitingRoom]:
        rooms = [WaitingRoomFactory(activity="RESTING", version=4) for _ in range(2)]
        for room in rooms:
            PerformanceFactory(concert=room.concert)
            Visitor(room.concert).join().leave()
        WaitingRoom.objects.update(activity="RESTING")
        begin_at(Performance.objects.all(), timezone.now() - timedelta(hours=25))
        found = list(WaitingRoom.objects.with_concert().order_by("pk"))
        assert all(room.epoch_stored_at is not None for room in found)
        return found

    def test_is_of_one_room(self, rooms: list[WaitingRoom]) -> None:
        assert retire_if_finished(rooms[0]) is True

        retired, other = WaitingRoom.objects.order_by("pk")
        assert (retired.activity, retired.generation, retired.version) == ("RETIRED", 2, 5)
        assert retired.lottery_key != rooms[0].lottery_key
        assert retired.epoch_stored_at is None
        assert (other.activity, other.generation, other.version) == ("RESTING", 1, 4)
        assert live_room(rooms[0].concert_id).figures() is None
        assert live_room(rooms[1].concert_id).figures() is not None

    @pytest.mark.parametrize("hours", [23, 25])
    def test_waits_a_day(self, rooms: list[WaitingRoom], hours: int) -> None:
        begin_at(Performance.objects.all(), timezone.now() - timedelta(hours=hours))
        [room, _] = WaitingRoom.objects.with_concert().order_by("pk")

        assert retire_if_finished(room) is (hours == 25)

        assert (live_room(room.concert_id).figures() is None) == (hours == 25)

    def test_is_not_for_a_concert_that_never_ends(self, rooms: list[WaitingRoom]) -> None:
        rooms[0].closing_at = None

        assert retire_if_finished(rooms[0]) is False

        assert live_room(rooms[0].concert_id).figures() is not None

    def test_is_not_for_who_was_woken_in_the_last_moment(
        self, rooms: list[WaitingRoom], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        drop = Room.drop_if_empty

        def drop_and_wake(live: Room) -> bool:
            is_gone = drop(live)
            services.schedule_tick_now(live.concert_id)
            return is_gone

        monkeypatch.setattr(Room, "drop_if_empty", drop_and_wake)

        assert retire_if_finished(rooms[0]) is False

        room = WaitingRoom.objects.get(pk=rooms[0].pk)
        assert (room.activity, room.generation) == ("AWAKE", 1)


class TestGate:
    def test_says_all_of_a_visit(self, visitors: list[Visitor]) -> None:
        services.admit_now(visitors[0].concert.pk)
        status = visitors[1].poll()
        claims = token_signer().read(visitors[1].token)

        admission = visitors[1].enter()

        assert admission == Admission(
            concert_id=visitors[1].concert.pk,
            customer_id=visitors[1].customer.pk,
            generation=1,
            slot=claims.slot,
            admitted_at=admission.admitted_at,
            lease_until=admission.admitted_at + timedelta(minutes=5),
            new_holds_until=admission.admitted_at + timedelta(minutes=10),
            seen_at=admission.seen_at,
        )
        assert status.expires_at == admission.lease_until == admission.choose_until
        assert admission.admitted_at < admission.seen_at
        longer = replace(admission, lease_until=admission.new_holds_until + MICROSECOND)
        assert longer.choose_until == admission.new_holds_until

    def test_lets_new_holds_pass_until_their_last_moment(self, visitors: list[Visitor]) -> None:
        services.admit_now(visitors[0].concert.pk)
        admission = visitors[0].enter()

        last = replace(admission, seen_at=admission.new_holds_until)
        late = replace(admission, seen_at=admission.new_holds_until + MICROSECOND)

        services.require_new_hold_allowed(admission=last, has_paid=False)
        with pytest.raises(QueueTokenExpired):
            services.require_new_hold_allowed(admission=late, has_paid=False)

    def test_knows_whose_token_it_is_and_for_what(self, visitors: list[Visitor]) -> None:
        mine, other = visitors[:2]
        token = {"token": mine.token}

        assert services.concert_of_token(**token, customer_id=mine.customer.pk) == mine.concert.pk
        assert services.has_slot_in(**token, concert_id=mine.concert.pk)
        assert not services.has_slot_in(**token, concert_id=mine.concert.pk + 1)
        assert not services.has_slot_in(token="q1.x", concert_id=mine.concert.pk)
        assert not services.has_slot_in(token=None, concert_id=mine.concert.pk)
        with pytest.raises(QueueTokenInvalid):
            services.concert_of_token(**token, customer_id=other.customer.pk)
        for wrong in ({"customer_id": other.customer.pk}, {"concert_id": mine.concert.pk + 1}):
            own: dict[str, Any] = {"customer_id": mine.customer.pk, "concert_id": mine.concert.pk}
            with pytest.raises(QueueTokenInvalid):
                services.verify_token(token=mine.token, **own | wrong)
