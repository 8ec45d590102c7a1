"""Home, concert and waiting room come from pages kept for a second: what they cost, and that no visitor gets what is another's."""

import json
import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.contrib import messages
from django.contrib.messages.storage.cookie import CookieStorage
from django.db import connection
from django.http import HttpResponse
from django.test import Client, RequestFactory
from django.test.utils import CaptureQueriesContext

from apps.accounts.models import User
from apps.concerts.models import Concert
from apps.core import caching
from apps.reservations.models import Hold
from apps.reservations.services import release_hold
from apps.storefront import kept_pages
from apps.storefront.views import browsing
from tests.conftest import Race
from tests.factories.accounts import CustomerFactory
from tests.factories.concerts import ConcertFactory, PerformanceFactory
from tests.factories.queue import WaitingRoomFactory
from tests.factories.reservations import hold, overdue_hold
from tests.storefront.rules import Page, StrictClient
from tests.storefront.visits import checkout_of, joined, logged_in

pytestmark = pytest.mark.django_db

PAGES = ["/", "/?show=soon", "/?q=Night", "/?page=2", "/concerts/{concert}/"]


@pytest.fixture
def concert() -> Concert:
    """A concert on sale, with a waiting room for one visitor at once."""
    room = WaitingRoomFactory(capacity=1)
    PerformanceFactory(concert=room.concert, seats=20)
    return room.concert


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """`clock(1.5)` moves the time of every process cache; until then it stands still."""
    now = 0.0

    def move(seconds: float) -> None:
        nonlocal now
        now += seconds

    for cache in caching._all_caches:
        monkeypatch.setattr(cache, "_clock", lambda: now)
    return move


@pytest.fixture(params=PAGES)
def path(request: pytest.FixtureRequest, concert: Concert) -> str:
    return str(request.param).format(concert=concert.pk)


def token_of(page: Any) -> str:
    return Page(page).value("csrfmiddlewaretoken")


# What differs from one look to the next: the way in of a form, the time that passes, and the chance in when to ask again.
_CHANGING = (
    r'(?<=csrfmiddlewaretoken" value=")\w+',
    r'(?<="opens_in_seconds": )\d+',
    r'(?<="poll_after_seconds": )\d+',
    r'(?<=data-ask-after=")\d+',
)


def assert_kept_as_rendered(visitor: Client, path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def page() -> list[str]:
        text = visitor.get(path).content.decode()
        for changing in _CHANGING:
            text = re.sub(changing, "", text)
        return text.splitlines()

    kept = page()
    monkeypatch.setattr(kept_pages, "get_messages", lambda _request: ["something to say"])

    assert kept == page()


def _shown(page: Any) -> str:
    """Return the sentences about the state of the queue that the page does not hide."""
    return " ".join(re.findall(r'data-when="\w+">([^<]+)', page.content.decode()))


@pytest.mark.usefixtures("clock")
class TestCost:
    def queries(self, client: Client, path: str) -> int:
        with CaptureQueriesContext(connection) as captured:
            assert client.get(path).status_code == 200
        return len(captured)

    def test_of_what_is_kept_is_none_for_strangers_and_the_login_and_holds_for_customers(
        self, path: str
    ) -> None:
        StrictClient().get(path)
        logged_in().get(path)

        assert self.queries(StrictClient(), path) == 0
        # Session, user, and whether there is a hold.
        assert self.queries(logged_in(), path) == 3

    def test_of_a_place_that_is_shown_is_the_login(self, concert: Concert) -> None:
        joined(concert)
        joined(concert).get(f"/concerts/{concert.pk}/queue/")
        visitor = joined(concert)

        assert self.queries(visitor, f"/concerts/{concert.pk}/queue/") == 2
        visitor.get(f"/concerts/{concert.pk}/")
        assert self.queries(visitor, f"/concerts/{concert.pk}/") == 3

    def test_is_not_kept_longer_than_a_second(
        self, concert: Concert, clock: Callable[[float], None]
    ) -> None:
        address = f"/concerts/{concert.pk}/"
        StrictClient().get(address)
        Concert.objects.filter(pk=concert.pk).update(artist="The Newcomers")
        before = StrictClient().get(address).content.decode()
        clock(1.0)

        after = StrictClient().get(address).content.decode()

        assert ("The Newcomers" in before, "The Newcomers" in after) == (False, True)

    def test_of_what_is_withdrawn_ends_within_a_second(
        self, concert: Concert, clock: Callable[[float], None]
    ) -> None:
        visitor, address = joined(concert), f"/concerts/{concert.pk}/"
        for client in (visitor, StrictClient()):
            assert client.get(address).status_code == 200
        assert "Sales are interrupted." not in _shown(visitor.get(f"{address}queue/"))
        Concert.objects.filter(pk=concert.pk).update(is_published=False)
        clock(1.0)

        assert StrictClient().get(address).status_code == 404
        assert visitor.get(address).headers["Location"] == f"{address}queue/"
        assert "Sales are interrupted." in _shown(visitor.get(f"{address}queue/"))

    def test_counts_unknown_concerts_and_searches_for_nothing(
        self, concert: Concert, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(kept_pages.pages, "_entries_max", 2)
        monkeypatch.setattr(kept_pages.searches, "_entries_max", 3)
        good = ["/", f"/concerts/{concert.pk}/"]
        for address in good:
            StrictClient().get(address)
        hidden = ConcertFactory(is_published=False)

        for number in range(5):
            assert (
                StrictClient().get(f"/concerts/{concert.pk + 1_000 + number}/").status_code == 404
            )
            StrictClient().get(f"/concerts/{hidden.pk}/")
            StrictClient().get(f"/?q=word{number}")
            StrictClient().get(f"/?page={number + 2}")
            StrictClient().get(f"/?utm_source={number}")

        assert [self.queries(StrictClient(), address) for address in good] == [0, 0]
        assert len(kept_pages.pages._slots) == 2
        assert len(kept_pages.searches._slots) == 3

    @pytest.mark.django_db(transaction=True)
    @pytest.mark.parametrize("is_kept", [True, False])
    def test_of_a_crowd_is_one_rendering_and_one_each_without_keeping(
        self, concert: Concert, race: Race, monkeypatch: pytest.MonkeyPatch, is_kept: bool
    ) -> None:
        read, times = browsing._concert, []

        def counted(concert_id: int) -> dict[str, Any]:
            times.append(concert_id)
            return read(concert_id)

        monkeypatch.setattr(browsing, "_concert", counted)
        if not is_kept:
            monkeypatch.setattr(kept_pages.pages, "get", lambda _key, compute: compute())

        answers = race([lambda: Client().get(f"/concerts/{concert.pk}/")] * 8)

        assert [answer.status_code for answer in answers] == [200] * 8
        assert len(times) == (1 if is_kept else 8)


@pytest.mark.usefixtures("clock")
class TestHolds:
    """Home and concert show what a customer holds, to that customer alone."""

    @pytest.fixture
    def holder(self) -> User:
        return CustomerFactory()

    @pytest.fixture
    def held(self, holder: User) -> Hold:
        date = PerformanceFactory(seats=2, concert__seats_per_customer=2)
        return hold(holder, list(date.seats.all()))

    @pytest.fixture(params=["/", "/?q=Night", "/concerts/{concert}/"])
    def path(self, request: pytest.FixtureRequest, held: Hold) -> str:
        return str(request.param).format(concert=held.performance.concert_id)

    def test_are_shown_with_the_time_left_and_the_way_to_pay(
        self, path: str, holder: User, held: Hold
    ) -> None:
        others = [StrictClient(), logged_in(CustomerFactory())]
        before = [other.get(path).content.decode() for other in others]

        answer = logged_in(holder).get(path)

        page = answer.content.decode()
        assert checkout_of(held) in page
        assert re.search(
            r"You hold 2 seats for .*, until .*Time left to pay: .*>(5:00|4:5\d)<", page
        )
        assert answer.headers["Cache-Control"] == "no-store"
        after = [other.get(path).content.decode() for other in others]
        assert not [text for text in before + after if "You hold" in text]

    def test_that_are_over_are_shown_no_more(self, path: str, holder: User, held: Hold) -> None:
        client = logged_in(holder)
        release_hold(customer_id=holder.pk, hold_id=held.pk)
        overdue_hold(holder, list(PerformanceFactory(seats=1).seats.all()))

        assert "You hold" not in client.get(path).content.decode()


@pytest.mark.usefixtures("clock")
class TestEachVisitorGetsTheirOwn:
    """All visitors are served from the same kept page: the clock stands still."""

    @pytest.fixture
    def visitors(self) -> list[Client]:
        """Two strangers, two customers; none has seen a page."""
        return [
            *(StrictClient(enforce_csrf_checks=True) for _ in range(2)),
            *(self.checked(logged_in(CustomerFactory(name=name))) for name in ("Mina", "Jun")),
        ]

    def checked(self, client: Client) -> Client:
        client.handler.enforce_csrf_checks = True
        return client

    def test_forms_carry_a_token_that_only_this_visitor_can_use(
        self, path: str, visitors: list[Client]
    ) -> None:
        tokens = [token_of(visitor.get(path)) for visitor in visitors]
        cookies = [visitor.cookies["csrftoken"].value for visitor in visitors]

        assert len({*tokens}) == len({*cookies}) == 4
        for visitor in visitors:
            answers = [
                visitor.post(
                    "/language/",
                    {"language": "en", "next": "/", "csrfmiddlewaretoken": token},
                )
                for token in tokens
            ]
            own = visitors.index(visitor)
            accepted = ["django_language" in answer.cookies for answer in answers]
            assert accepted == [place == own for place in range(4)]

    def test_every_form_of_a_page_carries_the_token_of_the_visitor(
        self, concert: Concert, visitors: list[Client]
    ) -> None:
        for visitor in visitors[2:]:
            page = visitor.get(f"/concerts/{concert.pk}/")

            inputs = Page(page).all("input")
            fields = [field for field in inputs if field["name"] == "csrfmiddlewaretoken"]
            assert len(fields) == 3  # log out, language, join
            assert len({field["value"] for field in fields}) == 1
            answer = visitor.post(
                f"/concerts/{concert.pk}/queue/", {"csrfmiddlewaretoken": fields[2]["value"]}
            )
            assert answer.headers["Location"] == f"/concerts/{concert.pk}/queue/"

    def test_cookies_and_ways_are_the_visitors_own_and_caches_keep_nothing(
        self, path: str, visitors: list[Client]
    ) -> None:
        for visitor in visitors:
            first, again = visitor.get(path), visitor.get(path)

            assert set(first.cookies) == {"csrftoken"}
            assert first.cookies["csrftoken"].value == visitor.cookies["csrftoken"].value
            ways = [way in first.content.decode() for way in ("Log out", "Register")]
            assert ways == ([True, False] if visitor in visitors[2:] else [False, True])
            for answer in (first, again):
                assert answer.headers["Cache-Control"] == "no-store"
                assert {"Cookie", "Accept-Language"} <= {*answer.headers["Vary"].split(", ")}
                assert "ETag" not in answer.headers

    def test_names_and_addresses_of_customers_are_not_even_known(
        self, path: str, visitors: list[Client]
    ) -> None:
        pages = [visitor.get(path) for visitor in reversed(visitors)]

        for user in User.objects.all():
            assert all(user.name not in page.content.decode() for page in pages)
            assert all(user.email not in page.content.decode() for page in pages)
        # What the templates saw, of the two pages that were rendered.
        rendered = [page for page in pages if page.context is not None]
        assert len(rendered) == 2
        for page in rendered:
            assert vars(page.context["user"]).keys() == {"is_authenticated"}
            assert vars(page.context["request"]).keys() == {"user", "GET"}
            assert not list(page.context["messages"])

    def test_a_message_is_shown_once_and_to_its_visitor(
        self, path: str, visitors: list[Client]
    ) -> None:
        addressee, *others = reversed(visitors)
        others[0].get(path)
        sent = HttpResponse()
        storage = CookieStorage(RequestFactory().get("/"))
        storage.add(messages.INFO, "For you alone.")
        storage.update(sent)
        addressee.cookies["messages"] = sent.cookies["messages"].value

        first, again = addressee.get(path), addressee.get(path)

        assert "For you alone." in first.content.decode()
        assert first.cookies["messages"].value == ""
        for page in (again, *(other.get(path) for other in others)):
            assert "For you alone." not in page.content.decode()

    def test_a_place_is_the_visitors_own(self, concert: Concert) -> None:
        visitors = [joined(concert) for _ in range(3)]
        address = f"/concerts/{concert.pk}/queue/"

        pages = [visitor.get(address) for visitor in visitors]

        texts = [page.content.decode() for page in pages]
        assert sum(page.context is not None for page in pages) == 1
        assert [re.findall(r'data-slot="ahead">(\d*)<', text) for text in texts] == [
            [str(ahead)] for ahead in range(3)
        ]
        for ahead, (visitor, page) in enumerate(zip(visitors, pages, strict=True)):
            token = visitor.cookies["queue_token"].value
            assert page.cookies["queue_token"].value == token
            assert all(token not in text for text in texts)
            answer = re.search(r'<script id="queue-answer"[^>]*>(.*?)</script>', texts[ahead])
            assert answer is not None
            assert json.loads(answer[1])["people_ahead"] == ahead
        assert "You are next" in texts[0].split("queue-figure__label")[1][:100]
        assert "person ahead" in texts[1].split("queue-figure__label")[1][:100]

    @pytest.mark.parametrize("who", [StrictClient, logged_in])
    def test_pages_are_what_would_be_rendered_for_the_visitor(
        self, path: str, who: Callable[[], Client], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        assert_kept_as_rendered(who(), path, monkeypatch)

    @pytest.mark.parametrize("ahead", [0, 1, 2])
    @pytest.mark.parametrize("language", ["en", "ko"])
    def test_a_place_is_what_would_be_rendered_for_the_visitor(
        self, concert: Concert, ahead: int, language: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        *_, visitor = [joined(concert) for _ in range(ahead + 1)]
        visitor.cookies["django_language"] = language

        assert_kept_as_rendered(visitor, f"/concerts/{concert.pk}/queue/", monkeypatch)

    def test_a_place_is_offered_to_who_has_it(self, concert: Concert) -> None:
        address = f"/concerts/{concert.pk}/"
        with_place, without = joined(concert), logged_in()

        texts = [client.get(address).content.decode() for client in (with_place, without) * 2]

        assert ["Back to your place" in text for text in texts] == [True, False] * 2

    def test_languages_are_kept_apart(self, path: str) -> None:
        def pages() -> Iterator[Any]:
            for _ in range(2):
                for language in ("en", "ko"):
                    yield StrictClient().get(path, headers={"Accept-Language": language})

        answers = [
            (answer.headers["Content-Language"], next(Page(answer).all("html"))["lang"])
            for answer in pages()
        ]

        assert answers == [("en", "en"), ("ko", "ko")] * 2

    def test_the_switch_of_languages_leads_back_to_where_the_visitor_is(self, path: str) -> None:
        mark = "&" if "?" in path else "?"
        first, second = StrictClient(), StrictClient()
        first.get(path)
        here = f"{path}{mark}from=%22%3E%3Cscript%3E"

        page = second.get(here)
        second.post("/language/", {"language": "ko", "next": Page(page).value("next")})

        assert Page(page).value("next") == here
        assert next(Page(second.get(path)).all("html"))["lang"] == "ko"
        assert next(Page(first.get(path)).all("html"))["lang"] == "en"

    def test_a_search_shows_the_words_of_its_own(self) -> None:
        for text in ("moon & <sun>", "star"):
            page = Page(StrictClient().get("/", {"q": text, "from": "elsewhere"}))

            assert page.value("q") == text


class TestKeptPage:
    def test_escapes_what_fills_its_gaps(self) -> None:
        page = kept_pages.KeptPage((b"<p>", b"</p>"), ("name",))

        assert page.filled({"name": "<b>"}) == b"<p>&lt;b&gt;</p>"

    def test_knows_no_gap_without_a_value(self) -> None:
        with pytest.raises(KeyError):
            kept_pages.KeptPage((b"", b""), ("name",)).filled({})
