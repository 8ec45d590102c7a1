"""Test when rooms are looked at again, and that a batch of ends is corrected each by its own time."""

from collections.abc import Callable
from datetime import datetime, timedelta

import pytest
from django.conf import LazySettings
from django.utils import timezone

from apps.concerts.models import Concert
from apps.outbox.models import OutboxEvent
from apps.queue import services
from apps.queue.core.room import Room, Step
from apps.queue.live import token_signer
from apps.queue.models import QueueExit, WaitingRoom
from apps.queue.services import admission
from apps.queue.services.clock import from_micros
from apps.queue.services.finishing import finish_paid_visits
from tests.factories.queue import QueueExitFactory, WaitingRoomFactory
from tests.queue.rooms import Clock, Visitor

pytestmark = pytest.mark.django_db

STORES = ["node"]


class TestNextTick:
    @pytest.fixture
    def rooms(self) -> list[WaitingRoom]:
        """Due since a minute, but for one that is due in an hour and one that is retired."""
        rooms: list[WaitingRoom] = WaitingRoomFactory.create_batch(32)
        WaitingRoom.objects.update(next_tick_at=timezone.now() - timedelta(minutes=1))
        later, retired = rooms[-2:]
        WaitingRoom.objects.filter(pk=later.pk).update(next_tick_at=self.later)
        WaitingRoom.objects.filter(pk=retired.pk).update(activity="RETIRED")
        return rooms[:-2]

    later = timezone.now() + timedelta(hours=1)

    def waits(self, rooms: list[WaitingRoom], since: object) -> list[float]:
        found = WaitingRoom.objects.filter(pk__in=[room.pk for room in rooms])
        return sorted((room.next_tick_at - since).total_seconds() for room in found)  # type: ignore[operator]

    def test_of_rooms_that_rest_is_half_a_minute_away_but_not_all_at_once(
        self, rooms: list[WaitingRoom], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(admission, "SECONDS_PER_CALL", 60.0)
        before = timezone.now()

        assert services.admit_visitors() == 0

        first, *_, last = self.waits(rooms, before)
        took = (timezone.now() - before).total_seconds()
        assert 25 <= first < last <= 35 + took
        assert last - first > 5.5
        left = WaitingRoom.objects.exclude(pk__in=[room.pk for room in rooms]).order_by("pk")
        assert [(room.activity, room.next_tick_at > before) for room in left] == [
            ("RESTING", True),
            ("RETIRED", False),
        ]
        assert left[0].next_tick_at == self.later

    def test_of_an_empty_room_that_was_awake_is_too(
        self, rooms: list[WaitingRoom], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(admission, "SECONDS_PER_CALL", 60.0)
        WaitingRoom.objects.filter(pk__in=[room.pk for room in rooms]).update(activity="AWAKE")
        before = timezone.now()

        services.admit_visitors()

        first, *_, last = self.waits(rooms, before)
        took = (timezone.now() - before).total_seconds()
        assert 25 <= first < last <= 35 + took
        assert last - first > 5.5
        activities = WaitingRoom.objects.order_by("pk").values_list("activity", flat=True)
        assert list(activities) == ["RESTING"] * 31 + ["RETIRED"]

    def test_is_put_off_for_one_room_that_nobody_has_woken_since(self) -> None:
        rooms = [WaitingRoomFactory(activity="AWAKE") for _ in range(2)]
        at = timezone.now()
        WaitingRoom.objects.update(next_tick_at=at)
        claimed = WaitingRoom.objects.get(pk=rooms[0].pk)

        admission._postpone(claimed)

        first, other = WaitingRoom.objects.order_by("pk")
        assert (first.activity, first.next_tick_at > at) == ("RESTING", True)
        assert (other.activity, other.next_tick_at) == ("AWAKE", at)
        WaitingRoom.objects.filter(pk=other.pk).update(next_tick_at=at + timedelta(seconds=1))
        other.next_tick_at = at
        admission._postpone(other)
        other.refresh_from_db()
        assert (other.activity, other.next_tick_at) == ("AWAKE", at + timedelta(seconds=1))

    def test_of_a_room_with_visitors_is_half_a_second_away(self, visitors: list[Visitor]) -> None:
        WaitingRoom.objects.update(next_tick_at=timezone.now() - timedelta(minutes=1))
        before = timezone.now()

        assert services.admit_visitors() == 2

        room = WaitingRoom.objects.get()
        took = (timezone.now() - before).total_seconds()
        assert room.activity == "AWAKE"
        assert 0.5 <= (room.next_tick_at - before).total_seconds() <= 0.5 + took

    def test_comes_first_for_whom_it_is_due_longest(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(admission, "SHARE", 1)
        ticked: list[int] = []

        def tick_room(room: WaitingRoom) -> int:
            ticked.append(room.pk)
            return 0

        monkeypatch.setattr(admission, "_tick_room", tick_room)
        rooms = [WaitingRoomFactory() for _ in range(4)]
        now = timezone.now()
        for room, (ago, activity) in zip(
            rooms, [(3, "RESTING"), (9, "RESTING"), (1, "AWAKE"), (2, "AWAKE")], strict=True
        ):
            WaitingRoom.objects.filter(pk=room.pk).update(
                activity=activity, next_tick_at=now - timedelta(minutes=ago)
            )

        services.admit_visitors()

        assert ticked[:4] == [rooms[at].pk for at in (3, 2, 1, 0)]

    def test_comes_for_so_many_that_rest(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(admission, "SHARE", 2)
        monkeypatch.setattr(admission, "RESTING_PER_CALL", 3)
        monkeypatch.setattr(admission, "SECONDS_PER_CALL", 10.0)
        WaitingRoomFactory.create_batch(5)
        at = timezone.now() - timedelta(minutes=1)
        WaitingRoom.objects.update(activity="RESTING", next_tick_at=at)

        for left in (2, 0):
            services.admit_visitors()
            assert WaitingRoom.objects.filter(next_tick_at=at).count() == left

    def test_is_soon_for_who_came_in_while_nobody_was_found(
        self, concert: Concert, visitors: list[Visitor], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Two are inside and two wait by the time of the second look."""
        visitors[4].leave()
        services.admit_now(concert.pk)
        monkeypatch.setattr(admission, "_admit", lambda _live: (0, 0))
        monkeypatch.setattr(admission, "drain_exits", lambda _live, seconds: 0)
        WaitingRoom.objects.update(activity="AWAKE", next_tick_at=timezone.now())

        services.admit_visitors()

        room = WaitingRoom.objects.get()
        assert (room.activity, room.next_tick_at <= timezone.now()) == ("AWAKE", True)

    def test_that_was_asked_for_since_the_claim_stays(
        self, concert: Concert, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        services.admit_visitors()  # makes the live room
        WaitingRoom.objects.update(activity="AWAKE", next_tick_at=timezone.now())
        rooms = WaitingRoom.objects.with_concert

        def ask_first() -> object:
            WaitingRoom.objects.update(next_tick_at=self.later)
            return rooms()

        monkeypatch.setattr(WaitingRoom.objects, "with_concert", ask_first)
        services.admit_visitors()

        room = WaitingRoom.objects.get()
        assert (room.activity, room.next_tick_at) == ("AWAKE", self.later)

    def test_takes_no_more_steps_than_there_is_to_do(
        self, concert: Concert, visitors: list[Visitor], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(admission, "SECONDS_PER_ROOM", 10.0)
        steps: list[Step] = []
        admit = Room.admit

        def one_at_a_time(room: Room) -> Step:
            steps.append(admit(room, batch=1))
            return steps[-1]

        monkeypatch.setattr(Room, "admit", one_at_a_time)

        assert services.admit_now(concert.pk) == 2

        assert [(step.admitted, step.has_more) for step in steps] == [
            *[(1, True)] * 2,
            (0, False),
        ]

    def test_is_asked_for_by_who_is_new_and_first(
        self, concert: Concert, visitors: list[Visitor], upcoming: Concert
    ) -> None:
        early = [Visitor(upcoming).join() for _ in range(2)]
        for visitor, is_woken in (
            *((visitors[0], False), (Visitor(concert), False), (early[0], False)),
            (Visitor(upcoming), True),
            (Visitor(WaitingRoomFactory().concert), True),
        ):
            WaitingRoom.objects.update(activity="RESTING", next_tick_at=self.later)
            visitor.join()
            awake = WaitingRoom.objects.filter(activity="AWAKE", next_tick_at__lt=self.later)
            assert list(awake.values_list("concert_id", flat=True)) == (
                [visitor.concert.pk] if is_woken else []
            )

    def test_comes_all_the_same_when_the_store_is_away(
        self, visitors: list[Visitor], settings: LazySettings
    ) -> None:
        other = Visitor(WaitingRoomFactory().concert).join()
        url = settings.QUEUE_URL
        settings.QUEUE_URL = "redis://127.0.0.1:1/0"
        WaitingRoom.objects.update(next_tick_at=timezone.now() - timedelta(minutes=1))
        before = timezone.now()

        assert services.admit_visitors() == 0

        rooms = list(WaitingRoom.objects.all())
        assert all(before < room.next_tick_at < before + timedelta(minutes=1) for room in rooms)
        assert services.admit_now(visitors[0].concert.pk) == 0
        settings.QUEUE_URL = url
        WaitingRoom.objects.update(next_tick_at=timezone.now())
        assert services.admit_visitors() == 3
        assert other.standing == visitors[0].standing == "ACTIVE"


class TestCorrections:
    def test_are_of_each_visit_by_the_clock_of_the_store(
        self,
        concert: Concert,
        visitors: list[Visitor],
        time_of: Callable[[Concert], Clock],
    ) -> None:
        clock = time_of(concert)
        clock.set(token_signer().read(visitors[4].token).slot + 1_000_000)
        old = QueueExitFactory(concert=concert)
        admitted_at: list[datetime] = []
        for visitor in visitors[:2]:
            services.set_capacity(concert_id=concert.pk, capacity=len(admitted_at) + 1)
            WaitingRoom.objects.update(next_tick_at=timezone.now())
            services.admit_visitors()
            admitted_at.append(from_micros(clock.now))
            visitor.poll()
            clock.advance(seconds=3)
        waiting = token_signer().read(visitors[2].token)

        finish_paid_visits(
            [
                OutboxEvent(
                    payload={
                        "concert_id": concert.pk,
                        "customer_id": claims.customer_id,
                        "queue_slot": claims.slot,
                        "queue_generation": claims.generation,
                    }
                )
                for claims in (
                    *(token_signer().read(visitor.token) for visitor in visitors[:2]),
                    waiting,
                )
            ]
        )

        found = QueueExit.objects.order_by("pk").exclude(pk=old.pk)
        assert [(end.admitted_at, end.ended_at) for end in found] == [
            *((at, from_micros(clock.now)) for at in admitted_at),
            (None, from_micros(clock.now)),
        ]
        assert [end.joined_at for end in found] == [
            from_micros(token_signer().read(visitor.token).slot) for visitor in visitors[:3]
        ]
        before = (old.admitted_at, old.ended_at)
        old.refresh_from_db()
        assert (old.admitted_at, old.ended_at) == before

    def test_who_leaves_before_the_opening_joined_no_later_than_that(
        self, upcoming: Concert
    ) -> None:
        early = Visitor(upcoming).join()
        early.leave()

        [end] = QueueExit.objects.all()
        assert end.joined_at <= end.ended_at < upcoming.sales_open_at
        assert (end.reason, end.slot, end.admitted_at) == ("LEFT", 0, None)
