"""Test what happens between several people at a sale, each in a browser: who asks, who approves, who pays, and who comes too late."""

import re
import threading
from itertools import count

import pytest
from django.conf import LazySettings
from playwright.sync_api import expect

from apps.boxoffice.base import forms
from apps.boxoffice.base.jobs.models import StaffJob
from apps.boxoffice.base.jobs.services import run_jobs
from apps.boxoffice.roles import ADMINISTRATOR, BOX_OFFICE, FINANCE, OPERATIONS
from apps.concerts.layouts import SectionLayout
from apps.concerts.models import Concert, Grade, Performance
from apps.outbox.draining import drain
from apps.outbox.models import EventDelivery
from apps.payments.models import LedgerTransaction, Wallet
from apps.queue.models import PolicyChange, WaitingRoom
from apps.reservations.models import Reservation, Ticket
from tests.browser.conftest import StartVisit, Work
from tests.browser.seat_map import add_date
from tests.browser.staff import find_order, go_to, open_date, press
from tests.factories.accounts import CustomerFactory
from tests.factories.concerts import ConcertFactory
from tests.factories.queue import WaitingRoomFactory
from tests.factories.reservations import reservation
from tests.ops.invariants.planting import consume_events
from tests.protections import GIVING_BACK_FOR_A_JOB, Step, before
from tests.reservations.platform import serving
from tests.reservations.racing import PATIENCE, breaches

CLAIMING_A_FORM = Step(forms, "_claim")
ILL = "The singer is ill."


class Killed(BaseException):
    """Stand for what no handler of errors catches."""


def test_one_seat_of_three_is_refunded(
    work: Work, visit: StartVisit, performance: Performance
) -> None:
    Concert.objects.update(seats_per_customer=3)
    customer = CustomerFactory()
    seats = list(performance.seats.filter(section="Floor B").order_by("pk"))
    booked = reservation(customer, seats[:3])
    reservation(CustomerFactory(), seats[3:6])
    shop = visit("phone", customer).open(f"/reservations/{booked.pk}/")
    expect(shop.locator(".ticket--void")).to_have_count(0)
    page = work(BOX_OFFICE)

    find_order(page, booked.order_number)
    page.get_by_role("link", name="Cancel or refund").click()
    page.get_by_label(str(seats[1])).check()
    page.get_by_label("Reason").fill("The lift is out of order.")
    press(page, "Preview")
    expect(page.get_by_text("99,000 won of 297,000 won")).to_be_visible()
    press(page, "Carry out")
    expect(page.get_by_role("link", name="Cancel or refund")).to_be_visible()

    shop.reload()
    void = shop.locator(".ticket--void")
    expect(void).to_have_count(1)
    expect(void).to_contain_text("The lift is out of order.")
    expect(shop.get_by_role("img", name="QR code of this ticket")).to_have_count(2)
    shop.goto("/wallet/")
    expect(shop.locator(".wallet__balance")).to_have_text("₩802,000")
    assert breaches() == []


@pytest.fixture
def sold_out(transactional_db: None) -> Performance:
    """A date with 500 tickets in 50 orders of customers who had a million each; another one has an order, too."""
    concert = ConcertFactory(title="Night Garden", seats_per_customer=10)
    layout = [SectionLayout("Stalls", 20, 25, Grade.R, 10_000)]
    made, other = (add_date(concert, days=day, layout=layout) for day in range(2))
    seats = list(made.seats.order_by("pk"))
    for first in range(0, 500, 10):
        reservation(CustomerFactory(), seats[first : first + 10])
    reservation(CustomerFactory(), list(other.seats.all()[:4]))
    return made


def test_a_date_with_500_tickets_is_called_off(
    work: Work, visit: StartVisit, sold_out: Performance, monkeypatch: pytest.MonkeyPatch
) -> None:
    asker = work(BOX_OFFICE, "Jun Park")
    open_date(asker, sold_out, "Call off")
    asker.get_by_label("Reason").fill(ILL)
    press(asker, "Preview")
    for label, value in (("Tickets", "500"), ("Customers", "50"), ("Refund", "5,000,000 won")):
        line = asker.locator("dt", has_text=label).locator("xpath=following-sibling::dd[1]")
        expect(line.first).to_have_text(value)
    press(asker, "Ask to call it off")
    expect(asker.get_by_text("A second person has to approve this.")).to_be_visible()
    expect(asker.get_by_role("link", name="Approve")).to_have_count(0)
    assert not run_jobs()
    sold_out.refresh_from_db()
    assert not sold_out.is_called_off

    second = work(ADMINISTRATOR, "Mina Seo")
    second.get_by_role("link", name="Waits for approval: Call off Night Garden").click()
    second.get_by_role("link", name="Approve").click()
    expect(second.get_by_text(ILL).first).to_be_visible()
    press(second, "Approve")
    expect(second.get_by_text("Approved: the job has started.")).to_be_visible()

    with monkeypatch.context() as patch:
        numbers = count(1)

        def die_in_the_twentieth() -> None:
            if next(numbers) == 20:
                raise Killed

        before(patch, GIVING_BACK_FOR_A_JOB, die_in_the_twentieth)
        with pytest.raises(Killed):
            run_jobs()
    orders = Reservation.objects.filter(performance=sold_out)
    assert orders.filter(status="CANCELLED").count() == 19
    job = StaffJob.objects.get()
    asker.reload()
    expect(asker.get_by_text(f"{job.rows_done} / {job.rows_total}").first).to_be_visible()
    while run_jobs():
        pass
    # The page loads itself anew while the job runs.
    expect(asker.get_by_text(f"{job.rows_total} / {job.rows_total}").first).to_be_visible()

    assert set(orders.values_list("status", "cancel_reason")) == {("CANCELLED", ILL)}
    assert Ticket.objects.filter(reservation__in=orders).count() == 500
    paid = Wallet.objects.filter(customer__in=orders.values("customer"))
    assert set(paid.values_list("balance", flat=True)) == {1_000_000}
    assert Reservation.objects.exclude(performance=sold_out).get().status == "CONFIRMED"
    consume_events()
    assert breaches() == []

    order = orders.order_by("pk")[0]
    shop = visit("phone", order.customer).open(f"/reservations/{order.pk}/")
    expect(shop.get_by_text(ILL).first).to_be_visible()
    expect(shop.locator(".ticket--void")).to_have_count(10)
    shop.goto("/wallet/")
    expect(shop.locator(".wallet__balance")).to_have_text("₩1,000,000")
    books = work(FINANCE, "Ha Lim")
    books.locator("#nav-sidebar").get_by_role("link", name="Reconciliation").click()
    books.get_by_label("What to add up").select_option(label="Everything")
    press(books, "Add up")
    expect(books.get_by_text("The books balance.")).to_be_visible()


def test_a_dead_delivery_is_replayed(
    work: Work, performance: Performance, settings: LazySettings
) -> None:
    seats = list(performance.seats.order_by("pk"))
    with serving() as platform:
        settings.WEBHOOK_URL = platform.url
        platform.status = 410
        mine, other = (reservation(CustomerFactory(), [seat]) for seat in seats[:2])
        drain(consumer="external_sync")
        platform.status = 204
        page = work(OPERATIONS)

        go_to(page, EventDelivery)
        rows = page.locator("#result_list tbody tr").filter(has_text="external_sync")
        rows.filter(has_text=mine.order_number).locator("th a").click()
        expect(page.get_by_text("410").first).to_be_visible()
        page.get_by_role("link", name="Replay").last.click()
        page.get_by_label("Reason").fill("Their key was renewed.")
        press(page, "Replay")
        expect(page.get_by_text("The delivery will be tried again.")).to_be_visible()
        drain(consumer="external_sync")

        page.reload()
        expect(page.get_by_text("Their key was renewed.").first).to_be_visible()
        assert str(mine.pk).encode() in platform.received[-1].body
        [dead] = EventDelivery.objects.dead()
        assert dead.event.payload["reservation_id"] == str(other.pk)


def test_a_stale_form_is_refused_with_what_has_changed(work: Work, transactional_db: None) -> None:
    room = WaitingRoomFactory(concert__title="Night Garden")
    WaitingRoomFactory()
    late, colleague = work(BOX_OFFICE, "Jun Park"), work(OPERATIONS, "Mina Seo")
    go_to(late, WaitingRoom, "Night Garden")
    late.get_by_label("Capacity").fill("60")
    late.get_by_label("Reason").fill("A smaller hall")

    go_to(colleague, WaitingRoom, "Night Garden")
    colleague.get_by_label("Capacity").fill("500")
    colleague.get_by_label("Reason").fill("A second hall")
    press(colleague, "Save")
    expect(colleague.locator("#result_list")).to_contain_text("500")
    press(late, "Save")

    expect(late.get_by_text("This was changed in the meantime.")).to_be_visible()
    expect(late.get_by_text("mina@encore.example: capacity: 50 → 500")).to_be_visible()
    room.refresh_from_db()
    assert room.capacity == 500
    assert PolicyChange.objects.count() == 1


def test_a_double_click_sells_once(
    work: Work, performance: Performance, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = work(BOX_OFFICE)
    open_date(page, performance, "Live seats")
    for name in ("Floor B A-1", "Floor B A-2"):
        page.get_by_label(f"Choose {name}", exact=True).check()
    page.get_by_role("button", name="Sell the chosen seats").click()
    page.get_by_label("Name of the walk-up").fill("Kim Minji")
    button = page.get_by_role("button", name="Sell for 198,000 won")
    button.scroll_into_view_if_needed()
    box = button.bounding_box()
    assert box

    is_sent, both = threading.Semaphore(0), threading.Barrier(2)

    def meet() -> None:
        is_sent.release()
        both.wait(PATIENCE)

    before(monkeypatch, CLAIMING_A_FORM, meet)
    for _ in range(2):
        # With the mouse, because a click of Playwright's waits for the answer.
        page.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
        assert is_sent.acquire(timeout=PATIENCE)

    expect(page.get_by_role("img", name="QR code of this ticket")).to_have_count(2)
    # The browser shows the answer to the second click, which may have been the faster one.
    said = re.compile(r"2 seats sold\.|It has not been carried out twice\.")
    expect(page.get_by_text(said).first).to_be_visible()
    assert Reservation.objects.count() == 1
    assert LedgerTransaction.objects.filter(type="PAYMENT").count() == 1
    assert breaches() == []
