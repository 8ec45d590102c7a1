"""Rows of a room and of its visits: each of that room, that visitor and that visit."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
import redis
from django.utils import timezone

from apps.concerts.models import Concert, Performance
from apps.queue import services
from apps.queue.core.lottery import key_blocks
from apps.queue.live import live_room, token_signer
from apps.queue.models import PolicyChange, QueueExit, WaitingRoom
from apps.queue.services.clock import to_micros
from apps.queue.services.exit_log import move_exits, recorded_end
from apps.queue.services.rooms import TICK, bring_up_to_date
from tests.factories.accounts import CustomerFactory
from tests.factories.concerts import ConcertFactory, PerformanceFactory
from tests.factories.queue import QueueExitFactory, WaitingRoomFactory
from tests.queue.rooms import Clock, Visitor

pytestmark = pytest.mark.django_db

STORES = ["node"]


def of_concert(concert: Concert) -> WaitingRoom:
    return WaitingRoom.objects.with_concert().get(concert=concert)


class TestClosing:
    def test_passes_over_dates_that_are_called_off(self) -> None:
        room, other = WaitingRoomFactory(), WaitingRoomFactory()
        now = timezone.now()
        first, last = (
            PerformanceFactory(concert=room.concert, starts_at=now + timedelta(days=days))
            for days in (1, 2)
        )
        PerformanceFactory(concert=other.concert, starts_at=now + timedelta(days=9))
        assert of_concert(room.concert).closing_at == last.starts_at

        self.call_off(last, at=now)
        assert of_concert(room.concert).closing_at == first.starts_at

        self.call_off(first, at=now - timedelta(hours=1))
        assert of_concert(room.concert).closing_at == now
        assert list(WaitingRoom.objects.closed_before(now)) == [room]

    @staticmethod
    def call_off(performance: Performance, *, at: datetime) -> None:
        dates = Performance.objects.filter(pk=performance.pk)
        dates.update(called_off_at=at, called_off_reason="x")


class TestPolicy:
    def test_of_the_row_is_that_of_the_live_room(self, store: redis.Redis) -> None:
        now = timezone.now()
        closes_at, opens_at, resumed_at = (now + timedelta(hours=n, seconds=n) for n in (9, 2, 1))
        made = WaitingRoomFactory(
            concert__sales_close_at=closes_at,
            opens_at=opens_at,
            resumed_at=resumed_at,
            state="PAUSED",
            capacity=7,
            admissions_per_minute=13,
            lease=timedelta(minutes=3, seconds=1),
            patience=timedelta(minutes=4, seconds=2),
            lottery_window=timedelta(minutes=50),
            generation=5,
            version=6,
        )
        other = WaitingRoomFactory()

        bring_up_to_date(of_concert(made.concert))
        bring_up_to_date(of_concert(other.concert))

        inner, outer = key_blocks(bytes.fromhex(made.lottery_key))
        live: dict[Any, Any] = store.hgetall(f"{{queue:{made.concert_id}}}:room")
        assert live.pop(b"run_id")
        assert live == {
            b"concert": str(made.concert_id).encode(),
            b"version": b"6",
            b"generation": b"5",
            b"state": b"PAUSED",
            b"opens_at": str(to_micros(opens_at)).encode(),
            b"closes_at": str(to_micros(closes_at)).encode(),
            b"capacity": b"7",
            b"per_minute": b"13",
            b"lease": b"181000000",
            b"patience": b"242000000",
            b"lottery_window": b"3000000000",
            b"lottery_inner": inner,
            b"lottery_outer": outer,
            b"resumed_at": str(to_micros(resumed_at)).encode(),
            b"epoch": made.epoch.encode(),
        }
        plain = store.hgetall(f"{{queue:{other.concert_id}}}:room")
        assert (plain[b"closes_at"], plain[b"per_minute"], plain[b"resumed_at"]) == (b"0",) * 3
        assert plain[b"opens_at"] == str(to_micros(other.concert.sales_open_at)).encode()

    @pytest.mark.parametrize(
        ("state", "is_published", "live"),
        [
            *(("OPEN", False, "WITHDRAWN"), ("PAUSED", False, "WITHDRAWN")),
            *(("CLOSED", False, "CLOSED"), ("OPEN", True, "OPEN"), ("CLOSED", True, "CLOSED")),
        ],
    )
    def test_says_whether_the_concert_is_offline(
        self, store: redis.Redis, state: str, is_published: bool, live: str
    ) -> None:
        made = WaitingRoomFactory(state=state, concert__is_published=is_published)

        bring_up_to_date(of_concert(made.concert))

        assert store.hget(f"{{queue:{made.concert_id}}}:room", "state") == live.encode()

    def test_that_is_changed_is_on_record_and_in_its_own_room_only(
        self, django_capture_on_commit_callbacks: Callable[..., Any]
    ) -> None:
        mine, other = (WaitingRoomFactory(capacity=5, version=3) for _ in range(2))
        staff, before = CustomerFactory(staff=True), timezone.now()
        WaitingRoom.objects.update(activity="RESTING", next_tick_at=before + timedelta(days=1))

        with django_capture_on_commit_callbacks(execute=True):
            services.set_capacity(
                concert_id=mine.concert_id, capacity=6, staff_id=staff.pk, reason="Full hall"
            )

        change = PolicyChange.objects.get()
        assert (change.room_id, change.changed_by_id, change.reason) == (
            mine.pk,
            staff.pk,
            "Full hall",
        )
        assert (change.field, change.old_value, change.new_value) == ("capacity", "5", "6")
        changed, left = (WaitingRoom.objects.get(pk=room.pk) for room in (mine, other))
        assert (changed.capacity, changed.version, changed.activity) == (6, 4, "AWAKE")
        assert changed.next_tick_at < timezone.now()
        assert (left.capacity, left.version, left.activity) == (5, 3, "RESTING")
        assert left.next_tick_at == before + timedelta(days=1)
        figures = live_room(mine.concert_id).figures()
        assert figures is not None
        assert figures.capacity == 6
        assert live_room(other.concert_id).figures() is None


class TestScheduling:
    @pytest.mark.parametrize(
        ("activity", "after", "is_moved"),
        [
            ("RESTING", timedelta(0), True),
            ("RESTING", timedelta(seconds=30), True),
            ("AWAKE", timedelta(seconds=30), True),
            ("AWAKE", TICK + timedelta(seconds=5), True),
            ("AWAKE", TICK - timedelta(seconds=0.2), False),
        ],
    )
    def test_a_tick_now_is_for_one_room_that_is_not_due_anyway(
        self, activity: str, after: timedelta, is_moved: bool
    ) -> None:
        rooms = [WaitingRoomFactory(activity=activity) for _ in range(2)]
        next_tick_at = timezone.now() + after
        WaitingRoom.objects.update(next_tick_at=next_tick_at)

        services.schedule_tick_now(rooms[0].concert_id)

        mine, other = (WaitingRoom.objects.get(pk=room.pk) for room in rooms)
        assert mine.activity == ("AWAKE" if is_moved else activity)
        assert (mine.next_tick_at != next_tick_at) == is_moved
        assert mine.next_tick_at <= timezone.now() or not is_moved
        assert (other.activity, other.next_tick_at) == (activity, next_tick_at)


class TestEarlyEnd:
    """Forget that a visitor left who is back before the opening."""

    @pytest.fixture
    def early(self, upcoming: Concert, time_of: Callable[[Concert], Clock]) -> Visitor:
        time_of(upcoming)
        return Visitor(upcoming)

    @pytest.mark.parametrize("reason", ["LEFT", "REMOVED"])
    def test_is_forgotten_and_no_other(self, early: Visitor, reason: str) -> None:
        mine = {"concert": early.concert, "customer": early.customer, "slot": 0, "reason": reason}
        others = [
            QueueExitFactory(**mine | changes).pk
            for changes in (
                {"concert": ConcertFactory()},
                {"customer": CustomerFactory()},
                {"slot": 8},
                {"generation": 2},
            )
        ]
        QueueExitFactory(**mine)

        early.join()

        assert sorted(QueueExit.objects.values_list("pk", flat=True)) == others

    @pytest.mark.parametrize("reason", ["COMPLETED", "TIMED_OUT", "MERGED"])
    def test_is_kept_if_it_was_another(self, early: Visitor, reason: str) -> None:
        QueueExitFactory(concert=early.concert, customer=early.customer, slot=0, reason=reason)

        early.join()

        assert QueueExit.objects.get().reason == reason

    def test_is_kept_for_who_is_back_after_the_opening(self, concert: Concert) -> None:
        visitor = Visitor(concert)
        QueueExitFactory(concert=concert, customer=visitor.customer, slot=0, reason="LEFT")

        visitor.join()

        assert QueueExit.objects.get().slot == 0


class TestRecordedEnd:
    """The end of a visit, or of a later one of the same customer in the same room."""

    @pytest.mark.parametrize(
        ("slot", "reason", "found"),
        [
            (5, "LEFT", "LEFT"),
            (5, "MERGED", "MERGED"),
            (6, "COMPLETED", "COMPLETED"),
            (6, "MERGED", None),
            (4, "COMPLETED", None),
        ],
    )
    def test_is_of_this_visit_or_a_later_turn(
        self, concert: Concert, slot: int, reason: str, found: str | None
    ) -> None:
        end = QueueExitFactory(concert=concert, slot=slot, reason=reason)

        asked = {"concert_id": concert.pk, "customer_id": end.customer_id, "generation": 1}

        assert recorded_end(**asked, slot=5) == found

    def test_is_its_own_before_that_of_a_later_one(self, concert: Concert) -> None:
        later = QueueExitFactory(concert=concert, slot=9, reason="COMPLETED")
        QueueExitFactory(concert=concert, customer=later.customer, slot=5, reason="LEFT")
        asked = {"concert_id": concert.pk, "customer_id": later.customer_id, "generation": 1}

        assert [recorded_end(**asked, slot=slot) for slot in (5, 9, 10)] == [
            "LEFT",
            "COMPLETED",
            None,
        ]

    def test_that_the_room_found_is_written_as_it_was(
        self, store: redis.Redis, concert: Concert
    ) -> None:
        at = to_micros(datetime.fromisoformat("2026-05-04T03:02:01.000500Z"))
        ends = [
            (11, 3, 1, "TIMED_OUT", at, at + 7, at + 9),
            (12, 0, 2, "MERGED", at + 1, 0, at + 2),
        ]
        for end in ends:
            store.xadd(f"{{queue:{concert.pk}}}:exits", {"end": ":".join(map(str, end))})

        assert move_exits(live_room(concert.pk)) == 2

        rows = QueueExit.objects.order_by("customer_id")
        assert [
            (
                *(row.customer_id, row.slot, row.generation, row.reason, to_micros(row.joined_at)),
                to_micros(row.admitted_at) if row.admitted_at else 0,
                to_micros(row.ended_at),
            )
            for row in rows
        ] == ends
        assert {row.concert_id for row in rows} == {concert.pk}


class TestServerThatBeganAnew:
    """Trust no stale answer of the room: a visitor who joins without a token is believed once the exit log was asked."""

    @pytest.fixture
    def stale(self, concert: Concert, visitors: list[Visitor], store: redis.Redis) -> list[Visitor]:
        """The second has left since the file that the server came back from."""
        store.hset(f"{{queue:{concert.pk}}}:room", "run_id", "another")
        claims = token_signer().read(visitors[1].token)
        QueueExitFactory(
            concert=concert, customer=visitors[1].customer, slot=claims.slot, reason="LEFT"
        )
        return visitors

    def join(self, visitor: Visitor) -> services.VisitorStatus:
        return services.join_queue(
            customer_id=visitor.customer.pk, concert_id=visitor.concert.pk, previous_token=None
        )

    def test_gives_the_place_back_to_who_has_not_ended(self, stale: list[Visitor]) -> None:
        joined = self.join(stale[2])

        assert (joined.status, joined.is_new, joined.position) == ("WAITING", False, 3)
        assert token_signer().read(joined.token).slot == token_signer().read(stale[2].token).slot

    def test_gives_a_new_place_to_who_has(self, stale: list[Visitor]) -> None:
        joined = self.join(stale[1])

        assert (joined.status, joined.is_new, joined.position) == ("WAITING", True, 5)
        assert token_signer().read(joined.token).slot > token_signer().read(stale[4].token).slot


def test_of_a_deleted_concert_nobody_is_left_in_the_store(
    concert: Concert, visitors: list[Visitor], store: redis.Redis
) -> None:
    other = WaitingRoomFactory()
    bring_up_to_date(of_concert(other.concert))
    assert store.keys(f"{{queue:{concert.pk}}}:*")

    services.forget_room(concert_id=concert.pk)

    kept = {
        str(key).rpartition(":")[2].strip("'") for key in store.keys(f"{{queue:{concert.pk}}}:*")
    }
    assert kept <= {"clock"}
    assert store.keys(f"{{queue:{other.concert_id}}}:room")
