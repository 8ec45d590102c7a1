"""Test the pages on which staff give back seats and money, and decide what becomes of a date."""

from datetime import timedelta

import pytest
from django.urls import reverse
from django.utils import timezone

from apps.boxoffice.base.jobs.models import StaffJob
from apps.boxoffice.base.jobs.services import approve_job, run_job
from apps.concerts.models import Performance
from apps.payments.selectors import wallet_balance
from apps.reservations.models import Reservation
from apps.reservations.services import refund_reservation
from apps.reservations.staff_jobs import SELECTION_MAX
from tests.boxoffice.sending import act, carry_out, send, shown_by, typed
from tests.boxoffice.staff import clerk, list_of, page_of
from tests.factories.accounts import CustomerFactory
from tests.factories.concerts import PerformanceFactory
from tests.factories.reservations import cancel, reservation
from tests.reservations.racing import breaches

pytestmark = pytest.mark.django_db

PRICE = 50_000
REASON = "Fell ill"
TEXT = {"text_ko": "", "text_en": "Sorry: {reason}"}  # what ticket holders are told


@pytest.fixture
def performance():
    made = PerformanceFactory(seats=6, concert__seats_per_customer=3)
    PerformanceFactory(concert=made.concert, seats=3, starts_at=made.starts_at + timedelta(days=1))
    return made


@pytest.fixture
def booked(customer, seats):
    """Three seats of a customer, beside one of another."""
    reservation(CustomerFactory(), seats[3:4])
    return reservation(customer, seats[:3])


@pytest.fixture
def box_office():
    return clerk("view_reservation", "cancel_reservation", "view_performance", "change_performance")


def refund_page(reserved):
    return reverse("admin:reservations_reservation_refund", args=[reserved.pk])


def told(answer):
    return [str(message) for message in answer.context["messages"]]


class TestRefundPage:
    def test_is_led_to_from_the_reservation(self, box_office, booked):
        page = box_office.get(page_of(booked)).content.decode()
        url = reverse("admin:reservations_reservation_give_back", args=[booked.pk])

        assert url in page
        assert box_office.get(url).url == refund_page(booked)

    def test_shows_what_it_would_do_and_does_nothing(self, box_office, booked, seats, customer):
        values = {"seats": [seats[0].pk], "extra": "5,000", "reason": REASON}

        answer = send(box_office, refund_page(booked), values)

        page = answer.content.decode()
        for words in ("55,000 won of 150,000 won", str(seats[0]), "it is done at once"):
            assert words in page
        assert wallet_balance(customer_id=customer.pk) == 850_000

    def test_gives_back_one_seat_of_three(self, box_office, booked, seats, customer):
        values = {"seats": [seats[0].pk], "extra": "", "reason": REASON}

        answer, _ = carry_out(box_office, refund_page(booked), values, follow=True)

        assert told(answer) == [
            "Seats cancelled: 1. Refunded: 50,000 won, 50,000 of 150,000 won in all."
        ]
        assert wallet_balance(customer_id=customer.pk) == 850_000 + PRICE
        booked.refresh_from_db()
        assert booked.status == Reservation.Status.CONFIRMED
        assert REASON in answer.content.decode()
        assert breaches() == []

    def test_acts_once_for_a_double_click(self, box_office, booked, customer):
        page, values = refund_page(booked), {"extra": "1,000", "reason": REASON}
        shown = send(box_office, page, values)
        again = {**values, "_planned": shown.context["planned"], "_shown": shown.context["shown"]}

        first, second = (box_office.post(page, again, follow=True) for _ in range(2))

        assert told(first)[0].startswith("Refunded: 1,000 won")
        assert "It has not been carried out twice." in told(second)[0]
        assert wallet_balance(customer_id=customer.pk) == 851_000

    def test_shows_anew_what_a_colleague_has_changed(self, box_office, booked, seats, customer):
        page, values = refund_page(booked), {"seats": [seats[0].pk], "reason": REASON}
        shown = send(box_office, page, values)
        staff_id = CustomerFactory(staff=True).pk
        refund_reservation(
            reservation_id=booked.pk, amount=1_000, reason="A delay", staff_id=staff_id
        )

        again = {**values, "_planned": shown.context["planned"], "_shown": shown.context["shown"]}
        answer = box_office.post(page, again)

        assert "This has changed since it was shown." in answer.content.decode()
        assert wallet_balance(customer_id=customer.pk) == 851_000

    def test_above_the_limit_asks_a_second_person(
        self, box_office, booked, seats, customer, settings
    ):
        settings.REFUND_LIMIT_WITHOUT_APPROVAL = 99_999
        values = {"seats": [seat.pk for seat in seats[:2]], "reason": REASON}

        _, page = carry_out(box_office, refund_page(booked), values)

        assert "has to approve it" in page
        assert wallet_balance(customer_id=customer.pk) == 850_000
        job = StaffJob.objects.get()
        assert (job.kind, job.status, job.reason) == (
            "refund_reservation", "AWAITING_APPROVAL", REASON,
        )  # fmt: skip
        approve_job(job_id=job.pk, staff_id=CustomerFactory(staff=True).pk)
        run_job(job_id=job.pk)
        assert wallet_balance(customer_id=customer.pk) == 950_000
        job.refresh_from_db()
        assert job.rows_applied == 1
        assert customer.name in str(job)
        assert breaches() == []

    def test_counts_what_was_refunded_before_towards_the_limit(self, box_office, booked, settings):
        settings.REFUND_LIMIT_WITHOUT_APPROVAL = 60_000
        values = {"extra": "40,000", "reason": REASON}
        carry_out(box_office, refund_page(booked), values)
        assert not StaffJob.objects.exists()

        carry_out(box_office, refund_page(booked), values)

        assert StaffJob.objects.count() == 1

    def test_an_approval_after_another_refund_is_refused(
        self, box_office, booked, customer, settings
    ):
        settings.REFUND_LIMIT_WITHOUT_APPROVAL = 1
        carry_out(box_office, refund_page(booked), {"extra": "40,000", "reason": REASON})
        cancel(booked)
        job = StaffJob.objects.get()
        approve_job(job_id=job.pk, staff_id=CustomerFactory(staff=True).pk)

        run_job(job_id=job.pk)

        job.refresh_from_db()
        assert (job.rows_applied, job.rows_refused) == (0, 1)
        assert wallet_balance(customer_id=customer.pk) == 1_000_000
        assert breaches() == []

    @pytest.mark.parametrize(
        ("values", "words"),
        [
            ({"reason": REASON}, "Choose seats, or enter an amount."),
            ({"extra": "1,000"}, "This field is required."),
            ({"extra": "150,001", "reason": REASON}, "less than or equal to 150000"),
            ({"extra": "0", "reason": REASON}, "greater than or equal to 1"),
            ({"extra": "much", "reason": REASON}, "Enter a whole number."),
            ({"seats": ["0"], "reason": REASON}, "Select a valid choice."),
            ({"seats": ["seat"], "reason": REASON}, "Select a valid choice."),
        ],
    )
    def test_refuses_in_words(self, box_office, booked, customer, values, words):
        answer = send(box_office, refund_page(booked), values)

        assert words in answer.content.decode()
        assert "planned" not in answer.context
        assert wallet_balance(customer_id=customer.pk) == 850_000

    def test_refuses_more_beyond_the_seats_than_is_left(self, box_office, booked, seats):
        values = {
            "seats": [seat.pk for seat in seats[:2]], "extra": "50,001", "reason": REASON,
        }  # fmt: skip

        answer = send(box_office, refund_page(booked), values)

        assert "150,001 won is more than can be refunded" in answer.content.decode()

    def test_of_a_cancelled_reservation_offers_no_seats(self, box_office, booked):
        cancel(booked)

        form = box_office.get(refund_page(booked)).context["form"]

        assert list(form.fields) == ["extra", "reason"]

    def test_finance_refunds_money_and_cancels_no_seats(self, booked, seats, customer):
        finance = clerk("view_reservation", "refund")
        values = {"seats": [seats[0].pk], "extra": "1,000", "reason": REASON}

        carry_out(finance, refund_page(booked), values)

        assert wallet_balance(customer_id=customer.pk) == 851_000
        assert booked.tickets.filter(cancelled_at=None).count() == 3

    def test_is_for_those_who_may(self, booked, customer):
        onlooker = clerk("view_reservation")

        assert "give-back" not in onlooker.get(page_of(booked)).content.decode()
        for answer in (
            onlooker.get(refund_page(booked)),
            onlooker.post(refund_page(booked), {"extra": "1", "reason": "x"}),
        ):
            assert answer.status_code == 403
        assert wallet_balance(customer_id=customer.pk) == 850_000

    def test_of_nothing_is_not_found(self, box_office):
        page = refund_page(Reservation())

        assert box_office.get(page).status_code == 404


class TestSelection:
    def test_cancels_each_with_a_result_of_its_own(self, box_office, booked, seats, performance):
        other = reservation(CustomerFactory(), seats[4:5])
        gone = reservation(CustomerFactory(), seats[5:6])
        cancel(gone)

        chosen = act(box_office, "cancel_selected", booked, other, gone)
        answer, page = carry_out(box_office, chosen.url, {"reason": REASON})

        assert "200,000 won" in page
        job = StaffJob.objects.get()
        assert answer.url == page_of(job)
        run_job(job_id=job.pk)
        job.refresh_from_db()
        assert (job.status, job.rows_applied, job.rows_refused) == ("DONE", 2, 1)
        assert dict(job.rows.values_list("subject", "outcome")) == {
            str(booked.pk): "APPLIED", str(other.pk): "APPLIED", str(gone.pk): "REFUSED",
        }  # fmt: skip
        assert Reservation.objects.filter(status="CONFIRMED").count() == 1
        assert breaches() == []

    def test_above_the_limit_needs_a_second_person(self, box_office, booked, settings):
        settings.REFUND_LIMIT_WITHOUT_APPROVAL = 149_999

        chosen = act(box_office, "cancel_selected", booked)
        carry_out(box_office, chosen.url, {"reason": REASON})

        assert StaffJob.objects.get().status == "AWAITING_APPROVAL"

    def test_is_bounded(self, box_office, booked, monkeypatch):
        monkeypatch.setattr("apps.reservations.admin.refunding.SELECTION_MAX", 1)
        other = Reservation.objects.exclude(pk=booked.pk).get()

        answer = act(box_office, "cancel_selected", booked, other, follow=True)

        assert "Choose no more than 1 reservations at a time." in told(answer)
        assert not StaffJob.objects.exists()
        assert SELECTION_MAX == 100

    @pytest.mark.parametrize("ids", ["", "x", "00000000000000000000000000000000.x"])
    def test_of_nothing_is_refused_in_words(self, box_office, ids):
        page = f"{list_of(Reservation, 'cancel_selected')}?ids={ids}"

        answer = send(box_office, page, {"reason": REASON})

        assert "None of these reservations can be cancelled any more." in answer.content.decode()
        assert not StaffJob.objects.exists()

    def test_is_for_those_who_may_cancel(self, booked):
        finance = clerk("view_reservation", "refund")
        page = f"{list_of(Reservation, 'cancel_selected')}?ids={booked.pk.hex}"

        assert finance.get(page).status_code == 403
        assert "cancel_selected" not in finance.get(list_of(Reservation)).content.decode()


def call_off_page(performance):
    return reverse("admin:reservations_performance_call_off", args=[performance.pk])


def move_page(performance):
    return reverse("admin:reservations_performance_move", args=[performance.pk])


class TestCallingOff:
    def test_is_led_to_from_the_performance(self, box_office, performance):
        page = box_office.get(page_of(performance)).content.decode()

        for name, url in (("call_off", call_off_page), ("move", move_page)):
            button = reverse(f"admin:concerts_performance_{name}", args=[performance.pk])
            assert button in page
            assert box_office.get(button).url == url(performance)

    def test_says_what_it_means_and_asks_a_second_person(
        self, box_office, booked, performance, customer
    ):
        page = call_off_page(performance)
        before = box_office.get(page).content.decode()

        answer, shown = carry_out(box_office, page, {**TEXT, "reason": "The singer is ill."})

        for words in ("200,000 won", "could still cancel themselves"):
            assert words in before
        assert "has to approve it" in shown
        job = StaffJob.objects.get()
        assert (job.status, answer.url) == ("AWAITING_APPROVAL", page_of(job))
        performance.refresh_from_db()
        assert not performance.is_called_off
        approve_job(job_id=job.pk, staff_id=CustomerFactory(staff=True).pk)
        run_job(job_id=job.pk)
        assert wallet_balance(customer_id=customer.pk) == 1_000_000
        changed = box_office.get(page_of(performance)).content.decode()
        assert "The singer is ill." in changed
        assert reverse("admin:concerts_performance_call_off", args=[performance.pk]) not in changed

    def test_is_asked_for_once(self, box_office, performance):
        page, values = call_off_page(performance), {**TEXT, "reason": REASON}
        carry_out(box_office, page, values)

        answer = send(box_office, page, values)

        assert "This has been asked for already." in answer.content.decode()
        assert StaffJob.objects.count() == 1

    def test_is_refused_when_it_has_been_called_off(self, box_office, performance):
        now = timezone.now()
        Performance.objects.filter(pk=performance.pk).update(
            called_off_at=now, called_off_reason="x"
        )

        answer = send(box_office, call_off_page(performance), {**TEXT, "reason": REASON})

        assert "This performance has been called off." in answer.content.decode()
        assert not StaffJob.objects.exists()

    def test_is_for_those_who_may_change_dates(self, performance):
        onlooker = clerk("view_performance", "cancel_reservation")

        for page in (call_off_page(performance), move_page(performance)):
            assert onlooker.get(page).status_code == 403
            assert onlooker.post(page, {"reason": REASON}).status_code == 403
        assert not StaffJob.objects.exists()


class TestMoving:
    @pytest.fixture
    def to(self):
        return (timezone.now() + timedelta(days=20)).replace(microsecond=0)

    def test_shows_both_times_and_moves_after_approval(self, box_office, booked, performance, to):
        values = typed("starts_at", to) | typed("deadline", to - timedelta(hours=3))
        values |= {"ends_at_0": "", "ends_at_1": "", **TEXT, "reason": "The hall is flooded."}

        _, shown = carry_out(box_office, move_page(performance), values)

        assert "200,000 won" in shown
        assert "has to approve it" in shown
        job = StaffJob.objects.get()
        approve_job(job_id=job.pk, staff_id=CustomerFactory(staff=True).pk)
        run_job(job_id=job.pk)
        performance.refresh_from_db()
        assert performance.starts_at == to
        assert performance.free_cancellation_until == to - timedelta(hours=3)

    def test_without_tickets_is_done_without_a_second_person(self, box_office, performance, to):
        values = typed("starts_at", to) | {**TEXT, "reason": REASON}

        carry_out(box_office, move_page(performance), values)

        run_job(job_id=StaffJob.objects.get().pk)
        performance.refresh_from_db()
        assert performance.starts_at == to

    @pytest.mark.parametrize(
        ("field", "offset", "words"),
        [
            ("starts_at", timedelta(days=-30), "A performance cannot begin in the past."),
            ("ends_at", timedelta(hours=-1), "A performance must end after it begins"),
            ("ends_at", timedelta(days=8), "A performance must end after it begins"),
            ("deadline", timedelta(hours=1), "It must lie ahead, and not after the beginning."),
            ("deadline", timedelta(days=-30), "It must lie ahead, and not after the beginning."),
        ],
    )
    def test_refuses_times_that_cannot_be(self, box_office, performance, to, field, offset, words):
        values = typed("starts_at", to) | typed(field, to + offset) | {**TEXT, "reason": REASON}

        answer = send(box_office, move_page(performance), values)

        assert words in answer.content.decode()
        assert not StaffJob.objects.exists()

    def test_refuses_the_time_of_another_date_and_its_own(self, box_office, performance):
        Performance.objects.filter(pk=performance.pk).update(
            starts_at=performance.starts_at.replace(microsecond=0)
        )
        other = Performance.objects.exclude(pk=performance.pk).get()
        Performance.objects.filter(pk=other.pk).update(
            starts_at=other.starts_at.replace(microsecond=0)
        )
        for at, words in (
            (other.starts_at, "at that time already"),
            (performance.starts_at, "It begins at that time already."),
        ):
            values = typed("starts_at", at) | {**TEXT, "reason": REASON}

            answer = send(box_office, move_page(performance), values)

            assert words in answer.content.decode()

    def test_the_form_of_the_date_leads_here_once_tickets_are_sold(
        self, box_office, performance, seats, to
    ):
        reservation(CustomerFactory(), seats[:2])  # which no ranking has counted yet

        answer = send(box_office, page_of(performance), typed("starts_at", to))

        assert "2 tickets are sold for this date. Use “Move” above" in answer.content.decode()
        assert Performance.objects.get(pk=performance.pk).starts_at == performance.starts_at


def test_every_form_shows_itself(box_office, booked, performance):
    """None of these pages acts without what it showed: a forged form does nothing."""
    for page in (refund_page(booked), call_off_page(performance)):
        assert shown_by(box_office, page)
        box_office.post(page, {"extra": "1", "reason": REASON, "_planned": "x"})
    assert not StaffJob.objects.exists()
