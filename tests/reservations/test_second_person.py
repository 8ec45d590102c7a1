"""Test that what needs a second person needs one by every door: in parts, by a selection, by a move, by a price that is waived."""

from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from apps.boxoffice.base.jobs.models import StaffJob
from apps.boxoffice.base.jobs.services import approve_job, run_job
from apps.concerts.corrections import delete_performances
from apps.concerts.models import Performance, Seat
from apps.payments.models import LedgerEntry
from apps.payments.selectors import wallet_balance
from apps.reservations.models import Reservation
from tests.boxoffice.sending import act, carry_out, send
from tests.boxoffice.staff import administrator, clerk, page_of
from tests.factories.accounts import CustomerFactory
from tests.factories.concerts import PerformanceFactory
from tests.factories.counter import move
from tests.factories.payments import WalletFactory
from tests.factories.reservations import reservation
from tests.reservations.racing import breaches

pytestmark = pytest.mark.django_db

CLERK = (
    "view_reservation",
    "view_hold",
    "view_ticket",
    "cancel_reservation",
    "reseat",
    "give_complimentary",
)


@pytest.fixture
def performance() -> Performance:
    """Six seats at 50,000 won; other dates of the concert cost 10,000, 20,000 and 90,000."""
    made: Performance = PerformanceFactory(seats=6, concert__seats_per_customer=6)
    for day, price in enumerate((10_000, 20_000, 90_000), start=1):
        PerformanceFactory(
            concert=made.concert,
            seats=6,
            seats__price=price,
            starts_at=made.starts_at + timedelta(days=day),
        )
    return made


@pytest.fixture
def booked(customer, seats) -> Reservation:
    """Two seats of a customer for 100,000 won, beside one of another."""
    reservation(CustomerFactory(), seats[5:6])
    return reservation(customer, seats[:2])


@pytest.fixture
def box_office() -> Client:
    return clerk(*CLERK)


@pytest.fixture(autouse=True)
def _limit(settings) -> None:
    settings.REFUND_LIMIT_WITHOUT_APPROVAL = 70_000


def seats_at(price: int, count: int = 2) -> list[Seat]:
    return list(Seat.objects.filter(price=price).order_by("pk")[:count])


def send_move(browser: Client, reserved: Reservation, seats: list[Seat], **values: Any) -> Any:
    url = reverse("admin:reservations_move", args=[reserved.pk])
    chosen = "&".join(f"seat={seat.pk}" for seat in seats)
    address = f"{url}?performance={seats[0].performance_id}&{chosen}"
    return send(browser, address, {"paid_by": "CASH", "reason": "Is ill", **values})


def waiting() -> list[str]:
    return list(StaffJob.objects.awaiting_approval().values_list("kind", flat=True))


def cancel_in_list(browser: Client, reserved: Reservation) -> None:
    chosen = act(browser, "cancel_selected", reserved)
    carry_out(browser, chosen.url, {"reason": "Fell ill"})


class TestRefund:
    def test_of_a_rest_by_a_selection_counts_what_was_refunded_before(
        self, box_office, booked, customer
    ):
        page = reverse("admin:reservations_reservation_refund", args=[booked.pk])
        carry_out(box_office, page, {"extra": "60,000", "reason": "Fell ill"})
        assert waiting() == []

        cancel_in_list(box_office, booked)

        assert waiting() == ["cancel_reservations"]
        assert wallet_balance(customer_id=customer.pk) == 960_000

    @pytest.mark.parametrize("by_list", [True, False])
    def test_of_cheaper_seats_counts_what_the_move_gave_back(
        self, box_office, booked, customer, by_list
    ):
        send_move(box_office, booked, seats_at(20_000), difference=-60_000)
        moved = Reservation.objects.get(status="CONFIRMED", customer=customer)
        assert wallet_balance(customer_id=customer.pk) == 960_000
        assert waiting() == []

        if by_list:
            cancel_in_list(box_office, moved)
        else:
            page = reverse("admin:reservations_reservation_refund", args=[moved.pk])
            carry_out(box_office, page, {"extra": "10,001", "reason": "Fell ill"})

        assert len(waiting()) == 1
        assert wallet_balance(customer_id=customer.pk) == 960_000


class TestMoveToCheaperSeats:
    def test_above_the_limit_waits_and_is_done_once_it_is_approved(
        self, box_office, booked, customer
    ):
        answer = send_move(box_office, booked, seats_at(10_000), difference=-80_000)

        job = StaffJob.objects.get()
        assert answer.url == page_of(job)
        assert (job.kind, job.status) == ("move_customer", "AWAITING_APPROVAL")
        booked.refresh_from_db()
        assert booked.status == "CONFIRMED"
        assert wallet_balance(customer_id=customer.pk) == 900_000

        approve_job(job_id=job.pk, staff_id=CustomerFactory(staff=True).pk)
        run_job(job_id=job.pk)

        job.refresh_from_db()
        assert job.rows_applied == 1
        booked.refresh_from_db()
        assert booked.moved_to is not None
        assert wallet_balance(customer_id=customer.pk) == 980_000
        assert breaches() == []

    def test_says_what_it_will_do(self, box_office, booked, customer):
        send_move(box_office, booked, seats_at(10_000), difference=-80_000)
        job = StaffJob.objects.get()

        page = clerk("view_staffjob").get(page_of(job)).content.decode()

        assert customer.name in page
        assert "-80,000 won" in page

    def test_in_two_steps_counts_both(self, box_office, booked, customer):
        send_move(box_office, booked, seats_at(20_000), difference=-60_000)
        moved = Reservation.objects.get(status="CONFIRMED", customer=customer)

        send_move(box_office, moved, seats_at(10_000), difference=-20_000)

        assert waiting() == ["move_customer"]
        assert wallet_balance(customer_id=customer.pk) == 960_000

    def test_counts_no_move_of_another_order(self, box_office, booked, customer, seats):
        other = reservation(customer, seats[2:4])
        send_move(box_office, booked, seats_at(20_000), difference=-60_000)

        send_move(box_office, other, seats_at(20_000, 4)[2:], difference=-60_000)

        assert waiting() == []
        assert wallet_balance(customer_id=customer.pk) == 920_000

    def test_a_difference_that_was_not_shown_is_no_way_around(self, box_office, booked, customer):
        for difference in (0, 1, -10, 10**12):
            send_move(box_office, booked, seats_at(10_000), difference=difference)

        assert wallet_balance(customer_id=customer.pk) == 900_000
        assert (
            not StaffJob.objects.filter(kind="move_customer")
            .exclude(parameters__difference__lt=0)
            .exists()
        )


class TestWaivedDifference:
    @pytest.fixture
    def many(self, seats) -> Reservation:
        customer = WalletFactory(balance=1_000_000).customer
        return reservation(customer, seats[:5])

    def test_is_for_those_who_may_give_tickets(self, booked):
        mover = clerk(*(name for name in CLERK if name != "give_complimentary"))

        answer = send_move(mover, booked, seats_at(90_000), difference=80_000, paid_by="HOUSE")

        assert "paid_by" in answer.context["form"].errors
        booked.refresh_from_db()
        assert booked.status == "CONFIRMED"
        assert not LedgerEntry.objects.filter(account="COMPS").exists()

    def test_of_many_tickets_waits_for_a_second_person(self, box_office, many):
        send_move(box_office, many, seats_at(90_000, 5), difference=200_000, paid_by="HOUSE")

        assert waiting() == ["move_customer"]
        assert not LedgerEntry.objects.filter(account="COMPS").exists()

    def test_that_is_paid_waits_for_nobody(self, box_office, many):
        send_move(box_office, many, seats_at(90_000, 5), difference=200_000)

        assert waiting() == []
        many.refresh_from_db()
        assert many.moved_to is not None
        assert move(many.moved_to, seats_at(20_000, 5)).difference == -350_000
        assert breaches() == []


def test_a_job_about_a_date_that_was_deleted_can_be_read_and_rejected(performance):
    page = reverse("admin:reservations_performance_call_off", args=[performance.pk])
    carry_out(administrator(), page, {"reason": "Flood", "text_en": "Called off."})
    job = StaffJob.objects.get()
    delete_performances(ids=[performance.pk])
    colleague = administrator()

    shown = colleague.get(page_of(job)).content.decode()
    send(
        colleague, reverse("admin:boxoffice_staffjob_reject", args=[job.pk]), {"reason": "Is gone"}
    )

    assert "What it is about has been deleted." in shown
    job.refresh_from_db()
    assert job.status == StaffJob.Status.REJECTED
