"""The home page, the page of a concert, its poster."""

from datetime import timedelta
from xml.dom import minidom

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from apps.concerts.models import Concert, Performance
from apps.core.caching import clear_process_caches
from apps.queue.models import WaitingRoom
from apps.reservations.selectors import FEW_SEATS
from apps.storefront.posters import poster_svg
from tests.factories.concerts import ConcertFactory, PerformanceFactory, RankingEntryFactory
from tests.factories.queue import WaitingRoomFactory
from tests.storefront.rules import Page, StrictClient

pytestmark = pytest.mark.django_db


class TestHome:
    def test_shows_what_can_be_bought_and_what_opens(self):
        on_sale = PerformanceFactory(seats=1).concert
        soon = PerformanceFactory(concert=ConcertFactory(upcoming=True)).concert
        sold_out = PerformanceFactory(sold_out_at=timezone.now()).concert
        hidden = PerformanceFactory(concert__is_published=False).concert

        page = StrictClient().get("/").content.decode()

        opening, selling = page.split('id="soon"')[1].split('id="on-sale"')
        assert soon.title in opening
        assert on_sale.title in selling
        assert "from ₩50,000" in selling
        assert sold_out.title in selling
        assert "Sold out" in selling
        assert hidden.title not in page

    def test_tells_of_a_waiting_room_what_its_concert_page_tells(self):
        """Staff may close it, or open it later than the sale."""
        closed, later = (PerformanceFactory(seats=20).concert for _ in range(2))
        WaitingRoomFactory(concert=closed, state="CLOSED")
        WaitingRoomFactory(concert=later, opens_at=timezone.now() + timedelta(hours=2))

        cards = StrictClient().get("/").content.decode().split("<li")

        [card_of_closed] = [card for card in cards if f">{closed.title}<" in card]
        [card_of_later] = [card for card in cards if f">{later.title}<" in card]
        assert "Sales are over" in card_of_closed
        assert "Opens in" in card_of_later

    def test_tells_when_few_seats_are_left(self):
        plenty = PerformanceFactory(seats=FEW_SEATS + 1).concert
        few = PerformanceFactory(seats=FEW_SEATS).concert

        cards = StrictClient().get("/").content.decode().split('id="on-sale"')[1].split("<li")

        told = {
            concert.title: any(
                "Few seats left" in card for card in cards if f">{concert.title}<" in card
            )
            for concert in (plenty, few)
        }
        assert told == {plenty.title: False, few.title: True}
        for concert, is_told in ((few, True), (plenty, False)):
            page = StrictClient().get(f"/concerts/{concert.pk}/").content.decode()
            assert ("Few seats left" in page) is is_told

    def test_tells_what_is_called_off_altogether(self):
        called_off = {"called_off_at": timezone.now(), "called_off_reason": "Storm"}
        nothing_left = PerformanceFactory(seats=1, seats__price=70_000, **called_off).concert
        one_left = PerformanceFactory(seats=1, seats__price=80_000, **called_off).concert
        PerformanceFactory(
            concert=one_left, seats=FEW_SEATS + 1, starts_at=timezone.now() + timedelta(days=50)
        )

        cards = StrictClient().get("/").content.decode().split('id="on-sale"')[1].split("<li")

        [gone] = [card for card in cards if f">{nothing_left.title}<" in card]
        [left] = [card for card in cards if f">{one_left.title}<" in card]
        assert "Called off" in gone
        assert "₩70,000" not in gone
        assert "Called off" not in left
        assert "from ₩50,000" in left

    def test_counts_down_to_what_opens_within_a_day(self):
        PerformanceFactory(concert=ConcertFactory(upcoming=True))
        PerformanceFactory(concert__sales_open_at=timezone.now() + timedelta(days=3))

        page = Page(StrictClient().get("/"))

        [seconds] = [span["data-seconds"] for span in page.all("span") if "data-seconds" in span]
        assert 3_500 < float(seconds or 0) <= 3_600

    def test_finds_words_in_title_artist_and_venue(self):
        wanted = ConcertFactory(title="Paper Moon", artist="The Lanterns")
        other = ConcertFactory(title="Glass Sun")

        for text in ("moon lanterns", "moon lantens"):
            page = StrictClient().get("/", {"q": text}).content.decode()

            assert wanted.title in page
            assert other.title not in page
            assert "1 concert" in page

    def test_says_when_nothing_is_found_or_on_sale(self):
        assert "Nothing found" in StrictClient().get("/?q=xyz").content.decode()
        assert "Nothing is on sale" in StrictClient().get("/").content.decode()

    def test_pages_through_many(self):
        ConcertFactory.create_batch(13)

        first, second = (
            StrictClient().get(f"/?page={number}").content.decode() for number in (1, 2)
        )

        assert (first.count('class="card"'), second.count('class="card"')) == (12, 1)
        assert 'href="?page=2"' in first

    def test_shows_how_concerts_moved_in_the_ranking(self):
        rising, falling, fresh = PerformanceFactory.create_batch(3)
        yesterday = timezone.now() - timedelta(days=1, hours=1)
        for number, date in ((3, falling), (2, rising)):
            RankingEntryFactory.create_batch(number, performance=date, occurred_at=yesterday)
        RankingEntryFactory.create_batch(5, performance=rising)
        RankingEntryFactory(performance=fresh)

        page = StrictClient().get("/").content.decode()

        rows = page.split("ranking__item")[1:]
        for date, row in zip((rising, falling, fresh), rows, strict=True):
            assert date.concert.title in row
        assert "up 1 rank" in rows[0]
        assert "down 1 rank" in rows[1]
        assert "New" in rows[2]

    @pytest.mark.parametrize("length", [1, 12])
    def test_costs_the_same_for_many(self, length: int, browser: Client):
        for _ in range(length):
            RankingEntryFactory(performance=PerformanceFactory(seats=2))
            PerformanceFactory(concert=ConcertFactory(upcoming=True))
        clear_process_caches()

        with CaptureQueriesContext(connection) as captured:
            browser.get("/")

        # Session and user; whether there is a hold; which concerts have no date; how many and which there are; those that open soon; the cheapest seats;
        # doors; who has few; the ranking of today with its concerts, and that of yesterday, which has none.
        assert len(captured) == 2 + 1 + 3 + 1 + 3 + 2 + 1, [query["sql"] for query in captured]


class TestConcert:
    def offer(self, concert: Concert, client: Client | None = None) -> str:
        """The panel with the one button."""
        page = (client or StrictClient()).get(f"/concerts/{concert.pk}/").content.decode()
        return page.split("concert__offer")[1].split("</section>")[0]

    def test_lets_customers_join_and_strangers_log_in_first(
        self, browser: Client, performance: Performance
    ):
        concert = performance.concert

        assert "Join the queue" in self.offer(concert, browser)
        assert f'action="/concerts/{concert.pk}/queue/"' in self.offer(concert, browser)
        assert f'action="/concerts/{concert.pk}/queue/"' in self.offer(concert)
        assert "Log in to join the queue" in self.offer(concert)

    def test_lets_customers_join_before_the_opening(self, browser: Client):
        concert = PerformanceFactory(
            concert__sales_open_at=timezone.now() + timedelta(minutes=20)
        ).concert

        offer = self.offer(concert, browser)

        assert "Join the queue" in offer
        assert "by lot" in offer
        assert "data-seconds" in offer

    def test_tells_when_joining_begins(self, browser: Client):
        concert = PerformanceFactory(
            concert__sales_open_at=timezone.now() + timedelta(hours=3)
        ).concert
        WaitingRoomFactory(concert=concert, lottery_window=timedelta(minutes=30))

        offer = self.offer(concert, browser)

        assert "<form" not in offer
        assert "Opens in" in offer
        assert "3:00:00" in offer

    def test_tells_the_day_of_a_distant_opening(self):
        concert = PerformanceFactory(
            concert__sales_open_at=timezone.now() + timedelta(days=9)
        ).concert

        assert "data-seconds" not in self.offer(concert)

    def test_says_why_nothing_can_be_bought(self, browser: Client):
        for concert, words in (
            (PerformanceFactory(sold_out_at=timezone.now()).concert, "Sold out"),
            (PerformanceFactory(concert=ConcertFactory(closed=True)).concert, "Sales are over"),
            (
                PerformanceFactory(called_off_at=timezone.now(), called_off_reason="Storm").concert,
                "What was still to come has been called off.",
            ),
            (ConcertFactory(), "Dates follow"),
        ):
            offer = self.offer(concert, browser)

            assert words in offer
            assert "<form" not in offer

    def test_follows_the_state_of_the_waiting_room(self, browser: Client, performance: Performance):
        room = WaitingRoomFactory(concert=performance.concert, state=WaitingRoom.State.PAUSED)

        assert "paused" in self.offer(room.concert, browser)

        WaitingRoom.objects.update(state=WaitingRoom.State.CLOSED)
        clear_process_caches()

        assert "Sales are over" in self.offer(room.concert, browser)

    def test_tells_prices_dates_and_rules(self, performance: Performance):
        page = StrictClient().get(f"/concerts/{performance.concert_id}/").content.decode()

        assert "₩50,000" in page
        assert "up to 4 seats" in page
        assert "24 hours before" in page

    def test_has_a_poster_that_browsers_keep(self, performance: Performance):
        path = f"/concerts/{performance.concert_id}/poster.svg"

        drawn = StrictClient().get(path)
        again = StrictClient().get(path, headers={"If-None-Match": drawn.headers["ETag"]})

        assert drawn.headers["Content-Type"] == "image/svg+xml"
        assert "max-age" in drawn.headers["Cache-Control"]
        assert again.status_code == 304


class TestPoster:
    @pytest.mark.parametrize(
        "title",
        [
            "A",
            "은하수를 건너는 밤",
            "긴" * 200,
            "W" * 200,
            "many words " * 18,
            "<b>&\"'\x00\x0b\ufffe]]>",
            "",
            "🎻 e\u0301",
        ],
    )
    def test_is_well_formed_whatever_the_title(self, title: str):
        for seed in range(1, 64):
            drawn = poster_svg(seed=seed, title=title, artist=title)

            picture = minidom.parseString(drawn).documentElement  # noqa: S318  our own
            assert picture is not None
            assert picture.getAttribute("viewBox") == "0 0 400 560"

    def test_is_the_same_every_time_and_another_for_the_next_concert(self):
        first, same, other = (
            poster_svg(seed=seed, title="Night Train", artist="The Lanterns") for seed in (7, 7, 8)
        )

        assert first == same
        assert first != other
