"""The tasks of staff at a sale, each in a browser, by the clerk who has to do it; `docs/box-office.md` tells the same in words."""

import re
from datetime import timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

from django.conf import LazySettings, settings
from django.utils import timezone
from playwright.sync_api import Locator, Page, expect

from apps.boxoffice.roles import BOX_OFFICE, FINANCE, OPERATIONS
from apps.concerts.models import Concert, InventoryCategory, Performance, SeatAllocation
from apps.outbox.draining import drain
from apps.outbox.models import EventDelivery
from apps.payments.models import LedgerTransaction
from apps.payments.selectors import wallet_balance
from apps.queue.models import PolicyChange, QueueExit, WaitingRoom
from apps.queue.services import join_queue, remove_visitor, set_capacity
from apps.reservations.models import Reservation
from tests.browser.conftest import Join, StartVisit, Work
from tests.browser.seat_map import add_date, seat
from tests.browser.staff import find_order, go_to, open_date, press, search
from tests.browser.test_counter import click_seat
from tests.browser.test_painting import change, draw_around
from tests.browser.waiting import admit, full_room, queue_up
from tests.factories.accounts import CustomerFactory
from tests.factories.concerts import PerformanceFactory, block_seats, keep_back
from tests.factories.queue import WaitingRoomFactory
from tests.factories.reservations import hold, reservation
from tests.protections import without_triggers
from tests.reservations.platform import serving

DOCS = Path(__file__).parents[2] / "docs" / "box-office.md"
WHY = "The payment network is slow. Nobody loses a place."
TICKET = "QR code of this ticket"


class Newcomer:
    """Clicks what the docs name, types, and counts it all; `followed` are the names of what was clicked."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.followed: list[str] = []
        self.clicks = self.fields = self.pages = 0
        page.on("load", self._count_page)

    def _count_page(self, _page: Page) -> None:
        self.pages += 1

    def click(self, name: str, at: Locator | None = None) -> None:
        self.followed.append(name)
        if at is None:
            called = re.compile(rf"(^|\s){re.escape(name)}$")  # behind an icon
            buttons = self.page.get_by_role("button", name=called)
            at = buttons.or_(self.page.get_by_role("link", name=called)).last
        self.point(at)

    def point(self, at: Locator) -> None:
        """Click what the docs do not name, because it is the newcomer's own: a date, a seat."""
        self.clicks += 1
        at.click()
        self.page.wait_for_load_state()

    def turn_to(self, name: str) -> None:
        self.click(name, self.page.locator("#nav-sidebar").get_by_role("link", name=name).first)

    def type(self, field: str, text: str) -> None:
        """Type into a field, by its name in the form or by its label."""
        named = self.page.locator(f'[name="{field}"]')
        self.fields += 1
        named.or_(self.page.get_by_label(field, exact=True)).first.fill(text)


def part_of_docs(heading: str) -> str:
    return DOCS.read_text().partition(f"## {heading}\n")[2].partition("\n## ")[0]


class TestBeforeTheSale:
    def test_put_two_dates_of_a_hall_with_aisles_on_sale_and_sell_a_seat(
        self, work: Work, visit: StartVisit, transactional_db: None
    ) -> None:
        """Follow the docs click by click: they say how many there are, and that is as many as a newcomer may have to learn."""
        newcomer = Newcomer(work(BOX_OFFICE))
        page = newcomer.page
        now = timezone.now().astimezone(ZoneInfo(settings.VENUE_TIME_ZONE))

        newcomer.turn_to("Concerts")
        newcomer.click("Add concert")
        for label, text in (
            ("title", "Night Garden"),
            ("artist", "Ada Lund"),
            ("venue", "Harbour Hall"),
            ("sales_open_at_0", f"{now - timedelta(days=1):%Y-%m-%d}"),
            ("sales_open_at_1", "10:00"),
        ):
            newcomer.type(label, text)
        for number in range(2):
            words = "Add another Performance"
            newcomer.click(words, page.get_by_text(words))
            day = now + timedelta(days=30 + number)
            newcomer.type(f"performances-{number}-starts_at_0", f"{day:%Y-%m-%d}")
            newcomer.type(f"performances-{number}-starts_at_1", "19:30")
        newcomer.click("Save and continue editing")

        newcomer.click("Generate seats")
        for field, text in (
            ("name", "Stalls"),
            ("rows", "20"),
            ("seats_per_row", "20"),
            ("price", "88,000"),
        ):
            newcomer.type(f"form-0-{field}", text)
        words = "Aisles, numbers and names of rows"
        newcomer.click(words, page.get_by_text(words).first)
        newcomer.type("form-0-aisles", "5, 15")
        newcomer.click("Preview")
        expect(page.get_by_role("heading", name="400 seats")).to_be_visible()
        newcomer.click("Generate seats")

        newcomer.click("Publish")
        newcomer.click("Publish")

        shop = visit("desktop").open(f"/concerts/{Concert.objects.get().pk}/")
        expect(shop.get_by_text("₩88,000").first).to_be_visible()
        newcomer.turn_to("Counter")
        newcomer.point(page.locator("table a").first)
        newcomer.point(page.get_by_label("Choose Stalls A-10", exact=True))
        newcomer.click("Sell the chosen seats")
        newcomer.type("Name of the walk-up", "Kim Minji")
        newcomer.click("Sell for 88,000 won")

        expect(page.get_by_role("img", name=TICKET)).to_have_count(1)
        first, second = Performance.objects.by_date()
        for performance in (first, second):
            row = list(performance.seats.filter(row="A").order_by("x"))
            assert performance.seats_total == 400
            assert [seat.x - row[0].x for seat in row[4:6]] == [4, 6]
        assert Reservation.objects.get().performance == first
        docs = part_of_docs("A first sale in ten minutes")
        assert newcomer.followed == re.findall(r"(?<!\*)\*([^*]+)\*(?!\*)", docs)
        effort = f"{newcomer.clicks} clicks, {newcomer.fields} fields, {newcomer.pages} pages"
        assert effort in docs
        assert newcomer.clicks + newcomer.fields < 40, effort

    def test_block_ten_house_seats_on_the_map(self, work: Work, performance: Performance) -> None:
        page = work(BOX_OFFICE)

        open_date(page, performance, "Inventory", among="Seats")
        draw_around(page, performance, "Floor A A-1", "Floor A B-5")
        change(page, "House")

        expect(page.get_by_text("10 seats changed.")).to_be_visible()
        kept = SeatAllocation.objects.filter(category__code=InventoryCategory.Code.HOUSE)
        assert {str(allocation.seat) for allocation in kept.select_related("seat")} == {
            f"Floor A {row}-{number}" for row in "AB" for number in range(1, 6)
        }

    def test_change_a_price_before_the_sale(
        self, work: Work, visit: StartVisit, performance: Performance
    ) -> None:
        opens_at = timezone.now() + timedelta(hours=3)
        Concert.objects.filter(pk=performance.concert_id).update(sales_open_at=opens_at)
        customer = visit("desktop").open(f"/concerts/{performance.concert_id}/")
        expect(customer.get_by_text("₩99,000").first).to_be_visible()
        page = work(BOX_OFFICE)

        open_date(page, performance, "Correct prices", among="Seats")
        page.get_by_label("R, price in won").fill("88,000")
        press(page, "Correct prices")

        expect(page.get_by_text("12 prices changed.")).to_be_visible()
        customer.reload()
        expect(customer.get_by_text("₩88,000").first).to_be_visible()
        expect(customer.get_by_text("₩99,000")).to_have_count(0)


class TestDuringTheSale:
    def test_see_how_the_sale_goes(self, work: Work, performance: Performance) -> None:
        seats = list(performance.seats.order_by("pk"))
        queue_up(performance.concert, 3)
        reservation(CustomerFactory(), seats[:2])
        hold(CustomerFactory(), seats[2:3])
        page = work(BOX_OFFICE)

        go_to(page, Concert, "Paper Lanterns")
        page.get_by_role("link", name="Cockpit").first.click()

        figures = page.locator("[data-figures]")
        expect(figures.locator('[data-part="queue"] dd').first).to_have_text("3")
        expect(figures.locator('[data-part="sales"]')).to_contain_text("330,000")
        expect(figures.locator('[data-part="holds"] dd').first).to_have_text("1")
        vip = figures.locator('[data-part="seats"] tbody tr').filter(has_text="VIP")
        expect(vip.get_by_role("cell")).to_contain_text(["for sale", "9", "1", "2"])

    def test_pause_the_queue_tell_the_waiting_why_and_go_on(
        self, work: Work, join: Join, transactional_db: None
    ) -> None:
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
        set_capacity(concert_id=concert.pk, capacity=4, staff_id=None)
        assert admit(concert) == 0
        page.get_by_role("link", name="Resume").click()
        press(page, "Resume")
        expect(page.get_by_text("The waiting room goes on.")).to_be_visible()
        assert admit(concert) == 3
        visitor.wait_for_url(re.compile("/seats/"))

    def test_why_a_customer_lost_the_place(self, work: Work, transactional_db: None) -> None:
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
        rows = search(page, "mina seo")
        expect(rows).to_have_count(1)
        expect(rows).to_contain_text("removed by staff")

        go_to(page, PolicyChange)
        removal = page.locator("#result_list tbody tr").filter(has_text="removed visitor")
        expect(removal).to_contain_text("Resold places")
        expect(removal).to_contain_text("boss@encore.example")


class TestAtTheCounter:
    def test_one_of_the_kept_house_seats(
        self, work: Work, visit: StartVisit, performance: Performance
    ) -> None:
        house = [seat(performance, f"Floor A A-{number}") for number in range(1, 6)]
        block_seats(seat_ids=[kept.pk for kept in house])
        keep_back(seat(performance, "Floor B B-6"), category=InventoryCategory.Code.KILLED)
        page = work(BOX_OFFICE)

        open_date(page, performance, "Live seats")
        page.get_by_label("Status").select_option(label="kept back")
        press(page, "Show")
        expect(page.locator("[data-list] tbody tr")).to_have_count(6)
        expect(page.get_by_label("Choose Floor B B-6", exact=True)).to_have_count(0)
        page.get_by_label("Choose Floor A A-2", exact=True).check()
        page.get_by_role("button", name="Sell the chosen seats").click()
        expect(page.get_by_role("row", name=re.compile("Floor A A-2"))).to_contain_text("House")
        page.get_by_label("Name of the walk-up").fill("Kim Minji")
        page.get_by_role("button", name="Sell for 165,000 won").click()

        expect(page.get_by_role("img", name=TICKET)).to_have_count(1)
        sold = Reservation.objects.get()
        assert [ticket.seat for ticket in sold.tickets.all()] == house[1:2]
        assert sold.customer.name == "Kim Minji"
        assert SeatAllocation.objects.count() == 6  # it returns to the house if it is refunded

    def test_a_walk_up_sale(self, work: Work, performance: Performance) -> None:
        page = work(BOX_OFFICE)

        open_date(page, performance, "Live seats")
        expect(page.locator(".picture__frame")).to_be_visible()
        for name in ("Floor B A-1", "Floor B A-2"):
            click_seat(page, seat(performance, name))
            expect(page.get_by_label(f"Choose {name}", exact=True)).to_be_checked()
        page.get_by_role("button", name="Sell the chosen seats").click()
        page.get_by_label("Name of the walk-up").fill("Kim Minji")
        page.get_by_role("button", name="Sell for 198,000 won").click()

        expect(page.get_by_role("img", name=TICKET)).to_have_count(2)
        assert Reservation.objects.get().customer.name == "Kim Minji"

    def test_a_complimentary_ticket(self, work: Work, performance: Performance) -> None:
        page = work(BOX_OFFICE)

        open_date(page, performance, "Live seats")
        page.get_by_label("Choose Floor A A-3", exact=True).check()
        page.get_by_role("button", name="Sell the chosen seats").click()
        page.get_by_label("Name of the walk-up").fill("Lee Press")
        page.locator("[name=paid_by][value=HOUSE]").check()
        page.get_by_label("Reason").fill("Press")
        page.get_by_role("button", name=re.compile("^Sell for")).click()

        expect(page.get_by_role("img", name=TICKET)).to_have_count(1)
        assert LedgerTransaction.objects.filter(reason="Press").exists()


class TestCustomers:
    def test_find_the_order_of_a_caller_by_name(self, work: Work, performance: Performance) -> None:
        seats = list(performance.seats.order_by("pk"))
        reservation(CustomerFactory(name="Bo Lind"), seats[2:3])
        mine = reservation(CustomerFactory(name="Zoë Ångström"), seats[:2])
        page = work(BOX_OFFICE)

        find_order(page, "zoe angstrom")

        for ticket in mine.tickets.all():
            expect(page.get_by_text(ticket.printed_code).first).to_be_visible()
        expect(page.get_by_text("Paper Lanterns").first).to_be_visible()

    def test_refund_one_of_two_seats(
        self, work: Work, visit: StartVisit, performance: Performance
    ) -> None:
        customer = CustomerFactory(name="Mina Seo")
        seats = list(performance.seats.order_by("pk"))
        reservation(CustomerFactory(), seats[4:6])
        mine = reservation(customer, seats[:2])
        page = work(BOX_OFFICE)

        find_order(page, "mina seo")
        page.get_by_role("link", name="Cancel or refund").click()
        page.get_by_label(str(seats[1])).check()
        page.get_by_label("Reason").fill("A pillar stands before it.")
        press(page, "Preview")
        expect(page.get_by_text("This is what will be done")).to_be_visible()
        press(page, "Carry out")
        expect(page.get_by_role("link", name="Cancel or refund")).to_be_visible()

        shop = visit("desktop", customer).open(f"/reservations/{mine.pk}/")
        expect(shop.locator(".ticket")).to_have_count(2)
        expect(shop.locator(".ticket--void")).to_have_count(1)
        expect(shop.get_by_text("A pillar stands before it.").first).to_be_visible()
        assert wallet_balance(customer_id=customer.pk) == 1_000_000 - seats[0].price

    def test_move_a_customer_to_another_date(self, work: Work, performance: Performance) -> None:
        later = add_date(performance.concert, days=1)
        customer = CustomerFactory(name="Mina Seo")
        booked = reservation(customer, list(performance.seats.filter(section="Floor B")[:2]))
        page = work(BOX_OFFICE)

        find_order(page, "mina seo")
        page.get_by_role("link", name="Move to other seats").click()
        page.locator("#performance").select_option(str(later.pk))
        page.locator("#seats").fill("Floor B B-1, Floor B B-2")
        page.get_by_role("button", name="Show the difference").click()
        expect(page.get_by_text("There is no difference in price.")).to_be_visible()
        page.get_by_label("Reason").fill("Asked by phone")
        page.get_by_role("button", name="Move the customer").click()

        expect(page.get_by_role("img", name=TICKET)).to_have_count(2)
        moved = Reservation.objects.get(customer=customer, status="CONFIRMED")
        assert moved.performance == later
        booked.refresh_from_db()
        assert booked.status == "CANCELLED"


class TestAfterwards:
    def test_yesterdays_sales_for_finance(self, work: Work, performance: Performance) -> None:
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

    def test_replay_a_failed_webhook(
        self, work: Work, performance: Performance, settings: LazySettings
    ) -> None:
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

    def test_who_changed_the_capacity(self, work: Work, transactional_db: None) -> None:
        other, room = WaitingRoomFactory.create_batch(2)
        Concert.objects.filter(pk=room.concert_id).update(title="Night Garden")
        boss = CustomerFactory(staff=True, email="mina@encore.example")
        set_capacity(concert_id=other.concert_id, capacity=70, staff_id=boss.pk)
        set_capacity(
            concert_id=room.concert_id, capacity=80, staff_id=boss.pk, reason="More ushers"
        )
        page = work(BOX_OFFICE)

        go_to(page, PolicyChange)
        row = search(page, "night garden")

        expect(row).to_have_count(1)
        for words in ("capacity", "50", "80", "More ushers", "mina@encore.example"):
            expect(row).to_contain_text(words)
