"""The tasks of staff at a sale, each in a browser, by the clerk who has to do it; `docs/box-office.md` tells the same in words."""

import re
from datetime import timedelta

import pytest
from django.contrib.auth.models import Group
from django.db.models import Model
from django.utils import timezone
from playwright.sync_api import Locator, Page, expect

from apps.accounts.models import User
from apps.boxoffice.roles import BOX_OFFICE, FINANCE, OPERATIONS, set_roles
from apps.concerts.models import Concert, Performance
from apps.outbox.draining import drain
from apps.outbox.models import EventDelivery
from apps.payments.models import LedgerTransaction
from apps.payments.selectors import wallet_balance
from apps.queue.models import PolicyChange, QueueExit, WaitingRoom
from apps.queue.services import join_queue, remove_visitor, set_capacity
from apps.reservations.models import Reservation
from tests.boxoffice.staff import list_of, page_of
from tests.browser.conftest import Join, StartVisit
from tests.browser.waiting import full_room, queue_up
from tests.factories.accounts import CustomerFactory
from tests.factories.concerts import PerformanceFactory
from tests.factories.queue import WaitingRoomFactory
from tests.factories.reservations import hold, reservation
from tests.protections import without_triggers
from tests.reservations.platform import serving

WHY = "The payment network is slow. Nobody loses a place."


def staff_of(role: str, name: str = "Jun Park") -> User:
    set_roles(using="default")
    clerk: User = CustomerFactory(
        staff=True, name=name, email=f"{name.split()[0].lower()}@encore.example"
    )
    clerk.groups.add(Group.objects.get(name=role))
    return clerk


@pytest.fixture
def work(visit: StartVisit):
    """`work(BOX_OFFICE)` returns the front page of the admin, as a clerk of that role sees it."""

    def start(role: str, **how: object) -> Page:
        return visit("desktop", staff_of(role), **how).open("/admin/")

    return start


def go_to(page: Page, model: type[Model], row: str | None = None) -> None:
    """Follow the navigation to the list of some objects, and from there the link of one of them."""
    page.locator(f'a[href="{list_of(model)}"]').first.click()
    if row is not None:
        page.locator("#result_list").get_by_role("link", name=row).first.click()


def press(page: Page, name: str) -> None:
    """Press the button of a form, or the link of a page that looks like one."""
    page.get_by_role("button", name=name, exact=True).last.click()


def test_pause_the_queue_and_tell_the_waiting_why(work, join: Join, transactional_db: None) -> None:
    concert = full_room(concert__title="Paper Lanterns")
    PerformanceFactory(concert=concert, seats=10)
    queue_up(concert, 2)
    visitor = join(concert)
    page = work(BOX_OFFICE)

    go_to(page, WaitingRoom, "Paper Lanterns")
    page.get_by_role("link", name="Pause").click()
    page.get_by_label("Reason").fill(WHY)
    press(page, "Pause")

    expect(page.get_by_text("The waiting room is paused.")).to_be_visible()
    paused = visitor.locator('[data-when="PAUSED"]')
    expect(paused).to_be_visible()
    expect(paused).to_contain_text(WHY)

    page.get_by_role("link", name="Notify those who wait").click()
    page.get_by_label("Text in Korean").fill("10분 뒤에 다시 시작합니다.")
    page.get_by_label("Text in English").fill("We go on in ten minutes.")
    press(page, "Preview")
    expect(page.locator("dd").first).to_have_text("3")
    expect(page.locator("blockquote")).to_have_text(
        ["10분 뒤에 다시 시작합니다.", "We go on in ten minutes."]
    )
    expect(visitor.get_by_text("We go on in ten minutes.")).to_have_count(0)
    press(page, "Send")

    expect(visitor.locator('[data-slot="notice"]')).to_have_text("We go on in ten minutes.")
    page.get_by_role("link", name="Resume").click()
    press(page, "Resume")
    expect(paused).to_be_hidden()


def seats_menu(page: Page) -> Locator:
    """Return what unfolds the pages about the seats of a performance."""
    return page.locator("#header-inner a", has_text=re.compile("Seats")).first


def test_change_a_price_before_the_sale(work, visit: StartVisit, performance: Performance) -> None:
    customer = visit("desktop").open(f"/concerts/{performance.concert_id}/")
    expect(customer.get_by_text("₩99,000").first).to_be_visible()
    page = work(BOX_OFFICE)

    go_to(page, Performance)
    page.locator("#result_list tbody a").first.click()
    seats_menu(page).click()
    page.get_by_role("link", name="Correct prices").click()
    page.get_by_label("R, price in won").fill("88,000")
    press(page, "Correct prices")

    expect(page.get_by_text("12 prices changed.")).to_be_visible()
    customer.reload()
    expect(customer.get_by_text("₩88,000").first).to_be_visible()


def test_who_changed_the_capacity(work, transactional_db: None) -> None:
    other, room = WaitingRoomFactory.create_batch(2)
    Concert.objects.filter(pk=room.concert_id).update(title="Night Garden")
    boss = CustomerFactory(staff=True, email="mina@encore.example")
    by = {"staff_id": boss.pk, "reason": "More ushers"}
    set_capacity(concert_id=other.concert_id, capacity=70, staff_id=boss.pk)
    set_capacity(concert_id=room.concert_id, capacity=80, **by)
    page = work(BOX_OFFICE)

    go_to(page, PolicyChange)
    page.locator("#searchbar").fill("night garden")
    page.keyboard.press("Enter")

    row = page.locator("#result_list tbody tr")
    expect(row).to_have_count(1)
    for words in ("capacity", "50", "80", "More ushers", "mina@encore.example"):
        expect(row).to_contain_text(words)


def test_replay_a_failed_webhook(work, performance: Performance, settings) -> None:
    with serving() as platform:
        settings.WEBHOOK_URL = platform.url
        platform.status = 410
        reserved = reservation(CustomerFactory(), list(performance.seats.all())[:1])
        drain(consumer="external_sync")
        platform.status = 204
        page = work(OPERATIONS)

        go_to(page, EventDelivery)
        page.locator("a", has_text="Filters").click()
        page.get_by_role("link", name="dead").click()
        row = page.locator("#result_list tbody tr")
        expect(row).to_contain_text("410")
        row.get_by_role("checkbox").check()
        page.get_by_label("Select action to run").select_option(label="Replay dead deliveries")
        page.get_by_role("button", name="Run").click()
        expect(page.get_by_text("1 delivery will be tried again.")).to_be_visible()
        drain(consumer="external_sync")

        assert str(reserved.pk).encode() in platform.received[-1].body
        assert not EventDelivery.objects.dead().exists()


def test_find_the_order_of_a_caller_by_name(work, performance: Performance) -> None:
    seats = list(performance.seats.order_by("pk"))
    reservation(CustomerFactory(name="Bo Lind"), seats[2:3])
    mine = reservation(CustomerFactory(name="Zoë Ångström"), seats[:2])
    page = work(BOX_OFFICE)

    go_to(page, Reservation)
    page.locator("#searchbar").fill("zoe angstrom")
    page.keyboard.press("Enter")
    rows = page.locator("#result_list tbody tr")
    expect(rows).to_have_count(1)
    rows.locator("a").first.click()

    for ticket in mine.tickets.all():
        expect(page.get_by_text(ticket.printed_code).first).to_be_visible()
    expect(page.get_by_text("Paper Lanterns").first).to_be_visible()


def test_why_a_customer_lost_the_place(work, transactional_db: None) -> None:
    concert, other = (room.concert for room in WaitingRoomFactory.create_batch(2))
    customer = CustomerFactory(name="Mina Seo", email="mina@example.com")
    boss = CustomerFactory(staff=True, email="boss@encore.example")
    for visitor in (customer, CustomerFactory()):
        for visited in (concert, other):
            join_queue(customer_id=visitor.pk, concert_id=visited.pk)
    remove_visitor(
        concert_id=concert.pk, customer_id=customer.pk, staff_id=boss.pk, reason="Resold places"
    )
    page = work(BOX_OFFICE)

    go_to(page, QueueExit)
    page.locator("#searchbar").fill("mina seo")
    page.keyboard.press("Enter")
    rows = page.locator("#result_list tbody tr")
    expect(rows).to_have_count(1)
    expect(rows).to_contain_text("removed by staff")

    go_to(page, PolicyChange)
    removal = page.locator("#result_list tbody tr").filter(has_text="removed_visitor")
    expect(removal).to_contain_text("Resold places")
    expect(removal).to_contain_text("boss@encore.example")


def test_refund_one_of_two_seats(work, visit: StartVisit, performance: Performance) -> None:
    customer = CustomerFactory(name="Mina Seo")
    seats = list(performance.seats.order_by("pk"))
    reservation(CustomerFactory(), seats[4:6])
    mine = reservation(customer, seats[:2])
    page = work(BOX_OFFICE)

    go_to(page, Reservation)
    page.locator("#searchbar").fill("mina seo")
    page.keyboard.press("Enter")
    page.locator("#result_list tbody a").first.click()
    page.get_by_role("link", name="Cancel or refund").click()
    page.get_by_label(str(seats[1])).check()
    page.get_by_label("Reason").fill("A pillar stands before it.")
    press(page, "Preview")
    expect(page.get_by_text("This is what will be done")).to_be_visible()
    press(page, "Carry out")
    page.wait_for_url(f"**{page_of(mine)}")

    shop = visit("desktop", customer).open(f"/reservations/{mine.pk}/")
    expect(shop.locator(".ticket")).to_have_count(2)
    expect(shop.locator(".ticket--void")).to_have_count(1)
    expect(shop.get_by_text("A pillar stands before it.").first).to_be_visible()
    assert wallet_balance(customer_id=customer.pk) == 1_000_000 - seats[0].price


def test_see_how_the_sale_goes(work, performance: Performance) -> None:
    seats = list(performance.seats.order_by("pk"))
    queue_up(performance.concert, 3)
    reservation(CustomerFactory(), seats[:2])
    hold(CustomerFactory(), seats[2:3])
    page = work(BOX_OFFICE)

    go_to(page, Concert, "Paper Lanterns")
    page.get_by_role("link", name="Cockpit").first.click()

    expect(page.get_by_role("heading", name="Seats", exact=True)).to_be_visible()
    figures = page.locator("[data-figures]")
    expect(figures).to_contain_text("VIP")
    expect(figures).to_contain_text("330,000")


def test_yesterdays_sales_for_finance(work, performance: Performance) -> None:
    seats = list(performance.seats.order_by("pk"))
    yesterday = timezone.now() - timedelta(days=1)
    for bought in (seats[:2], seats[12:13]):
        made = reservation(CustomerFactory(), bought)
        with without_triggers():
            LedgerTransaction.objects.filter(reference=made.pk).update(created_at=yesterday)
    reservation(CustomerFactory(), seats[5:6])
    page = work(FINANCE)

    go_to(page, LedgerTransaction)
    page.get_by_role("link", name="Sales by concert and day").first.click()
    page.get_by_role("link", name="Yesterday").click()

    row = page.locator("table tbody tr").filter(has_text="Paper Lanterns")
    expect(row).to_have_count(1)
    expect(row).to_contain_text("429,000")


def test_keep_ten_house_seats_back(work, performance: Performance) -> None:
    page = work(BOX_OFFICE)

    go_to(page, Performance)
    page.locator("#result_list tbody a").first.click()
    seats_menu(page).click()
    page.locator('a[href*="open_inventory"]').click()
    page.locator("select[name=section]").select_option(label="Floor A")
    page.get_by_label("Seat numbers").fill("1-5")
    page.locator("select[name=to]").select_option(label="House")
    page.get_by_label("Reason").fill("For the promoter's guests")
    press(page, "Change these seats")

    expect(page.get_by_text("10").first).to_be_visible()
    assert performance.seats.filter(is_blocked=True).count() == 10
