"""Every page for strangers and customers: what it answers, what it refuses, and that it keeps to the rules of all pages."""

from collections.abc import Iterator
from datetime import timedelta
from html.parser import HTMLParser
from itertools import pairwise
from typing import Any
from uuid import UUID, uuid4
from xml.dom import minidom

import pytest
from django.conf import settings as project
from django.db import OperationalError, connection
from django.template import loader
from django.test import Client, RequestFactory
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from django.views.csrf import csrf_failure
from django.views.defaults import server_error

from apps.accounts.models import User
from apps.concerts.models import Concert, Performance
from apps.payments.models import LedgerTransaction
from apps.payments.selectors import wallet_balance
from apps.queue.models import WaitingRoom
from apps.reservations.models import Hold, Reservation
from apps.reservations.selectors import FEW_SEATS
from apps.shared.caching import forget_everything
from apps.storefront.posters import poster_svg
from tests.factories.accounts import PASSWORD, CustomerFactory
from tests.factories.concerts import ConcertFactory, PerformanceFactory, RankingEntryFactory
from tests.factories.payments import WalletFactory
from tests.factories.queue import WaitingRoomFactory
from tests.factories.reservations import hold, overdue_hold, reservation

pytestmark = pytest.mark.django_db

EVIL = [
    "//evil.example/",
    "https://evil.example/",
    "javascript:alert(1)",
    "\\\\evil.example",
    "/\\evil.example",
    "evil",
    "storefront:wallet",
]
HUGE = "9" * 5_000


class Page(HTMLParser):
    """What the rules for all pages look at."""

    def __init__(self, response: Any) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.inline: list[str] = []
        self._inside = ""
        self.feed(response.content.decode())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self._inside = tag

    def handle_endtag(self, tag: str) -> None:
        self._inside = ""

    def handle_data(self, data: str) -> None:
        if self._inside in ("script", "style") and data.strip():
            kind = dict(self.tags[-1][1]).get("type")
            if kind != "application/json":
                self.inline.append(data)

    def all(self, tag: str) -> Iterator[dict[str, str | None]]:
        return (attributes for name, attributes in self.tags if name == tag)

    def value(self, name: str) -> str:
        """Of the last field with this name: the first `next` is that of the language switch."""
        *_, found = (field for field in self.all("input") if field.get("name") == name)
        return found["value"] or ""


def assert_keeps_the_rules(response: Any) -> None:
    """Nothing inline, nothing from elsewhere; one heading; every field named; every id once; headings in order."""
    page = Page(response)
    policy = response.headers["Content-Security-Policy"]
    assert "default-src 'self'" in policy
    assert "unsafe" not in policy
    assert page.inline == []
    assert [name for name, _ in page.tags if name == "style"] == []
    names = [name for _, attributes in page.tags for name in attributes]
    assert [name for name in names if name == "style" or name.startswith("on")] == []
    addresses = [
        address or ""
        for _, attributes in page.tags
        for name, address in attributes.items()
        if name in ("href", "src", "action")
    ]
    assert [address for address in addresses if "//" in address] == []
    assert sum(name == "h1" for name, _ in page.tags) == 1
    levels = [int(name[1]) for name, _ in page.tags if name in ("h1", "h2", "h3", "h4")]
    assert all(after <= before + 1 for before, after in pairwise(levels)), levels
    ids = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    labelled = {attributes.get("for") for attributes in page.all("label")}
    fields = [field for field in page.all("input") if field.get("type") != "hidden"]
    assert [field for field in fields if field.get("id") not in labelled] == []
    described = [attributes.get("aria-describedby") or "" for _, attributes in page.tags]
    assert {one for text in described for one in text.split()} <= set(ids)
    assert all("alt" in image for image in page.all("img"))
    [html] = page.all("html")
    assert html["lang"] in ("en", "ko")


@pytest.fixture
def customer() -> User:
    """With a password and 200,000 won."""
    found: User = WalletFactory(
        customer=CustomerFactory(password=PASSWORD), balance=200_000
    ).customer
    return found


@pytest.fixture
def browser(customer: User) -> Client:
    logged_in = Client()
    logged_in.force_login(customer)
    return logged_in


@pytest.fixture
def performance() -> Performance:
    found: Performance = PerformanceFactory(seats=4, concert__seats_per_customer=4)
    return found


@pytest.fixture
def held(customer: User, performance: Performance) -> Hold:
    return hold(customer, list(performance.seats.all())[:2])


@pytest.fixture
def booked(customer: User, performance: Performance) -> Reservation:
    return reservation(customer, list(performance.seats.all())[2:3])


def checkout_of(held: Hold) -> str:
    return f"/concerts/{held.performance.concert_id}/checkout/{held.pk}/"


class TestEveryPage:
    """`public` is what a stranger gets: the page, or the way to the login."""

    @pytest.fixture(params=["en", "ko"])
    def language(self, request: pytest.FixtureRequest) -> str:
        return str(request.param)

    @pytest.mark.parametrize("path", ["/", "/?show=soon", "/?q=nothing", "/login/", "/register/"])
    def test_is_public(self, path: str, language: str, performance: Performance):
        response = Client().get(path, headers={"Accept-Language": language})

        assert response.status_code == 200
        assert_keeps_the_rules(response)

    @pytest.mark.parametrize(
        "path", ["/", "/?q=Night", "/wallet/", "/reservations/", "/reservations/?when=past"]
    )
    def test_is_shown_to_customers(self, path: str, browser: Client, booked: Reservation):
        response = browser.get(path)

        assert response.status_code == 200
        assert_keeps_the_rules(response)
        assert response.headers["Cache-Control"] == "no-store"

    @pytest.mark.parametrize("path", ["/wallet/", "/reservations/"])
    def test_leads_strangers_to_the_login_and_back(self, path: str):
        response = Client().get(path)

        assert response.status_code == 302
        assert response.headers["Location"] == f"/login/?next={path}"

    def test_of_one_concert(self, browser: Client, performance: Performance):
        for client in (Client(), browser):
            response = client.get(f"/concerts/{performance.concert_id}/")

            assert response.status_code == 200
            assert_keeps_the_rules(response)

    def test_of_what_a_customer_has(self, browser: Client, held: Hold, booked: Reservation):
        paths = [
            checkout_of(held),
            f"/reservations/{booked.pk}/",
            f"/reservations/{booked.pk}/cancel/",
        ]
        for path in paths:
            response = browser.get(path)

            assert response.status_code == 200, path
            assert_keeps_the_rules(response)
            assert Client().get(path).status_code == 302

    def test_of_somebody_else_is_not_found(self, held: Hold, booked: Reservation):
        stranger = Client()
        stranger.force_login(CustomerFactory())
        [ticket] = booked.tickets.all()
        for path in (
            checkout_of(held),
            f"/reservations/{booked.pk}/",
            f"/reservations/{booked.pk}/cancel/",
            f"/reservations/{booked.pk}/calendar.ics",
            f"/tickets/{ticket.pk}/qr.svg",
        ):
            response = stranger.get(path)

            assert response.status_code == 404, path
            assert_keeps_the_rules(response)
        for path in (
            checkout_of(held),
            f"{checkout_of(held)}release/",
            f"/reservations/{booked.pk}/",
        ):
            assert stranger.post(path, {"key": uuid4()}).status_code == 404, path
        held.refresh_from_db()
        booked.refresh_from_db()
        assert (held.status, booked.status) == ("HELD", "CONFIRMED")

    @pytest.mark.parametrize(
        "path",
        [
            "/?q=%00",
            "/?q=%ff%fe",
            f"/?q={'x' * 5_000}",
            "/?page=abc",
            "/?page=-1",
            "/?page=0",
            f"/?page={HUGE}",
            "/?page=1&page=2",
            "/?show=%00",
            "/?q=Night&page=99",
            "/wallet/?page=%00",
            f"/reservations/?when=%00&page={HUGE}",
            f"/login/?next={'%0d%0a'}x",
        ],
    )
    def test_bears_odd_queries(self, path: str, browser: Client, performance: Performance):
        assert browser.get(path).status_code in (200, 302)
        assert Client().get(path).status_code in (200, 302)

    @pytest.mark.parametrize(
        "path",
        [
            "/concerts/0/",
            f"/concerts/{HUGE[:30]}/",
            "/concerts/x/",
            "/concerts/123456789/",
            "/concerts/123456789/poster.svg",
            "/reservations/not-a-uuid/",
            f"/reservations/{UUID(int=0)}/",
            f"/concerts/1/checkout/{UUID(int=0)}/",
            f"/tickets/{UUID(int=0)}/qr.svg",
            "/nothing/",
        ],
    )
    def test_is_not_found(self, path: str, browser: Client):
        response = browser.get(path)

        assert response.status_code == 404
        assert_keeps_the_rules(response)

    def test_answers_browsers_that_look_for_a_favicon(self):
        response = Client().get("/favicon.ico")

        assert response.headers["Location"].startswith("/static/storefront/favicon")


class TestHome:
    def test_shows_what_can_be_bought_and_what_opens(self):
        on_sale = PerformanceFactory(seats=1).concert
        soon = PerformanceFactory(concert=ConcertFactory(upcoming=True)).concert
        sold_out = PerformanceFactory(sold_out_at=timezone.now()).concert
        hidden = PerformanceFactory(concert__is_published=False).concert

        page = Client().get("/").content.decode()

        opening, selling = page.split('id="soon"')[1].split('id="on-sale"')
        assert soon.title in opening
        assert on_sale.title in selling
        assert "from ₩50,000" in selling
        assert sold_out.title in selling
        assert "Sold out" in selling
        assert hidden.title not in page

    def test_tells_when_few_seats_are_left(self):
        plenty = PerformanceFactory(seats=FEW_SEATS + 1).concert
        few = PerformanceFactory(seats=FEW_SEATS).concert

        cards = Client().get("/").content.decode().split('id="on-sale"')[1].split("<li")

        told = {
            concert.title: any(
                "Few seats left" in card for card in cards if f">{concert.title}<" in card
            )
            for concert in (plenty, few)
        }
        assert told == {plenty.title: False, few.title: True}
        assert "Few seats left" in Client().get(f"/concerts/{few.pk}/").content.decode()
        assert "Few seats left" not in Client().get(f"/concerts/{plenty.pk}/").content.decode()

    def test_counts_down_to_what_opens_within_a_day(self):
        PerformanceFactory(concert=ConcertFactory(upcoming=True))
        PerformanceFactory(concert__sales_open_at=timezone.now() + timedelta(days=3))

        page = Page(Client().get("/"))

        [seconds] = [one["data-seconds"] for one in page.all("span") if "data-seconds" in one]
        assert 3_500 < float(seconds or 0) <= 3_600

    def test_finds_words_in_title_artist_and_venue(self):
        wanted = ConcertFactory(title="Paper Moon", artist="The Lanterns")
        other = ConcertFactory(title="Glass Sun")

        page = Client().get("/", {"q": "moon lanterns"}).content.decode()

        assert wanted.title in page
        assert other.title not in page
        assert "1 concert" in page

    def test_says_when_nothing_is_found_or_on_sale(self):
        assert "Nothing found" in Client().get("/?q=xyz").content.decode()
        assert "Nothing is on sale" in Client().get("/").content.decode()

    def test_pages_through_many(self):
        ConcertFactory.create_batch(13)

        first, second = (Client().get(f"/?page={number}").content.decode() for number in (1, 2))

        assert (first.count('class="card"'), second.count('class="card"')) == (12, 1)
        assert 'href="?page=2"' in first

    def test_shows_how_concerts_moved_in_the_ranking(self):
        rising, falling, fresh = PerformanceFactory.create_batch(3)
        yesterday = timezone.now() - timedelta(days=1, hours=1)
        for number, one in ((3, falling), (2, rising)):
            RankingEntryFactory.create_batch(number, performance=one, occurred_at=yesterday)
        RankingEntryFactory.create_batch(5, performance=rising)
        RankingEntryFactory(performance=fresh)

        page = Client().get("/").content.decode()

        rows = page.split("ranking__item")[1:]
        assert [
            title in row
            for title, row in zip(
                (rising.concert.title, falling.concert.title, fresh.concert.title),
                rows,
                strict=True,
            )
        ] == [True] * 3
        assert "up 1 rank" in rows[0]
        assert "down 1 rank" in rows[1]
        assert "New" in rows[2]

    @pytest.mark.parametrize("length", [1, 12])
    def test_costs_the_same_for_many(self, length: int, browser: Client):
        for _ in range(length):
            RankingEntryFactory(performance=PerformanceFactory(seats=2))
            PerformanceFactory(concert=ConcertFactory(upcoming=True))
        forget_everything()

        with CaptureQueriesContext(connection) as captured:
            browser.get("/")

        # Session and user; how many and which concerts; those that open soon; the cheapest seats; who has few; the ranking of
        # today with its concerts, and that of yesterday, which has none.
        assert len(captured) == 2 + 2 + 1 + 1 + 1 + 2 + 1, [query["sql"] for query in captured]


class TestConcert:
    def offer(self, concert: Concert, client: Client | None = None) -> str:
        """The panel with the one button."""
        page = (client or Client()).get(f"/concerts/{concert.pk}/").content.decode()
        return page.split("concert__offer")[1].split("</section>")[0]

    def test_lets_customers_join_and_strangers_log_in_first(
        self, browser: Client, performance: Performance
    ):
        concert = performance.concert

        assert "Join the queue" in self.offer(concert, browser)
        assert f'action="/concerts/{concert.pk}/queue/"' in self.offer(concert, browser)
        assert f'href="/login/?next=/concerts/{concert.pk}/"' in self.offer(concert)

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
            (ConcertFactory(), "Dates follow"),
        ):
            offer = self.offer(concert, browser)

            assert words in offer
            assert "<form" not in offer

    def test_follows_the_state_of_the_waiting_room(self, browser: Client, performance: Performance):
        room = WaitingRoomFactory(concert=performance.concert, state=WaitingRoom.State.PAUSED)

        assert "paused" in self.offer(room.concert, browser)

        WaitingRoom.objects.update(state=WaitingRoom.State.CLOSED)

        assert "Sales are over" in self.offer(room.concert, browser)

    def test_leads_back_to_a_place_in_the_queue(self, browser: Client, performance: Performance):
        concert = performance.concert
        browser.post(f"/concerts/{concert.pk}/queue/")

        assert "Back to your place" in self.offer(concert, browser)

    def test_tells_prices_dates_and_rules(self, performance: Performance):
        page = Client().get(f"/concerts/{performance.concert_id}/").content.decode()

        assert "₩50,000" in page
        assert "up to 4 seats" in page
        assert "24 hours before" in page

    def test_is_not_shown_unpublished(self):
        assert (
            Client().get(f"/concerts/{ConcertFactory(is_published=False).pk}/").status_code == 404
        )

    def test_has_a_poster_that_browsers_keep(self, performance: Performance):
        path = f"/concerts/{performance.concert_id}/poster.svg"

        drawn = Client().get(path)
        again = Client().get(path, headers={"If-None-Match": drawn.headers["ETag"]})

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


class TestRegistering:
    FIELDS = {"name": "Mina", "email": "mina@example.com", "password": PASSWORD}

    def test_logs_in_and_goes_on(self):
        client = Client()

        response = client.post("/register/", {**self.FIELDS, "next": "/wallet/"})

        assert response.headers["Location"] == "/wallet/"
        assert client.get("/wallet/").status_code == 200

    @pytest.mark.parametrize(
        ("field", "value"),
        [
            ("password", "12345678"),
            ("email", "mina"),
            ("name", ""),
            ("name", "a\x00b"),
            ("email", "\x00@example.com"),
        ],
    )
    def test_says_what_is_wrong(self, field: str, value: str):
        response = Client().post("/register/", {**self.FIELDS, field: value})

        assert response.status_code == 400
        assert_keeps_the_rules(response)
        assert f'id="id_{field}_error"' in response.content.decode()
        assert User.objects.count() == 0

    def test_refuses_an_address_that_is_taken(self):
        CustomerFactory(email="mina@example.com")

        response = Client().post("/register/", self.FIELDS)

        assert response.status_code == 409
        assert_keeps_the_rules(response)

    def test_never_shows_the_password_again(self):
        response = Client().post("/register/", {**self.FIELDS, "email": "mina"})

        assert PASSWORD not in response.content.decode()


class TestLoggingIn:
    def test_goes_on_to_where_the_visitor_was_going(self, customer: User):
        response = Client().post(
            "/login/",
            {"email": customer.email, "password": PASSWORD, "next": "/reservations/?page=2"},
        )

        assert response.headers["Location"] == "/reservations/?page=2"

    @pytest.mark.parametrize("wanted", EVIL)
    def test_never_leads_elsewhere(self, wanted: str, customer: User, browser: Client):
        response = Client().post(
            "/login/", {"email": customer.email, "password": PASSWORD, "next": wanted}
        )

        assert response.headers["Location"] == "/"
        assert browser.get("/login/", {"next": wanted}).headers["Location"] == "/"
        assert Page(Client().get("/login/", {"next": wanted})).value("next") == "/"

    def test_refuses_a_wrong_password(self, customer: User):
        response = Client().post("/login/", {"email": customer.email, "password": "wrong"})

        assert response.status_code == 400
        assert "wrong" in response.content.decode()
        assert_keeps_the_rules(response)

    @pytest.mark.parametrize(
        "data", [{}, {"email": "\x00", "password": "\x00"}, {"email": "x" * 9_999}]
    )
    def test_bears_odd_forms(self, data: dict[str, str]):
        assert Client().post("/login/", data).status_code == 400

    def test_out_ends_the_session(self, browser: Client):
        browser.post("/logout/")

        assert browser.get("/wallet/").status_code == 302

    def test_is_limited(self, settings: Any):
        settings.RATE_LIMIT_ENABLED = True
        client = Client()
        answers = [client.post("/login/", {}) for _ in range(project.RATE_LIMITS["login"] + 1)]

        assert answers[-2].status_code == 400
        assert answers[-1].status_code == 429
        assert int(answers[-1].headers["Retry-After"]) >= 1
        assert_keeps_the_rules(answers[-1])


class TestLanguage:
    def test_is_switched_and_leads_back(self):
        client = Client()

        response = client.post("/language/", {"language": "ko", "next": "/login/"})

        assert response.headers["Location"] == "/login/"
        assert next(Page(client.get("/login/")).all("html"))["lang"] == "ko"

    @pytest.mark.parametrize("wanted", ["//evil.example/", "https://evil.example/"])
    def test_never_leads_elsewhere(self, wanted: str):
        response = Client().post("/language/", {"language": "ko", "next": wanted})

        assert "evil" not in response.headers["Location"]


class TestWallet:
    def test_tops_up_once_however_often_it_is_sent(self, browser: Client, customer: User):
        key = Page(browser.get("/wallet/")).value("key")

        answers = [browser.post("/wallet/", {"amount": "50000", "key": key}) for _ in range(2)]

        assert [answer.headers["Location"] for answer in answers] == ["/wallet/"] * 2
        assert wallet_balance(customer_id=customer.pk) == 250_000
        page = browser.get("/wallet/").content.decode()
        assert "₩250,000" in page
        assert "+₩50,000" in page

    def test_says_when_a_form_comes_back_with_another_amount(self, browser: Client, customer: User):
        key = str(uuid4())
        browser.post("/wallet/", {"amount": "50000", "key": key})

        response = browser.post("/wallet/", {"amount": "70000", "key": key})

        assert response.status_code == 409
        assert "sent before" in response.content.decode()
        assert wallet_balance(customer_id=customer.pk) == 250_000
        assert Page(response).value("key") != key

    @pytest.mark.parametrize("amount", ["", "0", "-5", "1000001", "1.5", "x", "\x00", HUGE])
    def test_refuses_odd_amounts(self, amount: str, browser: Client, customer: User):
        response = browser.post("/wallet/", {"amount": amount, "key": str(uuid4())})

        assert response.status_code == 400
        assert_keeps_the_rules(response)
        assert wallet_balance(customer_id=customer.pk) == 200_000

    @pytest.mark.parametrize("key", [{}, {"key": ""}, {"key": "x"}])
    def test_refuses_a_form_without_its_key(
        self, key: dict[str, str], browser: Client, customer: User
    ):
        response = browser.post("/wallet/", {"amount": "50000", **key})

        assert response.status_code == 400
        assert "out of date" in response.content.decode()
        assert wallet_balance(customer_id=customer.pk) == 200_000

    def test_refuses_more_than_a_balance_may_be(
        self, browser: Client, customer: User, settings: Any
    ):
        settings.BALANCE_LIMIT = 210_000

        response = browser.post("/wallet/", {"amount": "50000", "key": str(uuid4())})

        assert response.status_code == 409
        assert_keeps_the_rules(response)

    @pytest.mark.parametrize("wanted", EVIL)
    def test_never_leads_elsewhere(self, wanted: str, browser: Client):
        response = browser.post("/wallet/", {"amount": "1", "key": str(uuid4()), "next": wanted})

        assert response.headers["Location"] == "/wallet/"


class TestCheckout:
    def test_pays_once_however_often_it_is_sent(self, browser: Client, customer: User, held: Hold):
        path = checkout_of(held)
        key = Page(browser.get(path)).value("key")

        answers = [browser.post(path, {"key": key}) for _ in range(2)]

        paid = Reservation.objects.get(hold=held)
        # The second finds the hold paid already, and leads to the same tickets.
        assert answers[0].headers["Location"] == f"/reservations/{paid.pk}/"
        assert browser.get(path).headers["Location"] == f"/reservations/{paid.pk}/"
        assert answers[1].headers["Location"] == f"/reservations/{paid.pk}/"
        assert LedgerTransaction.objects.filter(type="PAYMENT").count() == 1
        assert wallet_balance(customer_id=customer.pk) == 100_000

    def test_offers_to_top_up_what_is_missing_and_comes_back(self, performance: Performance):
        poor = WalletFactory(customer=CustomerFactory(), balance=0).customer
        held_by_poor = hold(poor, list(performance.seats.all())[:1])
        client = Client()
        client.force_login(poor)
        path = checkout_of(held_by_poor)

        page = client.get(path).content.decode()
        refused = client.post(path, {"key": str(uuid4())})

        assert "Top up ₩50,000" in page
        assert f'name="next" value="{path}"' in page
        assert refused.status_code == 402
        assert "nothing was paid" in refused.content.decode()
        assert_keeps_the_rules(refused)
        topped_up = client.post("/wallet/", {"amount": "50000", "key": str(uuid4()), "next": path})
        assert topped_up.headers["Location"] == path
        assert "Pay ₩50,000" in client.get(path).content.decode()

    def test_explains_that_the_time_is_over(
        self, browser: Client, customer: User, performance: Performance
    ):
        over = overdue_hold(customer, list(performance.seats.all())[:1])
        path = checkout_of(over)

        response = browser.get(path)
        paid = browser.post(path, {"key": str(uuid4())})

        assert "The time to pay is over" in response.content.decode()
        assert (
            f'href="/concerts/{performance.concert_id}/seats/{performance.pk}/"'
            in response.content.decode()
        )
        assert_keeps_the_rules(response)
        assert paid.headers["Location"] == path
        assert wallet_balance(customer_id=customer.pk) == 200_000

    def test_gives_seats_back(self, browser: Client, held: Hold):
        path = checkout_of(held)

        released = browser.post(f"{path}release/")
        again = browser.post(f"{path}release/")

        held.refresh_from_db()
        assert held.status == "RELEASED"
        assert released.headers["Location"] == f"/concerts/{held.performance.concert_id}/seats/"
        assert again.headers["Location"] == path
        response = browser.get(path)
        assert "You gave these seats back" in response.content.decode()
        assert_keeps_the_rules(response)

    @pytest.mark.parametrize("key", [{}, {"key": "x"}, {"key": "\x00"}])
    def test_refuses_a_form_without_its_key(self, key: dict[str, str], browser: Client, held: Hold):
        response = browser.post(checkout_of(held), key)

        assert response.status_code == 400
        assert not Reservation.objects.exists()

    def test_is_not_found_below_another_concert(self, browser: Client, held: Hold):
        other = PerformanceFactory().concert_id

        assert browser.get(f"/concerts/{other}/checkout/{held.pk}/").status_code == 404


class TestTickets:
    def test_are_listed_while_they_are_ahead(self, browser: Client, booked: Reservation):
        title = booked.performance.concert.title

        assert title in browser.get("/reservations/").content.decode()
        assert "Nothing here yet" in browser.get("/reservations/?when=past").content.decode()

    def test_show_their_seat_and_code(self, browser: Client, booked: Reservation):
        [ticket] = booked.tickets.all()

        page = browser.get(f"/reservations/{booked.pk}/").content.decode()
        picture = browser.get(f"/tickets/{ticket.pk}/qr.svg")

        assert " ".join(ticket.code[at : at + 4] for at in (0, 4, 8, 12)) in page
        assert f"/tickets/{ticket.pk}/qr.svg" in page
        assert picture.headers["Content-Type"] == "image/svg+xml"
        assert picture.headers["Cache-Control"] == "private, no-store"

    def test_can_be_put_into_a_calendar(self, browser: Client, booked: Reservation):
        calendar = browser.get(f"/reservations/{booked.pk}/calendar.ics")

        assert calendar.headers["Content-Type"].startswith("text/calendar")
        assert b"BEGIN:VEVENT" in calendar.content

    def test_are_cancelled_once(self, browser: Client, customer: User, booked: Reservation):
        path = f"/reservations/{booked.pk}/"
        key = Page(browser.get(f"{path}cancel/")).value("key")

        answers = [browser.post(path, {"key": key}) for _ in range(2)]

        assert [answer.headers["Location"] for answer in answers] == [path] * 2
        assert wallet_balance(customer_id=customer.pk) == 200_000
        response = browser.get(path)
        [ticket] = booked.tickets.all()
        assert "was cancelled" in response.content.decode()
        assert_keeps_the_rules(response)
        assert browser.get(f"/tickets/{ticket.pk}/qr.svg").status_code == 404
        assert browser.get(f"{path}cancel/").headers["Location"] == path

    def test_cannot_be_cancelled_too_late(
        self, browser: Client, customer: User, booked: Reservation
    ):
        Performance.objects.filter(pk=booked.performance_id).update(
            starts_at=timezone.now() + timedelta(hours=23)
        )
        path = f"/reservations/{booked.pk}/"

        assert "cancel/" not in browser.get(path).content.decode()
        assert browser.post(path, {"key": str(uuid4())}).headers["Location"] == path
        assert wallet_balance(customer_id=customer.pk) == 150_000


class TestFailure:
    @pytest.mark.parametrize("name", ["400", "403", "403_csrf", "404", "429", "500", "503"])
    def test_has_a_page_that_needs_nothing(self, name: str):
        with CaptureQueriesContext(connection) as captured:
            page = loader.get_template(f"{name}.html").render()

        assert "<h1>" in page
        assert len(captured) == 0

    def test_of_ours_is_told(self):
        response = server_error(RequestFactory().get("/"))

        assert response.status_code == 500
        assert "on our side" in response.content.decode()

    def test_of_a_form_out_of_date_is_told(self, customer: User):
        client = Client(enforce_csrf_checks=True)

        response = client.post("/login/", {"email": customer.email, "password": PASSWORD})

        assert response.status_code == 403
        assert "out of date" in response.content.decode()
        assert_keeps_the_rules(response)
        assert csrf_failure(RequestFactory().get("/")).status_code == 403

    def test_of_the_database_is_told_without_asking_it(
        self, browser: Client, monkeypatch: pytest.MonkeyPatch
    ):
        def away(*_args: object, **_kwargs: object) -> None:
            raise OperationalError("the server closed the connection unexpectedly")

        monkeypatch.setattr("django.db.backends.utils.CursorWrapper.execute", away)

        for path in ("/", "/wallet/", "/concerts/1/"):
            response = browser.get(path)

            assert response.status_code == 503, path
            assert response.headers["Retry-After"] == "2"
            assert_keeps_the_rules(response)
