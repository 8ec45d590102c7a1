"""The services over a real room: gate, leases, ticks, controls."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.test import TestCase
from django.utils import timezone

from apps.concerts.errors import ConcertNotFound, SalesClosed, SalesNotOpen
from apps.concerts.models import Concert
from apps.outbox.models import OutboxEvent
from apps.queue import selectors, services
from apps.queue.core.room import SECOND
from apps.queue.errors import (
    QueueClosed,
    QueueTokenExpired,
    QueueTokenInvalid,
    QueueTokenNotActive,
    QueueTokenRequired,
    VisitorNotFound,
)
from apps.queue.live import live_room, token_signer
from apps.queue.models import PolicyChange, QueueExit, WaitingRoom
from apps.queue.selectors import admissions_above_capacity
from apps.queue.services import admission, finishing
from apps.queue.services.clock import to_micros
from apps.queue.services.finishing import finish_paid_visits
from tests.factories.accounts import CustomerFactory
from tests.factories.concerts import ConcertFactory
from tests.factories.queue import PolicyChangeFactory, QueueExitFactory, WaitingRoomFactory
from tests.protections import PUTTING_A_ROOM_TO_REST, before
from tests.queue.rooms import LONG_AGO, Clock, Visitor, tick

pytestmark = pytest.mark.django_db


@pytest.fixture
def clock(concert, time_of) -> Clock:
    return time_of(concert)


@pytest.fixture
def admitted(visitors) -> Visitor:
    tick()
    visitors[0].poll()
    return visitors[0]


class TestJoinQueue:
    def test_makes_the_room_of_a_concert_that_had_none(self):
        concert = ConcertFactory()

        Visitor(concert).join()

        room = WaitingRoom.objects.get(concert=concert)
        assert (room.capacity, room.state, room.lease) == (50, "OPEN", timedelta(minutes=5))
        assert room.epoch_stored_at is not None

    @pytest.mark.parametrize("token", ["", "nonsense", "q1.k1.MTox.abc"])
    def test_ignores_a_previous_token_that_is_good_for_nothing(self, visitor, token):
        visitor.token = token

        assert visitor.join().standing == "WAITING"

    def test_ignores_a_previous_token_of_another_customer(self, visitors, concert):
        thief = Visitor(concert)
        thief.token = visitors[0].token

        assert thief.join().poll().position == 6

    def test_in_parallel_with_one_login_gives_one_place(self, transactional_db, race):
        concert, customer = ConcertFactory(), CustomerFactory()

        visitors = race([Visitor(concert, customer).join for _ in range(10)])

        slots = {visitor.slot for visitor in visitors}
        assert len(slots) == 1
        assert WaitingRoom.objects.count() == 1

    def test_wakes_a_room_that_rests(self, concert):
        tick()
        assert WaitingRoom.objects.get().next_tick_at > timezone.now() + admission.IDLE_INTERVAL / 2

        Visitor(concert).join()

        assert WaitingRoom.objects.get().next_tick_at <= timezone.now()
        assert services.admit_visitors() == 1


class TestVisitorStatus:
    def test_needs_no_sql(self, visitors, admitted, django_assert_num_queries):
        with django_assert_num_queries(0):
            assert [visitor.poll().position for visitor in visitors] == [0, 0, 1, 2, 3]

    def test_renews_the_token_when_the_visitor_becomes_active(self, visitors):
        waiting = visitors[0].token
        tick()

        active = visitors[0].poll()

        claims = token_signer().read(active.token)
        assert token_signer().read(waiting).lease_until == 0
        assert claims.lease_until == to_micros(active.expires_at)  # type: ignore[arg-type]
        assert 0 < claims.admitted_at < claims.lease_until

    def test_keeps_the_token_as_long_as_it_is_true(self, visitors, admitted):
        for visitor in (admitted, visitors[4]):
            token = visitor.token
            assert visitor.poll().token == token

    def test_renews_a_token_of_an_old_key(self, visitor, settings):
        visitor.join()
        old = visitor.token
        settings.QUEUE_TOKEN_KEYS = [("k9", b"new" * 11), *settings.QUEUE_TOKEN_KEYS]

        renewed = visitor.poll().token

        assert renewed != old
        settings.QUEUE_TOKEN_KEYS = settings.QUEUE_TOKEN_KEYS[:1]
        assert visitor.poll().token == renewed
        visitor.token = old
        with pytest.raises(QueueTokenInvalid):
            visitor.poll()

    def test_an_early_token_does_not_show_the_place(self, upcoming):
        early = Visitor(upcoming).join()

        assert early.slot == 0
        assert early.poll().position is None

    def test_the_clock_of_the_web_process_does_not_matter(self, visitors, admitted, time_machine):
        before = admitted.poll()
        time_machine.move_to(timezone.now() + timedelta(minutes=10), tick=True)

        newcomer = Visitor(admitted.concert).join()

        assert admitted.poll().expires_at == before.expires_at
        assert newcomer.poll().position == 4
        assert newcomer.slot < to_micros(timezone.now()) - 500 * SECOND


class TestLeaveQueue:
    def test_gives_the_place_up(self, visitors):
        visitors[0].leave()

        assert visitors[0].standing == "LEFT"
        assert visitors[1].poll().position == 1
        exit = QueueExit.objects.get()
        assert (exit.customer, exit.reason, exit.admitted_at) == (
            visitors[0].customer,
            "LEFT",
            None,
        )
        assert exit.joined_at < exit.ended_at

    def test_gives_an_active_slot_to_the_next_at_once(self, visitors, admitted):
        admitted.leave()

        assert visitors[2].standing == "ACTIVE"
        assert QueueExit.objects.get().admitted_at is not None

    def test_twice_changes_nothing(self, visitors):
        visitors[0].leave()
        visitors[0].leave()

        assert QueueExit.objects.count() == 1

    def test_before_the_opening_can_be_taken_back(self, upcoming):
        early = Visitor(upcoming).join()

        early.leave()

        assert QueueExit.objects.get().reason == "LEFT"
        assert early.standing == "LEFT"
        assert early.join().standing == "WAITING"
        assert not QueueExit.objects.exists()

    def test_before_the_opening_is_remembered_when_the_store_forgets(self, upcoming, store):
        early = Visitor(upcoming).join()
        early.leave()

        store.flushall()

        assert early.standing == "LEFT"

    def test_joining_again_means_the_end_of_the_queue(self, visitors):
        visitors[0].leave()
        visitors[0].join()

        assert visitors[0].poll().position == 5


class TestAdmittedVisitor:
    def test_lets_the_admitted_pass(self, admitted):
        admission = admitted.enter()

        assert admission.customer_id == admitted.customer.pk
        assert admission.lease_until - admission.admitted_at == timedelta(minutes=5)
        assert admission.new_holds_until - admission.admitted_at == timedelta(minutes=10)
        assert admission.slot == admitted.slot

    @pytest.mark.parametrize("token", [None, ""])
    def test_refuses_without_a_token(self, concert, token):
        with pytest.raises(QueueTokenRequired):
            services.admitted_visitor(token=token, customer_id=1, concert_id=concert.pk)

    @pytest.mark.parametrize("token", ["x", "\xff\xfe", "q1.k1..", "q1.k1.MTox.c2ln", "a" * 9999])
    def test_refuses_what_is_no_token(self, admitted, token):
        admitted.token = token

        with pytest.raises(QueueTokenInvalid):
            admitted.enter()

    def test_refuses_the_token_of_another_customer(self, admitted, visitors):
        visitors[4].token = admitted.token

        with pytest.raises(QueueTokenInvalid):
            visitors[4].enter()

    def test_refuses_the_token_of_another_concert(self, admitted):
        admitted.concert = ConcertFactory()

        with pytest.raises(QueueTokenInvalid):
            admitted.enter()

    def test_refuses_who_is_waiting_and_says_when_to_ask_again(self, visitors, admitted):
        with pytest.raises(QueueTokenNotActive) as refusal:
            visitors[2].enter()

        assert refusal.value.retry_after == 1

    def test_refuses_when_the_lease_is_over(self, clock, admitted):
        clock.advance(minutes=5)

        with pytest.raises(QueueTokenExpired):
            admitted.enter()

    def test_counts_as_being_seen(self, clock, visitors):
        tick()
        visitors[0].enter()
        for _ in range(10):
            clock.advance(seconds=10)
            tick()

        assert visitors[0].standing == "ACTIVE"
        assert visitors[1].standing == "TIMED_OUT"

    def test_new_holds_end_two_leases_after_admission(self, clock, admitted):
        admission = admitted.enter()
        services.extend_lease(
            concert_id=admission.concert_id,
            customer_id=admission.customer_id,
            slot=admission.slot,
            until=admission.seen_at + timedelta(minutes=20),
        )
        clock.advance(minutes=10)
        services.require_new_hold_allowed(admission=admitted.enter(), has_paid=False)
        clock.advance(seconds=1)

        with pytest.raises(QueueTokenExpired):
            services.require_new_hold_allowed(admission=admitted.enter(), has_paid=False)

    def test_new_holds_end_with_the_first_payment(self, admitted):
        with pytest.raises(QueueTokenExpired) as refusal:
            services.require_new_hold_allowed(admission=admitted.enter(), has_paid=True)

        assert refusal.value.details == {"expired_reason": "COMPLETED"}


class TestLeases:
    def change(self, service: Callable[..., None], visitor: Visitor, until: Any) -> Any:
        service(
            concert_id=visitor.concert.pk,
            customer_id=visitor.customer.pk,
            slot=visitor.slot,
            until=until,
        )
        return visitor.poll().expires_at

    def test_a_lease_outlives_the_hold_by_a_minute(self, clock, admitted):
        held_until = admitted.enter().seen_at + timedelta(minutes=30)

        lease_until = self.change(services.extend_lease, admitted, held_until)

        assert lease_until == held_until + timedelta(minutes=1)

    def test_a_release_takes_it_back(self, clock, admitted):
        before = admitted.poll().expires_at
        held_until = admitted.enter().seen_at + timedelta(minutes=30)
        self.change(services.extend_lease, admitted, held_until)

        assert self.change(services.shorten_lease, admitted, None) == before

    def test_a_release_keeps_what_another_hold_needs(self, clock, admitted):
        other_until = admitted.enter().seen_at + timedelta(minutes=20)
        self.change(services.extend_lease, admitted, other_until + timedelta(minutes=10))

        lease_until = self.change(services.shorten_lease, admitted, other_until)

        assert lease_until == other_until + timedelta(minutes=1)

    def test_a_lease_carries_its_extension_into_the_token(self, clock, admitted):
        until = admitted.enter().seen_at + timedelta(minutes=30)
        self.change(services.extend_lease, admitted, until)
        clock.lose_everything()
        clock.advance(minutes=20)

        assert admitted.standing == "ACTIVE"


class TestFinishing:
    def paid(self, visitor: Visitor, **payload: Any) -> OutboxEvent:
        claims = token_signer().read(visitor.token)
        return OutboxEvent(
            type="reservation.confirmed",
            payload={
                "concert_id": visitor.concert.pk,
                "customer_id": visitor.customer.pk,
                "queue_slot": claims.slot,
                "queue_generation": claims.generation,
                **payload,
            },
        )

    def test_paying_ends_the_visit_and_admits_the_next(self, visitors, admitted):
        finish_paid_visits([self.paid(admitted)])

        assert admitted.standing == "COMPLETED"
        assert visitors[2].standing == "ACTIVE"

    def test_a_repeated_event_changes_nothing(self, visitors, admitted):
        for _ in range(3):
            finish_paid_visits([self.paid(admitted)])

        assert QueueExit.objects.count() == 1
        assert live_room(admitted.concert.pk).figures().admitted_total == 3  # type: ignore[union-attr]

    def test_a_late_event_does_not_end_the_visit_of_who_has_joined_anew(self, visitors, admitted):
        event = self.paid(admitted)
        admitted.leave()
        admitted.join()

        finish_paid_visits([event])

        assert admitted.standing == "WAITING"

    def test_a_sale_at_the_box_office_is_no_visit(self, admitted):
        finish_paid_visits([self.paid(admitted, queue_slot=None, queue_generation=None)])

        assert admitted.standing == "ACTIVE"
        assert not QueueExit.objects.exists()

    def test_a_batch_ends_every_visit_and_admits_once(self, visitors, monkeypatch):
        tick()
        paying = visitors[:2]
        for visitor in paying:
            visitor.poll()
        admitting: list[int] = []
        monkeypatch.setattr(finishing, "admit_now", lambda concert_id: admitting.append(concert_id))

        finish_paid_visits([self.paid(visitor) for visitor in [*paying, *paying]])

        assert [visitor.standing for visitor in paying] == ["COMPLETED", "COMPLETED"]
        assert admitting == [paying[0].concert.pk]
        exits = QueueExit.objects.order_by("pk")
        assert [exit.customer_id for exit in exits] == [visitor.customer.pk for visitor in paying]
        for exit in exits:
            assert exit.admitted_at
            assert exit.joined_at < exit.admitted_at < exit.ended_at

    def test_an_early_bird_who_pays_is_done(self, upcoming, time_of):
        clock = time_of(upcoming)
        early = Visitor(upcoming).join()
        clock.advance(minutes=31)
        tick()
        early.poll()

        early.pay()

        exit = QueueExit.objects.get()
        assert early.standing == "COMPLETED"
        assert (exit.slot, exit.joined_at) == (0, upcoming.sales_open_at)


class TestAdmitVisitors:
    def test_looks_after_every_room_that_is_due(self):
        visitors = [Visitor(ConcertFactory()).join() for _ in range(25)]

        assert services.admit_visitors() == 25
        assert {visitor.standing for visitor in visitors} == {"ACTIVE"}

    def test_leaves_rooms_alone_that_are_not_due(self, visitors):
        WaitingRoom.objects.update(next_tick_at=timezone.now() + timedelta(minutes=1))

        assert services.admit_visitors() == 0

    def test_who_joins_while_a_tick_finds_no_visitor_does_not_wait_for_the_room_to_rest(
        self, concert
    ):
        services.schedule_tick_now(concert.pk)
        [room] = admission._claim_due_rooms(WaitingRoom.Activity.AWAKE, limit=1)
        WaitingRoom.objects.update(next_tick_at=timezone.now())  # a visitor joins, and wakes it

        admission._postpone(room)

        assert WaitingRoom.objects.get().next_tick_at <= timezone.now()

    def test_ten_workers_share_the_rooms(self, transactional_db, race):
        concerts = [ConcertFactory() for _ in range(20)]
        for concert in concerts:
            for _ in range(3):
                Visitor(concert).join()
        WaitingRoom.objects.update(next_tick_at=LONG_AGO, capacity=2)

        admitted = race([services.admit_visitors] * 10)

        assert sum(admitted) == 40

    def test_one_broken_room_does_not_stop_the_others(self, store):
        broken, sound = (Visitor(ConcertFactory()).join() for _ in range(2))
        store.set(f"{{queue:{broken.concert.pk}}}:visits", "not a hash")

        assert services.admit_visitors() == 1
        assert sound.standing == "ACTIVE"

    def test_records_the_ends_it_finds_once(self, clock, concert, visitors):
        live = live_room(concert.pk)
        for _ in range(7):
            live.admit()
            clock.advance(seconds=10)
        pending = live.exits(count=10)
        QueueExit.objects.create(
            concert=concert,
            customer=visitors[0].customer,
            generation=1,
            slot=pending[0].slot,
            reason="TIMED_OUT",
            joined_at=timezone.now(),
            ended_at=timezone.now(),
        )

        tick()

        assert live.exits(count=10) == []
        assert QueueExit.objects.filter(reason="TIMED_OUT").count() == 2
        second = QueueExit.objects.get(customer=visitors[1].customer)
        assert second.admitted_at is not None
        assert second.ended_at - second.admitted_at == timedelta(minutes=1)

    def test_an_end_of_an_account_that_is_gone_stops_no_other(self, clock, concert, visitors):
        tick()
        live_room(concert.pk).join(999_999_999)
        clock.advance(seconds=60)
        tick()
        for _ in range(35):
            clock.advance(seconds=10)
            tick()

        assert QueueExit.objects.filter(customer_id=999_999_999).exists()
        assert live_room(concert.pk).exits(count=10) == []

    def test_who_joins_while_a_room_is_put_to_rest_wakes_it(self, concert, monkeypatch):
        services.schedule_tick_now(concert.pk)
        visitor = Visitor(concert)
        before(monkeypatch, PUTTING_A_ROOM_TO_REST, visitor.join)
        tick()

        room = WaitingRoom.objects.get(concert=concert)
        assert room.activity == "AWAKE"
        assert room.next_tick_at - timezone.now() < timedelta(seconds=2)


class TestControls:
    def run(self, control: Callable[..., Any], **arguments: Any) -> WaitingRoom:
        """Run the hooks of the commit, too, as outside a test."""
        with TestCase.captureOnCommitCallbacks(execute=True):
            room: WaitingRoom = control(staff_id=arguments.pop("staff_id", None), **arguments)
        return room

    def test_a_pause_reaches_the_room_at_once_and_keeps_every_place(self, concert, visitors):
        self.run(services.pause_room, concert_id=concert.pk)

        assert live_room(concert.pk).admit().admitted == 0
        assert [visitor.poll().position for visitor in visitors] == [1, 2, 3, 4, 5]
        self.run(services.resume_room, concert_id=concert.pk)
        assert live_room(concert.pk).admit().admitted == 2

    def test_capacity_and_rate_reach_the_room_at_once(self, concert, visitors):
        self.run(services.set_capacity, concert_id=concert.pk, capacity=4)
        self.run(
            services.set_admissions_per_minute, concert_id=concert.pk, admissions_per_minute=30
        )

        assert live_room(concert.pk).admit().admitted == 3  # a tenth of a minute's

    def test_closing_sends_all_visitors_away_for_good(self, concert, visitors):
        self.run(services.close_room, concert_id=concert.pk)
        closed = [visitor.standing for visitor in visitors]
        self.run(services.open_room, concert_id=concert.pk)

        assert closed == ["CLOSED"] * 5
        assert [visitor.standing for visitor in visitors] == ["CLOSED"] * 5
        assert visitors[4].join().poll().position == 1

    def test_opening_before_the_sales_is_refused(self, upcoming):
        early = Visitor(upcoming).join()

        with pytest.raises(SalesNotOpen) as refused:
            services.open_room(concert_id=upcoming.pk)

        assert refused.value.retry_after
        assert tick() == 0
        assert early.standing == "WAITING"
        assert not PolicyChange.objects.exists()

    def test_opening_before_its_own_time_opens_now(self, concert):
        self.run(
            services.open_room, concert_id=concert.pk, at=timezone.now() + timedelta(minutes=10)
        )
        early = Visitor(concert).join()

        self.run(services.open_room, concert_id=concert.pk)

        assert tick() == 1
        assert early.standing == "ACTIVE"

    def test_opening_after_the_sales_is_refused(self, concert):
        self.run(services.close_room, concert_id=concert.pk)
        Concert.objects.filter(pk=concert.pk).update(sales_close_at=timezone.now())

        with pytest.raises(SalesClosed):
            services.open_room(concert_id=concert.pk)

        assert WaitingRoom.objects.get().state == "CLOSED"

    def test_a_pause_tells_visitors_why_and_only_while_it_lasts(self, concert, visitors):
        self.run(services.pause_room, concert_id=concert.pk, reason="Slow payments.")
        paused = selectors.waiting_room_status(concert.pk)
        selectors._statuses.clear()
        self.run(services.resume_room, concert_id=concert.pk)

        assert (paused.state, paused.pause_reason) == ("PAUSED", "Slow payments.")
        assert selectors.waiting_room_status(concert.pk).pause_reason == ""

    def test_who_has_no_account_is_recorded_by_name(self, concert):
        self.run(services.set_capacity, concert_id=concert.pk, capacity=9, actor="root", reason="x")

        change = PolicyChange.objects.get()
        assert (change.changed_by, change.actor, change.reason) == (None, "root", "x")

    def test_opening_can_be_scheduled(self, concert):
        at = timezone.now() + timedelta(minutes=10)

        self.run(services.open_room, concert_id=concert.pk, at=at)

        assert Visitor(concert).join().poll().position is None

    @pytest.mark.parametrize("control", [services.pause_room, services.resume_room])
    def test_a_closed_room_can_only_be_opened(self, concert, control):
        self.run(services.close_room, concert_id=concert.pk)

        with pytest.raises(QueueClosed):
            control(concert_id=concert.pk, staff_id=None)

    def test_every_change_is_recorded_with_who_and_what(self, concert):
        clerk = CustomerFactory(staff=True)

        self.run(services.set_capacity, concert_id=concert.pk, capacity=80, staff_id=clerk.pk)
        self.run(services.pause_room, concert_id=concert.pk, staff_id=clerk.pk)

        assert list(
            PolicyChange.objects.order_by("pk").values_list(
                "field", "old_value", "new_value", "changed_by"
            )
        ) == [("capacity", "2", "80", clerk.pk), ("state", "OPEN", "PAUSED", clerk.pk)]

    def test_what_changes_nothing_is_not_recorded(self, concert):
        self.run(services.resume_room, concert_id=concert.pk)
        self.run(services.set_capacity, concert_id=concert.pk, capacity=2)

        assert not PolicyChange.objects.exists()

    @pytest.mark.no_live_room
    @pytest.mark.parametrize(
        "edits",
        [
            {"capacity": 0},
            {"capacity": 100_001},
            {"admissions_per_minute": 0},
            {"lease": timedelta(seconds=9)},
            {"patience": timedelta(hours=5)},
            {"lottery_window": timedelta(days=8)},
        ],
    )
    def test_refuses_what_is_out_of_bounds(self, concert, edits):
        with pytest.raises(ValidationError), transaction.atomic():
            services.edit_policy(concert_id=concert.pk, staff_id=None, **edits)

        assert not PolicyChange.objects.exists()
        assert WaitingRoom.objects.get().version == 1

    def test_a_concert_gets_its_room_with_the_first_control(self):
        concert = ConcertFactory()

        room = self.run(services.set_capacity, concert_id=concert.pk, capacity=9)

        assert (room.concert_id, room.capacity) == (concert.pk, 9)

    def test_refuses_a_concert_that_is_not_there(self):
        with pytest.raises(ConcertNotFound):
            services.pause_room(concert_id=4711, staff_id=None)

    def test_a_visitor_can_be_removed(self, concert, visitors):
        clerk = CustomerFactory(staff=True)

        services.remove_visitor(
            concert_id=concert.pk, customer_id=visitors[1].customer.pk, staff_id=clerk.pk
        )

        assert visitors[1].standing == "REMOVED"
        assert PolicyChange.objects.get().changed_by == clerk
        assert visitors[2].poll().position == 2

    def test_who_is_removed_before_the_opening_may_draw_again(self, upcoming):
        early = Visitor(upcoming).join()
        services.remove_visitor(
            concert_id=upcoming.pk, customer_id=early.customer.pk, staff_id=None
        )
        assert early.standing == "REMOVED"

        early.join()

        assert early.standing == "WAITING"
        assert not QueueExit.objects.exists()

    def test_who_is_not_there_cannot_be_removed(self, concert, visitor):
        with pytest.raises(VisitorNotFound):
            services.remove_visitor(
                concert_id=concert.pk, customer_id=visitor.customer.pk, staff_id=None
            )

    def test_a_change_of_the_sales_window_follows_with_the_tick(self, concert, visitors):
        Concert.objects.update(sales_open_at=timezone.now() + timedelta(minutes=5))

        assert tick() == 0
        assert visitors[0].poll().position is None


@pytest.mark.no_live_room
class TestConstraints:
    @pytest.mark.parametrize(
        "values", [{"capacity": 0}, {"admissions_per_minute": 0}, {"state": "AJAR"}]
    )
    def test_the_database_refuses_an_impossible_policy(self, values):
        with pytest.raises(IntegrityError), transaction.atomic():
            WaitingRoomFactory(**values)

        assert not WaitingRoom.objects.exists()


class TestAdmissionsAboveCapacity:
    def visit(self, room: WaitingRoom, first: int, last: int) -> None:
        """Inside from the first to the last minute of an hour long ago."""
        start = timezone.now() - timedelta(days=1)
        QueueExitFactory(
            concert=room.concert,
            admitted_at=start + timedelta(minutes=first),
            ended_at=start + timedelta(minutes=last),
        )

    def change(self, room: WaitingRoom, minute: int, old: int, new: int) -> None:
        changed = PolicyChangeFactory(room=room, old_value=str(old), new_value=str(new))
        PolicyChange.objects.filter(pk=changed.pk).update(
            changed_at=timezone.now() - timedelta(days=1) + timedelta(minutes=minute)
        )

    def test_finds_none_where_visits_follow_each_other(self):
        room = WaitingRoomFactory(capacity=2)
        for first, last in [(0, 10), (1, 5), (5, 9), (9, 12), (10, 11)]:
            self.visit(room, first, last)
        other = WaitingRoomFactory(capacity=1)
        self.visit(other, 0, 60)

        assert admissions_above_capacity() == []

    def test_finds_the_one_that_was_too_many(self):
        room = WaitingRoomFactory(capacity=2)
        for first, last in [(0, 10), (1, 5), (4, 9)]:
            self.visit(room, first, last)

        [found] = admissions_above_capacity()

        assert (found.concert_id, found.active, found.capacity) == (room.concert_id, 3, 2)

    def test_judges_by_the_capacity_of_that_moment(self):
        room = WaitingRoomFactory(capacity=1)
        self.change(room, 0, 1, 2)
        self.change(room, 20, 2, 1)
        self.visit(room, 5, 40)
        self.visit(room, 6, 40)
        self.visit(room, 30, 40)

        [found] = admissions_above_capacity()

        assert (found.active, found.capacity) == (3, 1)

    def test_finds_none_after_a_rush(self, visitors):
        for visitor in visitors:
            tick()
            visitor.poll()
            visitor.leave()

        assert QueueExit.objects.exclude(admitted_at=None).count() == 5
        assert admissions_above_capacity() == []
