"""The page of an order with its timeline; of a visit to a waiting room; and of all that a customer has."""

from datetime import timedelta
from functools import partial

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone
from django.utils.html import strip_tags

from apps.accounts.models import User
from apps.boxoffice.base.jobs.services import approve_job, request_job, run_job
from apps.boxoffice.base.timeline import Moment, moments_of
from apps.concerts.models import Performance, Seat
from apps.core.history import note
from apps.core.notices import NoticeText
from apps.core.transactions import run_in_transaction
from apps.outbox.draining import drain
from apps.outbox.models import EventDelivery
from apps.payments.models import LedgerTransaction
from apps.queue.models import QueueExit, WaitingRoom
from apps.queue.services import notify_visitors, pause_room, remove_visitor, resume_room
from apps.reservations.models import Hold, HolderNotice, Reservation
from apps.reservations.refund_plans import refund_plan
from apps.reservations.services import (
    cancel_seats,
    extend_hold,
    notify_holders,
    refund_reservation,
    release_hold,
    release_hold_by_staff,
    take_back_holder_notice,
)
from apps.reservations.staff_jobs import (
    CallOffPerformance,
    CancelReservations,
    RefundReservation,
)
from tests.boxoffice.staff import clerk, page_of
from tests.factories.accounts import CustomerFactory, browser_of
from tests.factories.concerts import PerformanceFactory
from tests.factories.counter import move
from tests.factories.queue import QueueExitFactory
from tests.factories.reservations import cancel, confirm, hold, let_expire, reservation
from tests.factories.visitors import Visitor, admitted_visitor
from tests.ops.invariants.planting import NOWHERE

pytestmark = pytest.mark.django_db


@pytest.fixture
def browser() -> Client:
    return browser_of(CustomerFactory(admin=True))


@pytest.fixture
def performance() -> Performance:
    return PerformanceFactory(seats=4, concert__seats_per_customer=4)


@pytest.fixture
def visitor(performance) -> Visitor:
    return admitted_visitor(performance.concert_id)


def hold_by_api(visitor: Visitor, place: int = 0) -> Hold:
    seat = Seat.objects.order_by("pk")[place]
    body = {"performance_id": seat.performance_id, "seat_ids": [seat.pk]}
    told = visitor.post("/holds", body, key=f"hold-{place}")
    assert told.status_code == 201, told.content
    return Hold.objects.get(pk=told.json()["data"]["hold_id"])


@pytest.fixture
def order(visitor) -> Reservation:
    held = hold_by_api(visitor)
    paid = visitor.post("/reservations", {"hold_id": str(held.pk)}, key="pay")
    return Reservation.objects.get(pk=paid.json()["data"]["reservation_id"])


def story(obj) -> list[str]:
    return [moment.what for moment in moments_of(type(obj).objects.get(pk=obj.pk))]


class TestTimelineOfAnOrder:
    def test_goes_from_the_queue_to_the_refund(self, order):
        drain(consumer="token_expiry")
        cancel(order)
        note([order], "Called the customer back.", staff_id=CustomerFactory(staff=True).pk)

        told = story(order)

        expected = [
            "Joined the queue",
            "Was let in",
            "Held seats for 50,000 won, until",
            "Paid 50,000 won; the tickets were issued",
            "Recorded the event reservation.confirmed",
            "The visit ended because the customer had paid",
            "Cancelled; the seats are free again",
            "Refunded 50,000 won to the wallet",
            "Recorded the event reservation.cancelled",
            "Called the customer back.",
        ]
        assert len(told) == len(expected), told
        assert [
            next((told_at for told_at, what in enumerate(told) if what.startswith(line)), None)
            for line in expected[:3]
        ] == [0, 1, 2]
        for line in expected:
            assert any(what.startswith(line) for what in told), (line, told)

    def test_tells_of_a_visit_that_goes_on(self, order):
        assert story(order)[0] == "Joined the queue"

    def test_says_what_each_consumer_has_got(self, order):
        drain(consumer="ranking")
        EventDelivery.objects.filter(consumer="external_sync").update(
            status="DEAD", attempts=15, last_error="HTTP 500: <b>"
        )
        event = next(
            moment for moment in moments_of(order) if moment.what.startswith("Recorded the event")
        )

        told = strip_tags(" ".join(event.details))

        assert "ranking: done, 1 attempt" in told
        assert "external_sync: dead, 15 attempts" in told
        assert "HTTP 500: &lt;b&gt;" in told
        assert "token_expiry: pending, 0 attempts, next at" in told

    def test_leaves_out_events_of_other_orders_of_the_same_moment(self, order):
        other = reservation(CustomerFactory(), [order.performance.seats.order_by("pk")[1]])
        Reservation.objects.filter(pk=other.pk).update(reserved_at=order.reserved_at)

        assert sum("Recorded the event" in what for what in story(order)) == 1

    def test_tells_of_a_date_that_was_moved(self, order):
        performance = order.performance
        performance.previous_starts_at = performance.starts_at
        performance.rescheduled_at = timezone.now()
        performance.starts_at += timedelta(days=1)
        performance.ends_at += timedelta(days=1)
        performance.save()

        assert "The performance was moved" in " ".join(story(order))

    def test_tells_of_more_time(self, visitor):
        held = hold_by_api(visitor)
        extend_hold(customer_id=held.customer_id, hold_id=held.pk)
        order = confirm(held).reservation

        assert "Extended the hold until" in " ".join(story(order))


class TestWhatStaffDid:
    """Tell what became of an order that was paid, with the reasons and by whom."""

    @pytest.fixture
    def boss(self) -> User:
        return CustomerFactory(staff=True, email="boss@example.com")

    @pytest.fixture
    def bought(self, visitor, performance) -> Reservation:
        """Three seats of a visitor, beside one of a stranger."""
        seats = list(performance.seats.order_by("pk"))
        reservation(CustomerFactory(), seats[3:])
        return reservation(visitor.customer, seats[:3])

    def told(self, obj) -> dict[str, Moment]:
        return {moment.what: moment for moment in moments_of(type(obj).objects.get(pk=obj.pk))}

    def test_seats_cancelled_alone(self, bought, boss):
        seats = [ticket.seat for ticket in bought.tickets.order_by("seat_id")]
        by = {"reservation_id": bought.pk, "staff_id": boss.pk}
        cancel_seats(seat_ids=[seat.pk for seat in seats[:2]], reason="Fell ill", **by)

        told = self.told(bought)

        assert told[f"Seats cancelled: {seats[0]}, {seats[1]}"].details == ("Fell ill",)
        refund = told["Refunded 100,000 won to the wallet (in all 100,000 won of 150,000 won)"]
        assert (refund.by, refund.details[-1]) == ("boss@example.com", "Fell ill")
        assert not any(what.startswith("Cancelled;") for what in told)

    def test_partial_refunds_add_up(self, bought, boss):
        for amount, reason in ((1_000, "Late"), (500, "Loud")):
            refund_reservation(
                reservation_id=bought.pk, amount=amount, reason=reason, staff_id=boss.pk
            )

        told = self.told(bought)

        first = told["Refunded 1,000 won to the wallet (in all 1,000 won of 150,000 won)"]
        second = told["Refunded 500 won to the wallet (in all 1,500 won of 150,000 won)"]
        assert (first.details[-1], second.details[-1]) == ("Late", "Loud")
        assert first.by == second.by == "boss@example.com"

    def test_a_cancellation_says_why(self, bought, boss):
        cancel_seats(reservation_id=bought.pk, reason="No show", staff_id=boss.pk)

        assert self.told(bought)["Cancelled; the seats are free again"].details == ("No show",)

    def test_a_move_leads_both_ways(self, performance, boss):
        seats = list(performance.seats.order_by("pk"))
        old = reservation(CustomerFactory(), seats[:1])
        moved = move(old, seats[1:2], staff_id=boss.pk).sold.reservation

        away, here = self.told(old), self.told(moved)

        [to] = [moment for what, moment in away.items() if what.startswith("Moved to the order")]
        assert moved.order_number in to.what
        assert page_of(moved) in to.details[0]
        took = here[f"Took the place of the order {old.order_number}"]
        assert page_of(old) in took.details[0]
        assert "Cancelled; the seats are free again" not in away

    def test_notices_that_its_holder_reads(self, bought, boss, performance):
        def tell(text: str) -> HolderNotice:
            return notify_holders(
                performance_id=performance.pk, text=NoticeText(en=text), staff_id=boss.pk
            )

        over = tell("Over before")
        take_back_holder_notice(notice_id=over.pk, staff_id=boss.pk)
        Reservation.objects.filter(pk=bought.pk).update(reserved_at=timezone.now())
        tell("Bring a coat")
        taken_back = tell("Bring a hat")
        take_back_holder_notice(notice_id=taken_back.pk, staff_id=boss.pk)
        cancel(bought)
        tell("Too late")

        told = self.told(bought)

        notices = [what for what in told if what.startswith("Ticket holders were told")]
        assert notices == [
            "Ticket holders were told: “Bring a coat”",
            "Ticket holders were told: “Bring a hat”",
        ]
        assert told[notices[0]].by == "boss@example.com"
        assert "The notice was taken back" in told

    def test_jobs_that_acted_on_it_and_those_that_wait(self, bought, boss, performance, settings):
        settings.REFUND_LIMIT_WITHOUT_APPROVAL = 100_000
        second = CustomerFactory(staff=True, email="second@example.com")
        plan = refund_plan(reservation_id=bought.pk).choosing(seat_ids=[], extra=120_000)
        kinds = [
            (RefundReservation(), RefundReservation.parameters(plan)),
            (CancelReservations(), CancelReservations.parameters([str(bought.pk)])),
            (CallOffPerformance(), CallOffPerformance.parameters(performance)),
        ]
        jobs = [
            run_in_transaction(
                partial(
                    request_job,
                    kind=kind.name,
                    parameters=parameters,
                    reason="Flooded",
                    staff_id=boss.pk,
                )
            )
            for kind, parameters in kinds
        ]
        approve_job(job_id=jobs[0].pk, staff_id=second.pk, reason="Seen the photos")
        run_job(job_id=jobs[0].pk)

        told = self.told(bought)

        for job in jobs:
            asked = told[f"Asked for: {job}"]
            assert page_of(job) in asked.details[0]
            assert (asked.by, asked.details[1]) == ("boss@example.com", "Flooded")
        assert told[f"Asked for: {jobs[0]}"].details[2].startswith("Done: Refunded: 120,000 won")
        assert told[f"Asked for: {jobs[2]}"].details[2] == "Awaits approval"
        approved = told["Approved"]
        assert (approved.by, approved.details[1]) == ("second@example.com", "Seen the photos")
        elsewhere = reservation(CustomerFactory(), list(PerformanceFactory(seats=1).seats.all()))
        assert not any("Asked for" in what for what in self.told(elsewhere))

    def test_a_hold_that_staff_released_says_why(self, visitor, boss):
        held = hold_by_api(visitor)
        release_hold_by_staff(hold_id=held.pk, reason="A mistake", staff_id=boss.pk)
        visitor.delete("/queue/tokens/me")
        visit = QueueExit.objects.get(customer=visitor.customer)

        for obj in (held, visit):
            told = self.told(obj)
            released = told["Staff released the hold; the seats were free again"]
            assert released.details == ("A mistake",)
            assert "boss@example.com" in {moment.by for moment in told.values()}

    def test_a_visit_tells_what_became_of_what_was_bought(self, order, boss):
        refund_reservation(reservation_id=order.pk, amount=7, reason="Late", staff_id=boss.pk)
        cancel_seats(reservation_id=order.pk, reason="No show", staff_id=boss.pk)
        drain(consumer="token_expiry")
        visit = QueueExit.objects.get(customer=order.customer_id)

        told = self.told(visit)

        assert told["Cancelled; the seats are free again"].details == ("No show",)
        assert any(what.startswith("Refunded 7 won to the wallet") for what in told)
        assert any(what.startswith("Paid 50,000 won") for what in told)

    def test_takes_the_same_queries_for_any_number(self, bought, boss, performance):
        def queries() -> int:
            order = Reservation.objects.with_details().get(pk=bought.pk)
            with CaptureQueriesContext(connection) as captured:
                list(moments_of(order))
            return len(captured)

        queries()
        before = queries()
        seats = [ticket.seat_id for ticket in bought.tickets.order_by("seat_id")]
        for seat_id in seats[:2]:
            cancel_seats(reservation_id=bought.pk, seat_ids=[seat_id], reason="x", staff_id=boss.pk)
            notify_holders(performance_id=performance.pk, text=NoticeText(en="x"), staff_id=boss.pk)
            parameters = CancelReservations.parameters([str(bought.pk)])
            asked = {"kind": CancelReservations.name, "parameters": parameters, "reason": "x"}
            run_in_transaction(partial(request_job, **asked, staff_id=boss.pk))

        assert queries() == before <= 16


class TestPage:
    def test_shows_number_money_and_timeline(self, browser, order):
        page = browser.get(page_of(order)).content.decode()

        payment = LedgerTransaction.objects.get(reference=order.pk)
        assert order.order_number in page
        assert page_of(payment) in page
        assert "950,000 won" in page
        assert "Held seats for 50,000 won" in page
        assert reverse("admin:reservations_customer", args=[order.customer_id]) in page

    def test_takes_no_more_queries_for_more_events(self, browser, order):
        def queries() -> int:
            with CaptureQueriesContext(connection) as captured:
                assert browser.get(page_of(order)).status_code == 200
            return len(captured)

        queries()
        before = queries()
        cancel(order)
        boss = CustomerFactory(staff=True)
        for number in range(5):
            note([order], f"Entry {number}", staff_id=boss.pk)

        assert before <= 20
        assert queries() == before

    def test_keeps_the_balance_from_those_who_may_not_see_money(self, order):
        page = clerk("view_reservation").get(page_of(order)).content.decode()

        assert "50,000 won" in page
        assert "950,000 won" not in page

    def test_of_a_hold_tells_what_became_of_it(self, browser, visitor):
        expired, released = hold_by_api(visitor, 0), hold_by_api(visitor, 1)
        let_expire(expired)
        release_hold(customer_id=released.customer_id, hold_id=released.pk)

        assert "The hold expired" in browser.get(page_of(expired)).content.decode()
        assert "The hold was given back" in browser.get(page_of(released)).content.decode()


class TestTimelineOfAVisit:
    """Why a customer lost the place."""

    def test_that_was_removed_says_by_whom_and_why(self, visitor, performance):
        boss = CustomerFactory(staff=True, email="boss@example.com")
        remove_visitor(
            concert_id=performance.concert_id,
            customer_id=visitor.customer.pk,
            staff_id=boss.pk,
            reason="Two accounts",
        )
        visit = QueueExit.objects.get(customer=visitor.customer)

        [removal] = [moment for moment in moments_of(visit) if moment.what == "Removal by staff"]

        assert (removal.by, removal.details) == ("boss@example.com", ("Two accounts",))
        assert "Staff removed the customer from the queue" in story(visit)

    def test_says_what_was_held_meanwhile(self, visitor):
        held = hold_by_api(visitor)
        release_hold(customer_id=held.customer_id, hold_id=held.pk)
        visitor.delete("/queue/tokens/me")
        visit = QueueExit.objects.get(customer=visitor.customer)

        told = story(visit)

        assert told[0] == "Joined the queue"
        assert any(what.startswith("Held seats for 50,000 won") for what in told)
        assert told[-1] == "The customer left the queue"

    @pytest.mark.parametrize(
        ("waited", "lasted", "words"),
        [
            (timedelta(minutes=6), None, "Lost the place: the page of the queue did not ask"),
            (timedelta(minutes=1), timedelta(seconds=61), "did not come within a minute"),
            (timedelta(minutes=1), timedelta(minutes=5), "The turn was over after 0:05:00"),
        ],
    )
    def test_that_timed_out_says_of_what(self, waited, lasted, words):
        joined_at = timezone.now() - timedelta(hours=1)
        admitted_at = joined_at + waited if lasted else None
        visit = QueueExitFactory(
            reason=QueueExit.Reason.TIMED_OUT,
            joined_at=joined_at,
            admitted_at=admitted_at,
            ended_at=joined_at + waited + (lasted or timedelta(0)),
        )

        assert words in story(visit)[-1]

    def test_tells_of_a_pause_with_its_reason(self, visitor, performance):
        concert_id = performance.concert_id
        boss = CustomerFactory(staff=True)
        pause_room(concert_id=concert_id, staff_id=boss.pk, reason="Slow payments")
        resume_room(concert_id=concert_id, staff_id=boss.pk)
        visitor.delete("/queue/tokens/me")
        visit = QueueExit.objects.get(customer=visitor.customer)

        told = [moment for moment in moments_of(visit) if "Waiting room, state" in moment.what]

        assert [moment.by for moment in told] == [boss.email, boss.email]
        assert "Slow payments" in told[0].details

    def test_tells_what_those_who_wait_were_told(self, performance):
        boss = CustomerFactory(staff=True, email="boss@example.com")
        concert_id = performance.concert_id

        def tell(text: str) -> None:
            notify_visitors(concert_id=concert_id, text=NoticeText(en=text), staff_id=boss.pk)

        tell("Over before")
        tell("A short delay")
        waiting = Visitor(CustomerFactory())
        waiting.join(concert_id)
        waiting.delete("/queue/tokens/me")
        tell("Too late")
        visit = QueueExit.objects.get(customer=waiting.customer)

        told = [moment for moment in moments_of(visit) if "were told" in moment.what]

        assert [moment.what for moment in told] == ["Those who waited were told: “A short delay”"]
        assert told[0].by == "boss@example.com"

    def test_is_on_its_page(self, browser):
        visit = QueueExitFactory(reason=QueueExit.Reason.LEFT)

        assert "The customer left the queue" in browser.get(page_of(visit)).content.decode()

    def test_of_a_room_without_a_row_can_be_told(self):
        visit = QueueExitFactory(reason=QueueExit.Reason.TIMED_OUT)

        assert not WaitingRoom.objects.exists()
        assert len(story(visit)) == 2


class TestPageOfACustomer:
    def url(self, customer) -> str:
        return reverse("admin:reservations_customer", args=[customer.pk])

    def test_shows_orders_holds_visits_and_money(self, browser, visitor, order):
        hold(visitor.customer, [Seat.objects.order_by("pk")[1]])
        drain(consumer="token_expiry")
        QueueExitFactory(customer=visitor.customer, reason=QueueExit.Reason.LEFT)
        stranger = reservation(CustomerFactory(), [Seat.objects.order_by("pk")[2]])

        page = browser.get(self.url(visitor.customer)).content.decode()

        assert order.order_number in page
        assert stranger.order_number not in page
        assert "950,000 won" in page
        assert "The customer left the queue" in page
        for visit in QueueExit.objects.all():
            assert page_of(visit) in page
        for held in Hold.objects.filter(customer=visitor.customer):
            assert page_of(held) in page

    def test_says_where_the_customer_waits(self, browser, visitor, performance):
        assert f"{performance.concert}, since " in self.waiting(browser, visitor)

        visitor.delete("/queue/tokens/me")

        assert self.waiting(browser, visitor) == "in none"

    def test_opens_while_the_store_is_away(self, browser, visitor, settings):
        settings.QUEUE_URL = NOWHERE

        assert self.waiting(browser, visitor).startswith("not known")

    def waiting(self, browser, visitor) -> str:
        told: str = browser.get(self.url(visitor.customer)).context["waiting"]
        return told

    def test_takes_the_same_queries_for_any_number(self, browser, visitor, order):
        def queries() -> int:
            with CaptureQueriesContext(connection) as captured:
                assert browser.get(self.url(visitor.customer)).status_code == 200
            return len(captured)

        queries()
        before = queries()
        hold(visitor.customer, [Seat.objects.order_by("pk")[1]])
        reservation(visitor.customer, [Seat.objects.order_by("pk")[2]])
        QueueExitFactory.create_batch(3, customer=visitor.customer)

        assert queries() == before <= 12

    def test_keeps_money_from_those_who_may_not_see_it(self, order):
        page = clerk("view_reservation").get(self.url(order.customer)).content.decode()

        assert order.order_number in page
        assert "950,000 won" not in page

    def test_is_reached_from_the_account(self, browser, order):
        account = browser.get(page_of(order.customer)).content.decode()

        assert self.url(order.customer) in account

    def test_needs_the_right_to_see_orders(self, order):
        assert clerk("view_user").get(self.url(order.customer)).status_code == 403

    def test_of_nobody_is_not_found(self, browser):
        url = reverse("admin:reservations_customer", args=[999_999])

        assert browser.get(url).status_code == 404
