"""A concert that is taken offline for a while: every place is kept, and everything goes on when it is published again."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from django.test import Client, TestCase

from apps.concerts.errors import ConcertNotFound
from apps.concerts.models import Concert
from apps.concerts.publication import publish_concert, stakes_of, withdraw_concert
from apps.core.caching import clear_process_caches
from apps.queue import services
from apps.queue.core.room import SECOND, WITHDRAWN, EndReason, JoinRefusal, VisitStatus
from apps.queue.errors import QueueClosed
from apps.queue.models import PolicyChange, QueueExit, WaitingRoom
from tests.factories.accounts import CustomerFactory, bearer
from tests.factories.concerts import ConcertFactory
from tests.queue.rooms import Clock, Visitor, tick

pytestmark = pytest.mark.django_db

REASON = "The hall has changed the seats of row F."
TOKENS, OWN_TOKEN = "/api/v1/queue/tokens", "/api/v1/queue/tokens/me"


def withdraw(concert: Concert, **by: Any) -> None:
    with TestCase.captureOnCommitCallbacks(execute=True):
        assert withdraw_concert(concert_id=concert.pk, **{"reason": REASON, **by})
    clear_process_caches()


def publish(concert: Concert, **by: Any) -> None:
    with TestCase.captureOnCommitCallbacks(execute=True):
        assert publish_concert(concert_id=concert.pk, **by)
    clear_process_caches()


@pytest.fixture
def store_time(concert, time_of) -> Clock:
    return time_of(concert)


class TestWaiting:
    def test_places_survive_as_in_a_pause(self, concert, visitors):
        withdraw(concert)

        assert tick() == 0
        assert [visitor.poll().position for visitor in visitors] == [1, 2, 3, 4, 5]
        publish(concert)
        assert tick() == 2
        assert [visitor.standing for visitor in visitors] == ["ACTIVE"] * 2 + ["WAITING"] * 3
        assert not QueueExit.objects.exists()

    def test_it_takes_effect_with_the_commit(self, concert, visitors):
        withdraw(concert)
        assert services.admit_now(concert.pk) == 0

        publish(concert)
        assert services.admit_now(concert.pk) == 2

    def test_who_polls_as_advised_waits_for_as_long_as_it_takes(
        self, store_time, concert, visitors
    ):
        withdraw(concert)

        for _ in range(12):
            store_time.advance(seconds=50)
            tick()
            assert [visitor.poll().status for visitor in visitors] == ["WAITING"] * 5

    def test_who_goes_away_loses_the_place_as_in_a_pause(self, store_time, concert, visitors):
        withdraw(concert)
        for _ in range(40):
            store_time.advance(seconds=10)
            tick()
            visitors[0].poll()

        assert [visitor.standing for visitor in visitors] == ["WAITING"] + ["TIMED_OUT"] * 4

    def test_a_place_is_given_back_and_newcomers_are_not_told_that_there_is_anything(
        self, concert, visitors
    ):
        withdraw(concert)

        visitors[2].token = ""
        assert visitors[2].join().poll().position == 3
        with pytest.raises(ConcertNotFound):
            Visitor(concert).join()

    def test_leaving_is_possible(self, concert, visitors):
        withdraw(concert)

        visitors[0].leave()

        assert [visitors[0].standing, visitors[1].poll().position] == ["LEFT", 1]

    @pytest.mark.parametrize("rejoins", [True, False])
    def test_it_heals_meanwhile(self, store_time, concert, visitors, rejoins):
        withdraw(concert)
        store_time.lose_everything()

        for visitor in reversed(visitors):
            visitor.join() if rejoins else visitor.poll()
        tick()  # replays what had ended
        store_time.advance(seconds=11)

        assert [visitor.poll().position for visitor in visitors] == [1, 2, 3, 4, 5]
        with pytest.raises(ConcertNotFound):
            Visitor(concert).join()

    def test_a_room_that_was_paused_is_paused_again_afterwards(self, concert, visitors):
        services.pause_room(concert_id=concert.pk, reason="Slow payments")
        withdraw(concert)
        publish(concert)

        assert tick() == 0
        room = WaitingRoom.objects.get(concert=concert)
        assert (room.state, room.pause_reason, room.withdrawal_reason) == (
            "PAUSED",
            "Slow payments",
            "",
        )

    def test_closing_is_for_good_all_the_same(self, concert, visitors):
        withdraw(concert)
        with TestCase.captureOnCommitCallbacks(execute=True):
            services.close_room(concert_id=concert.pk, reason="Off")

        assert visitors[0].standing == "CLOSED"
        with pytest.raises(ConcertNotFound):
            Visitor(concert).join()
        publish(concert)
        with pytest.raises(QueueClosed):
            Visitor(concert).join()

    @pytest.mark.parametrize("moment", ["upcoming", "closed"])
    def test_joining_tells_neither_when_sales_open_nor_that_they_are_over(self, moment):
        concert = ConcertFactory(**{moment: True})
        services.get_or_create_waiting_room(concert.pk)
        withdraw(concert)

        with pytest.raises(ConcertNotFound):
            Visitor(concert).join()


class TestTurns:
    @pytest.fixture
    def inside(self, store_time, visitors) -> Visitor:
        """Has used a minute of the five."""
        tick()
        visitors[0].poll()
        visitors[1].poll()
        store_time.advance(minutes=1)
        tick()
        return visitors[0]

    def wait_offline(self, store_time: Clock, minutes: int, *visitors: Visitor) -> None:
        for _ in range(minutes * 6):
            store_time.advance(seconds=10)
            tick()
            for visitor in visitors:
                visitor.poll()

    def test_stand_still_and_begin_anew(self, store_time, concert, visitors, inside):
        withdraw(concert)
        self.wait_offline(store_time, 8, *visitors[2:])
        assert inside.standing == "ACTIVE"

        self.set_time_of_publishing(store_time, concert)
        admission = inside.enter()

        assert (admission.lease_until - admission.seen_at).total_seconds() == 300
        assert (admission.new_holds_until - admission.seen_at).total_seconds() == 600
        services.require_new_hold_allowed(admission=admission, has_paid=False)
        # Never more than the two that the room has slots for.
        assert [visitor.standing for visitor in visitors] == ["ACTIVE"] * 2 + ["WAITING"] * 3

    def set_time_of_publishing(self, store_time: Clock, concert: Concert) -> None:
        """Publish it at the time that the store has in this test."""
        publish(concert)
        at = datetime.fromtimestamp(store_time.now / SECOND, tz=UTC)
        WaitingRoom.objects.filter(concert=concert).update(resumed_at=at)
        tick()

    def test_end_as_ever_afterwards(self, store_time, concert, visitors, inside):
        withdraw(concert)
        self.wait_offline(store_time, 8, *visitors[2:])
        self.set_time_of_publishing(store_time, concert)

        self.wait_offline(store_time, 4, *visitors[2:])
        assert inside.standing == "ACTIVE"
        self.wait_offline(store_time, 2, *visitors[2:])

        assert inside.standing == "TIMED_OUT"
        assert [visitor.standing for visitor in visitors[2:4]] == ["ACTIVE"] * 2

    def test_of_who_was_called_and_did_not_come_yet_leaves_a_minute(
        self, store_time, concert, visitors
    ):
        tick()
        withdraw(concert)
        self.wait_offline(store_time, 10, *visitors[2:])
        self.set_time_of_publishing(store_time, concert)
        store_time.advance(seconds=50)
        tick()

        assert visitors[0].standing == "ACTIVE"
        store_time.advance(seconds=15)
        tick()
        assert visitors[1].standing == "TIMED_OUT"

    def test_survive_the_loss_of_the_store(self, store_time, concert, visitors, inside):
        withdraw(concert)
        self.wait_offline(store_time, 8, *visitors[2:])
        store_time.lose_everything()

        assert inside.standing == "ACTIVE"
        self.set_time_of_publishing(store_time, concert)
        store_time.lose_everything()
        assert inside.standing == "ACTIVE"

    def test_are_begun_by_no_visitor_meanwhile(self, concert, visitors, inside):
        withdraw(concert)
        inside.leave()

        assert tick() == 0
        assert visitors[2].standing == "WAITING"

    def test_paying_for_a_hold_ends_them_as_ever(self, concert, inside):
        withdraw(concert)

        inside.pay()

        assert inside.standing == "COMPLETED"


class TestCore:
    """The scripts alone."""

    def test_a_lease_that_a_hold_extended_is_kept(self, room, clock):
        [mine] = room.join_all(1)
        room.tick()
        room.touch(mine)
        until = clock.now + 1800 * SECOND
        room.extend_lease(customer_id=1, slot=mine.slot, until=until)
        room.set_policy(version=2, state=WITHDRAWN)
        room.pass_time(minutes=2)
        room.set_policy(version=3, resumed_at=clock.now)

        assert room.touch(mine).expires_at == until
        room.shorten_lease(customer_id=1, slot=mine.slot)
        assert room.touch(mine).expires_at == clock.now + 300 * SECOND

    def test_without_a_new_beginning_the_turn_would_be_over(self, room, clock):
        """The twin: what a pause does to a turn, which goes on meanwhile."""
        [mine] = room.join_all(1)
        room.tick()
        room.touch(mine)
        room.set_policy(version=2, state="PAUSED")
        room.pass_time(minutes=6)
        room.set_policy(version=3)

        assert room.touch(mine).ended_reason is EndReason.TIMED_OUT

    def test_an_unknown_newcomer_gets_no_place(self, room):
        room.join_all(1)
        room.set_policy(version=2, state=WITHDRAWN)

        assert room.join(2).outcome is JoinRefusal.WITHDRAWN
        assert room.join(1).outcome is VisitStatus.WAITING
        assert room.glance().state == WITHDRAWN
        assert room.glance().waiting == 1


class TestApi:
    def join(self, client: Client, visitor: Visitor) -> Any:
        body, headers = json.dumps({"concert_id": visitor.concert.pk}), bearer(visitor.customer)
        return client.post(TOKENS, body, "application/json", headers=headers)

    def test_a_place_is_told_and_a_newcomer_is_not_let_in(self, client, concert, visitors):
        withdraw(concert)

        slot = client.get(OWN_TOKEN, headers={"Queue-Token": visitors[1].token})
        again = self.join(client, visitors[1])
        new = self.join(client, Visitor(concert))

        assert (slot.status_code, slot.json()["data"]["status"]) == (200, "WAITING")
        assert slot.json()["data"]["position"] == 2
        assert slot.headers["Retry-After"]
        assert (again.status_code, again.json()["data"]["position"]) == (200, 2)
        assert (new.status_code, new.json()["code"]) == (404, "CONCERT_NOT_FOUND")

    def test_the_board_is_told_with_the_reason_to_those_with_a_place(
        self, client, concert, visitors
    ):
        withdraw(concert)
        board = f"/api/v1/queue/concerts/{concert.pk}"

        own = client.get(board, headers={"Queue-Token": visitors[0].token})
        public = client.get(board)
        strange = client.get(board, headers={"Queue-Token": Visitor(ConcertFactory()).join().token})

        data = own.json()["data"]
        assert (data["state"], data["pause_reason"], data["waiting"]) == ("PAUSED", REASON, 5)
        assert own.headers["Cache-Control"] == "no-store"
        assert [public.status_code, strange.status_code] == [404, 404]
        publish(concert)
        assert client.get(board).json()["data"]["state"] == "OPEN"

    def test_nothing_is_to_be_seen_or_held(self, client, concert, visitors):
        tick()
        visitor = visitors[0]
        visitor.poll()
        withdraw(concert)
        headers = {"Queue-Token": visitor.token, **bearer(visitor.customer)}

        answer = client.get(f"/api/v1/concerts/{concert.pk}/performances", headers=headers)

        assert (answer.status_code, answer.json()["code"]) == (404, "CONCERT_NOT_FOUND")


class TestRecords:
    def test_say_who_and_when_and_why(self, concert, visitors):
        staff = CustomerFactory(staff=True)
        withdraw(concert, staff_id=staff.pk)
        publish(concert, actor="root (command line)", reason="Settled")

        changes = PolicyChange.objects.filter(room__concert=concert).order_by("pk")
        assert [
            (
                change.field,
                change.old_value,
                change.new_value,
                change.changed_by,
                change.actor,
                change.reason,
            )
            for change in changes
        ] == [
            ("is_published", "True", "False", staff, "", REASON),
            ("is_published", "False", "True", None, "root (command line)", "Settled"),
        ]

    def test_there_is_nothing_to_do_twice(self, concert):
        withdraw(concert)

        assert not withdraw_concert(concert_id=concert.pk, reason="Again")
        assert WaitingRoom.objects.get(concert=concert).withdrawal_reason == REASON
        assert PolicyChange.objects.count() == 1

    def test_a_concert_that_is_not_there_is_refused(self):
        with pytest.raises(ConcertNotFound):
            withdraw_concert(concert_id=0)

    def test_stakes_name_those_who_wait_and_those_who_choose(self, concert, visitors):
        tick()

        waiting, choosing = stakes_of(concert.pk)

        assert waiting.startswith("3 visitors wait in the queue")
        assert choosing.startswith("2 visitors are choosing seats")
