"""Test what ticket holders are told when their date is called off or moved: written on the form, read once by all of them."""

from datetime import timedelta
from itertools import count
from typing import Any

import pytest
from django.utils import timezone

from apps.boxoffice.base.jobs.models import StaffJob
from apps.boxoffice.base.jobs.services import approve_job, run_job
from apps.core.notices import NOTICE_MAX, NoticeText
from apps.payments.selectors import wallet_balance
from apps.reservations.models import HolderNotice, Reservation
from apps.reservations.notice_drafts import calling_off_draft, filled_in, moving_draft
from apps.reservations.refund_plans import sold_of_performance
from apps.reservations.services import cancel_seats, refund_reservation
from apps.reservations.staff_jobs import CallOffPerformance, CancelReservations
from tests.boxoffice.sending import carry_out, send, typed
from tests.boxoffice.staff import clerk
from tests.factories.accounts import CustomerFactory
from tests.factories.concerts import PerformanceFactory
from tests.factories.counter import give
from tests.factories.reservations import cancel, reservation
from tests.protections import CALLING_OFF_A_DATE, GIVING_BACK_FOR_A_JOB, after, before
from tests.reservations.racing import breaches
from tests.reservations.test_calling_off import Killed, approved
from tests.reservations.test_notices import read_by
from tests.reservations.test_staff_pages import call_off_page, move_page

pytestmark = pytest.mark.django_db

WHY = "The singer is ill."
TEXTS = {"text_ko": "취소되었습니다: {reason}", "text_en": "Called off: {reason}"}


@pytest.fixture
def performance():
    made = PerformanceFactory(seats=8, concert__seats_per_customer=3)
    PerformanceFactory(concert=made.concert, seats=2, starts_at=made.starts_at + timedelta(days=1))
    return made


@pytest.fixture
def elsewhere(performance) -> Reservation:
    """A reservation of another date of the concert."""
    other = performance.concert.performances.exclude(pk=performance.pk).get()
    return reservation(CustomerFactory(), list(other.seats.all()[:1]))


@pytest.fixture
def box_office():
    return clerk("view_performance", "change_performance")


@pytest.fixture
def booked(performance, seats, elsewhere) -> list[Reservation]:
    return [
        reservation(CustomerFactory(), seats[:2]),
        reservation(CustomerFactory(), seats[2:3]),
    ]


def ask(staff: Any, page: str, values: dict[str, Any]) -> tuple[StaffJob, str]:
    _, shown = carry_out(staff, page, values)
    return StaffJob.objects.get(), shown


def approve_and_run(job: StaffJob) -> None:
    approve_job(job_id=job.pk, staff_id=CustomerFactory(staff=True).pk)
    assert run_job(job_id=job.pk)


class TestCallingOff:
    def test_offers_a_text_in_both_languages(self, box_office, performance, booked):
        form = box_office.get(call_off_page(performance)).context["form"]

        assert "will not take place. {reason}" in form.initial["text_en"]
        assert "열리지 않습니다. {reason}" in form.initial["text_ko"]
        for text in (form.initial["text_en"], form.initial["text_ko"]):
            assert performance.concert.title in text

    def test_tells_all_whose_reservations_it_cancels_once(
        self, box_office, performance, booked, elsewhere
    ):
        job, shown = ask(box_office, call_off_page(performance), {**TEXTS, "reason": WHY})
        for words in (f"Called off: {WHY}", f"취소되었습니다: {WHY}", "customers"):
            assert words in shown

        assert not HolderNotice.objects.exists()
        approve_and_run(job)

        assert [Reservation.objects.get(pk=sold.pk).status for sold in booked] == ["CANCELLED"] * 2
        assert [read_by(sold) for sold in booked] == [[f"Called off: {WHY}"]] * 2
        assert read_by(elsewhere) == []
        notice = HolderNotice.objects.get()
        assert (notice.text_ko, notice.customers, notice.tickets) == (
            f"취소되었습니다: {WHY}",
            2,
            3,
        )
        assert notice.sent_by_id == job.requested_by_id

    def test_tells_them_once_though_it_is_killed_and_resumed(
        self, performance, booked, monkeypatch
    ):
        parameters = CallOffPerformance.parameters(performance, NoticeText(en=WHY))
        job = approved(CallOffPerformance(), parameters, CustomerFactory(staff=True))
        numbers = count(1)

        def die(at: int) -> None:
            if next(numbers) == at:
                raise Killed

        # First within the row that calls off, of which nothing is left; then with one reservation given back.
        after(monkeypatch, CALLING_OFF_A_DATE, lambda: die(1))
        with pytest.raises(Killed):
            run_job(job_id=job.pk)
        assert not HolderNotice.objects.exists()
        before(monkeypatch, GIVING_BACK_FOR_A_JOB, lambda: die(3))
        with pytest.raises(Killed):
            run_job(job_id=job.pk)
        assert HolderNotice.objects.count() == 1

        assert run_job(job_id=job.pk)

        assert [read_by(sold) for sold in booked] == [[WHY]] * 2

    def test_tells_nobody_who_had_cancelled(self, box_office, performance, booked):
        cancel(booked[0])
        job, _ = ask(box_office, call_off_page(performance), {**TEXTS, "reason": WHY})
        approve_and_run(job)

        assert [len(read_by(sold)) for sold in booked] == [0, 1]
        assert HolderNotice.objects.get().customers == 1

    def test_tells_nothing_if_it_is_rejected_or_fails(
        self, box_office, performance, booked, monkeypatch
    ):
        job, _ = ask(box_office, call_off_page(performance), {**TEXTS, "reason": WHY})

        def fail() -> None:
            raise RuntimeError

        before(monkeypatch, CALLING_OFF_A_DATE, fail)
        approve_and_run(job)

        assert not HolderNotice.objects.exists()
        assert Reservation.objects.filter(status="CONFIRMED").count() == 3

    @pytest.mark.parametrize(
        ("texts", "words"),
        [
            ({"text_ko": "", "text_en": " "}, "Enter a text in at least one language."),
            ({"text_ko": "", "text_en": "x" * (NOTICE_MAX + 1)}, "at most 500 characters"),
            ({"text_ko": "", "text_en": "{reason} " * 50}, "it has more than 500 characters."),
        ],
    )
    def test_refuses_what_cannot_be_sent(self, box_office, performance, texts, words):
        answer = send(box_office, call_off_page(performance), {**texts, "reason": WHY})

        assert words in answer.content.decode()
        assert not StaffJob.objects.exists()


class TestMoving:
    @pytest.fixture
    def to(self):
        return (timezone.now() + timedelta(days=20)).replace(microsecond=0)

    def moved(self, to, **values: Any) -> dict[str, Any]:
        texts = {"text_ko": "{time}까지 {deadline}", "text_en": "Now {time}, until {deadline}."}
        return {**typed("starts_at", to), **texts, "reason": WHY, **values}

    def test_tells_the_new_time_in_the_language_of_each_reader(
        self, box_office, performance, booked, elsewhere, to
    ):
        deadline = to - timedelta(hours=3)
        values = self.moved(to, **typed("deadline", deadline))
        job, shown = ask(box_office, move_page(performance), values)
        expected = filled_in(
            NoticeText(ko=values["text_ko"], en=values["text_en"]),
            {"{time}": to, "{deadline}": deadline},
        )
        assert "{" not in expected.en + expected.ko
        assert expected.en in shown
        approve_and_run(job)

        assert [read_by(sold) for sold in booked] == [[expected.en]] * 2
        assert read_by(elsewhere) == []
        assert HolderNotice.objects.get().text_ko == expected.ko

    def test_says_until_when_they_can_cancel_without_a_deadline(
        self, box_office, performance, booked, to
    ):
        job, _ = ask(box_office, move_page(performance), self.moved(to))

        beginning = filled_in(NoticeText(en="until {deadline}."), {"{deadline}": to})
        assert beginning.en in job.parameters["notice"]["en"]

    def test_tells_nobody_if_nothing_is_sold(self, box_office, performance, to):
        job, _ = ask(box_office, move_page(performance), self.moved(to))

        assert run_job(job_id=job.pk)

        performance.refresh_from_db()
        assert performance.starts_at == to
        assert not HolderNotice.objects.exists()

    def test_tells_nothing_if_it_is_refused(self, box_office, performance, booked, to):
        job, _ = ask(box_office, move_page(performance), self.moved(to))
        type(performance).objects.filter(pk=performance.pk).update(
            starts_at=to + timedelta(days=1), ends_at=to + timedelta(days=2)
        )
        approve_and_run(job)

        assert not HolderNotice.objects.exists()

    def test_offers_a_text_with_names_for_what_is_typed(self, performance):
        for text in moving_draft(performance):
            assert all(name in text for name in ("{reason}", "{time}", "{deadline}"))
        assert calling_off_draft(performance).ko != calling_off_draft(performance).en


class TestAmountsOfThePreview:
    """Money of the house goes back to it, and is no refund to a customer."""

    @pytest.fixture
    def sold(self, performance, seats) -> list[Reservation]:
        """One that is paid, one of the house of which a seat was cancelled, one of each of which money was refunded."""
        by: dict[str, Any] = {"reason": WHY, "staff_id": CustomerFactory(staff=True).pk}
        paid, comp, partly_paid, partly_comp = (
            reservation(CustomerFactory(), seats[:2]),
            give(seats[2:4], CustomerFactory()).reservation,
            reservation(CustomerFactory(), seats[4:5]),
            give(seats[5:6], CustomerFactory()).reservation,
        )
        cancel_seats(reservation_id=comp.pk, seat_ids=[seats[2].pk], **by)
        for reserved, amount in ((partly_paid, 20_000), (partly_comp, 7)):
            refund_reservation(reservation_id=reserved.pk, amount=amount, **by)
        return [paid, comp, partly_paid, partly_comp]

    @pytest.mark.parametrize("is_called_off", [True, False])
    def test_are_those_that_move_to_the_won(self, performance, sold, is_called_off):
        kind: Any = CallOffPerformance() if is_called_off else CancelReservations()
        asked = performance if is_called_off else [str(reserved.pk) for reserved in sold]
        lines = dict(kind.preview(kind.parameters(asked)))
        before = sum(wallet_balance(customer_id=reserved.customer_id) for reserved in sold)

        job = approved(CallOffPerformance(), CallOffPerformance.parameters(performance), staff())
        run_job(job_id=job.pk)

        came_back = sum(wallet_balance(customer_id=one.customer_id) for one in sold) - before
        assert lines["refund to customers"] == f"{came_back:,} won" == "130,000 won"
        assert lines["back to the house, which had paid it"] == "99,993 won"
        assert sold_of_performance(performance.pk).to_house == 0
        assert breaches() == []

    def test_says_nothing_of_the_house_where_it_has_paid_nothing(self, performance, booked):
        kind = CallOffPerformance()

        lines = dict(kind.preview(kind.parameters(performance)))

        assert lines["refund to customers"] == "150,000 won"
        assert "back to the house, which had paid it" not in lines

    def test_of_jobs_from_before_are_shown_as_they_were(self, performance, booked):
        parameters = CancelReservations.parameters([str(booked[0].pk)])
        del parameters["sold"]["to_house"]

        assert (
            dict(CancelReservations().preview(parameters))["refund to customers"] == "100,000 won"
        )


def staff():
    return CustomerFactory(staff=True)
