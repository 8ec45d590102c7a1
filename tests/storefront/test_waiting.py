"""The waiting room's pages: the cookie that proves a place, what its page and its script are told, and the ways out."""

from collections.abc import Callable
from datetime import timedelta
from http.cookies import Morsel
from typing import Any

import pytest
from django.conf import LazySettings
from django.test import Client, TestCase
from django.utils import timezone

from apps.concerts.models import Concert
from apps.queue.services import (
    admit_visitors,
    close_room,
    pause_room,
    remove_visitor,
)
from apps.storefront.wording import ended_words, wait_words
from tests.conftest import StartValkey
from tests.factories.accounts import CustomerFactory
from tests.factories.concerts import ConcertFactory, PerformanceFactory
from tests.factories.queue import WaitingRoomFactory
from tests.storefront.rules import StrictClient
from tests.storefront.visits import joined, logged_in, status_of, url

pytestmark = pytest.mark.django_db


@pytest.fixture
def concert() -> Concert:
    """A concert on sale, with a waiting room for one visitor at once."""
    return WaitingRoomFactory(capacity=1).concert


def opening_in(**span: float) -> Concert:
    opens_at = timezone.now() + timedelta(**span)
    return WaitingRoomFactory(concert__sales_open_at=opens_at).concert


def taken_out(concert: Concert) -> Client:
    """Return the browser of a visitor whom staff have taken out of the queue."""
    customer = CustomerFactory()
    client = joined(concert, customer)
    remove_visitor(concert_id=concert.pk, customer_id=customer.pk, staff_id=None)
    return client


def cookie(answer: Any, name: str = "queue_token") -> Morsel[str]:
    return answer.cookies[name]


class TestJoining:
    def test_keeps_the_token_in_a_cookie_that_no_script_reads_and_only_this_concert_gets(
        self, concert: Concert
    ) -> None:
        answer = logged_in().post(url("queue", concert))

        assert (answer.status_code, answer.headers["Location"]) == (302, url("queue", concert))
        kept = cookie(answer)
        assert kept.value
        assert (kept["httponly"], kept["samesite"], kept["path"]) == (
            True,
            "Lax",
            url("concert", concert),
        )
        assert not kept["secure"]

    def test_sends_the_cookie_over_https_alone_where_sessions_do(
        self, concert: Concert, settings: LazySettings
    ) -> None:
        settings.SESSION_COOKIE_SECURE = True

        answer = logged_in().post(url("queue", concert))

        assert cookie(answer)["secure"]

    def test_shows_the_token_in_no_address_and_on_no_page(self, concert: Concert) -> None:
        client = logged_in()
        joining = client.post(url("queue", concert))
        token = cookie(joining).value

        answers = [client.get(url("queue", concert)), status_of(client, concert)]

        assert token not in joining.headers["Location"]
        for answer in answers:
            assert answer.status_code == 200
            assert token.encode() not in answer.content

    def test_again_gives_the_same_place(self, concert: Concert) -> None:
        joined(concert)
        customer = CustomerFactory()
        first = joined(concert, customer)
        joined(concert)

        first.post(url("queue", concert))
        elsewhere = joined(concert, customer)

        assert status_of(first, concert).json()["people_ahead"] == 1
        assert status_of(elsewhere, concert).json()["people_ahead"] == 1

    def test_sends_strangers_to_the_login_and_back_to_the_concert(self, concert: Concert) -> None:
        answer = StrictClient().post(url("queue", concert))

        assert answer.status_code == 302
        assert answer.headers["Location"] == f"/login/?next={url('concert', concert)}"

    @pytest.mark.parametrize(
        ("make", "message"),
        [
            (lambda: opening_in(days=3), "Sales have not opened yet."),
            (lambda: ConcertFactory(closed=True), "Sales are over."),
            (lambda: WaitingRoomFactory(state="CLOSED").concert, "The waiting room is closed."),
        ],
    )
    def test_says_on_the_concert_why_it_cannot_be_joined(
        self, make: Callable[[], Concert], message: str
    ) -> None:
        concert = make()
        client = logged_in()

        answer = client.post(url("queue", concert))

        assert (answer.status_code, answer.headers["Location"]) == (302, url("concert", concert))
        assert "queue_token" not in answer.cookies
        shown = [str(told) for told in client.get(url("concert", concert)).context["messages"]]
        assert shown == [message]


class TestPage:
    def test_shows_the_place_and_refreshes_itself_without_a_script(self, concert: Concert) -> None:
        for _ in range(2):
            joined(concert)

        page = joined(concert).get(url("queue", concert))

        text = page.content.decode()
        assert page.status_code == 200
        assert page.headers["Cache-Control"] == "no-store"
        assert 'data-slot="ahead">2<' in text
        assert "people ahead of you" in text
        assert '<meta http-equiv="refresh" content="5">' in text
        assert "This page refreshes by itself in 5 seconds." in text

    def test_moves_on_to_the_seats_when_the_turn_has_come(self, concert: Concert) -> None:
        client = joined(concert)
        admit_visitors()

        answer = client.get(url("queue", concert))

        assert (answer.status_code, answer.headers["Location"]) == (302, url("seats", concert))

    def test_needs_no_login(self, concert: Concert) -> None:
        client = _with_cookie(cookie(logged_in().post(url("queue", concert))).value)

        assert client.get(url("queue", concert)).status_code == 200

    def test_is_not_promised_to_another_customer_on_the_same_device(self, concert: Concert) -> None:
        PerformanceFactory(concert=concert, seats=1)
        client = joined(concert)
        own = client.get(url("concert", concert)).content.decode()

        client.force_login(CustomerFactory())
        other = client.get(url("concert", concert)).content.decode()

        assert "Back to your place in the queue" in own
        assert "Back to your place in the queue" not in other
        assert "Join the queue" in other

    @pytest.mark.parametrize("token", ["", "nonsense", "q1.k1.AAAA.BBBB", "x" * 5000])
    def test_without_a_true_place_leads_to_the_concert(self, concert: Concert, token: str) -> None:
        answer = _with_cookie(token).get(url("queue", concert))

        assert (answer.status_code, answer.headers["Location"]) == (302, url("concert", concert))

    def test_knows_no_place_of_another_concert(self, concert: Concert) -> None:
        other = WaitingRoomFactory().concert
        token = cookie(logged_in().post(url("queue", other))).value
        client = _with_cookie(token)

        status, page = status_of(client, concert), client.get(url("queue", concert))

        assert page.headers["Location"] == url("concert", concert)
        assert page.cookies["queue_token"].value == ""
        assert (status.status_code, status.json()["code"]) == (403, "QUEUE_TOKEN_INVALID")

    def test_explains_the_end_and_forgets_the_cookie(self, concert: Concert) -> None:
        client = taken_out(concert)

        page = client.get(url("queue", concert))

        assert page.context["ended"] == ended_words("REMOVED")
        assert "Join the queue again" in page.content.decode()
        for name in ("queue_token", "queue_from"):
            assert (page.cookies[name].value, page.cookies[name]["path"]) == (
                "",
                url("concert", concert),
            )

    def test_offers_no_way_back_into_a_closed_room(self, concert: Concert) -> None:
        client = joined(concert)
        with TestCase.captureOnCommitCallbacks(execute=True):
            close_room(concert_id=concert.pk, staff_id=None)

        page = client.get(url("queue", concert))

        assert page.context["ended"] == ended_words("CLOSED")
        assert "Join the queue again" not in page.content.decode()

    def test_says_that_the_queue_is_paused(self, concert: Concert) -> None:
        client = joined(concert)
        with TestCase.captureOnCommitCallbacks(execute=True):
            pause_room(concert_id=concert.pk, staff_id=None)

        assert client.get(url("queue", concert)).context["state"] == "PAUSED"

    def test_before_the_opening_tells_when_and_no_position(self) -> None:
        upcoming = opening_in(minutes=30)
        client = joined(upcoming)

        page, status = client.get(url("queue", upcoming)), status_of(client, upcoming).json()

        assert (page.context["state"], status["state"]) == ("SCHEDULED", "SCHEDULED")
        assert status["people_ahead"] is None
        assert 1790 < status["opens_in_seconds"] <= 1800
        assert status["poll_after_seconds"] >= 1790
        # Without a script nothing else would notice an opening that is moved.
        assert '<meta http-equiv="refresh" content="60">' in page.content.decode()


class TestStatus:
    def test_tells_the_script_all_that_it_shows(self, concert: Concert) -> None:
        joined(concert)
        client = joined(concert)

        answer = status_of(client, concert)

        assert answer.status_code == 200
        assert answer.headers["Cache-Control"] == "no-store"
        assert answer.json() == {
            "status": "WAITING",
            "people_ahead": 1,
            "first_position": 2,
            "wait": None,
            "state": "OPEN",
            "pause_reason": "",
            "notice": "",
            "opens_in_seconds": 0,
            "lease_seconds": None,
            "poll_after_seconds": 1,
            "grace_seconds": 100,
        }

    @pytest.mark.parametrize(
        ("patience", "grace", "refresh"),
        [(10, 3, 3), (15, 5, 5), (30, 10, 5), (45, 15, 5), (300, 100, 5)],
    )
    def test_lets_pages_be_late_by_a_third_of_the_patience_of_the_room(
        self, patience: int, grace: int, refresh: int
    ) -> None:
        concert = WaitingRoomFactory(patience=timedelta(seconds=patience), capacity=1).concert
        client = joined(concert)

        page = client.get(url("queue", concert)).content.decode()

        assert status_of(client, concert).json()["grace_seconds"] == grace
        assert f'<meta http-equiv="refresh" content="{refresh}">' in page
        assert f'data-seconds="{refresh}" data-grace="{grace}"' in page
        # What watches over the scripts helps itself in time, whether they never came or have died.
        assert refresh + min(10, grace) < patience
        assert 1 + min(30, grace) < patience

    def test_tells_how_long_the_turn_lasts(self, concert: Concert) -> None:
        client = joined(concert)
        admit_visitors()

        place = status_of(client, concert).json()

        assert place["status"] == "ACTIVE"
        assert 295 <= place["lease_seconds"] <= 300

    def test_remembers_where_the_way_began(self, concert: Concert) -> None:
        first = CustomerFactory()
        joined(concert, first)
        client = joined(concert)
        remove_visitor(concert_id=concert.pk, customer_id=first.pk, staff_id=None)

        place = status_of(client, concert).json()

        assert (place["people_ahead"], place["first_position"]) == (0, 2)

    def test_leaves_the_cookie_of_an_ended_visit_for_the_page_to_explain(
        self, concert: Concert
    ) -> None:
        client = taken_out(concert)

        answer = status_of(client, concert)

        assert answer.json()["status"] == "EXPIRED"
        assert not answer.cookies

    def test_without_a_token_is_refused(self, concert: Concert) -> None:
        answer = status_of(StrictClient(), concert)

        assert (answer.status_code, answer.json()["code"]) == (403, "QUEUE_TOKEN_REQUIRED")

    def test_costs_no_query(
        self, concert: Concert, django_assert_num_queries: Callable[[int], Any]
    ) -> None:
        client = joined(concert)
        status_of(client, concert)  # fills the board

        with django_assert_num_queries(0):
            status_of(client, concert)


class TestStoreDown:
    @pytest.fixture
    def stop_store(self, valkey_server: StartValkey, settings: LazySettings) -> Callable[[], None]:
        server = valkey_server()
        settings.QUEUE_URL = server.url
        return server.stop

    def test_keeps_the_place_and_keeps_trying(
        self, stop_store: Callable[[], None], concert: Concert
    ) -> None:
        client = joined(concert)
        stop_store()

        page, status = client.get(url("queue", concert)), status_of(client, concert)

        assert (page.status_code, status.status_code) == (503, 503)
        assert int(page.headers["Retry-After"]) >= 1
        assert int(status.headers["Retry-After"]) >= 1
        assert status.json()["code"] == "SERVICE_UNAVAILABLE"
        for answer in (page, status):
            assert "queue_token" not in answer.cookies
        text = page.content.decode()
        assert "Your place is kept, and this page keeps trying." in text
        assert '<meta http-equiv="refresh"' in text

    def test_lets_no_visitor_join(self, stop_store: Callable[[], None], concert: Concert) -> None:
        stop_store()

        answer = logged_in().post(url("queue", concert))

        assert answer.status_code == 503
        assert int(answer.headers["Retry-After"]) >= 1


class TestLeaving:
    def test_gives_the_place_up(self, concert: Concert) -> None:
        client = joined(concert)
        behind = joined(concert)

        answer = client.post(url("leave_queue", concert))

        assert (answer.status_code, answer.headers["Location"]) == (302, url("concert", concert))
        assert answer.cookies["queue_token"].value == ""
        assert status_of(behind, concert).json()["people_ahead"] == 0
        assert status_of(client, concert).status_code == 403

    def test_asks_first(self, concert: Concert) -> None:
        text = joined(concert).get(url("queue", concert)).content.decode()

        question = text[text.index('<details class="queue-leave"') : text.index("</details>")]
        assert f'action="{url("leave_queue", concert)}"' in question

    def test_leaves_the_place_of_another_customer_alone(self, concert: Concert) -> None:
        owner = CustomerFactory()
        client = joined(concert, owner)
        client.force_login(CustomerFactory())

        answer = client.post(url("leave_queue", concert))

        assert answer.headers["Location"] == url("concert", concert)
        client.force_login(owner)
        assert status_of(client, concert).json()["status"] == "WAITING"

    def test_without_a_place_changes_nothing(self, concert: Concert) -> None:
        answer = logged_in().post(url("leave_queue", concert))

        assert answer.headers["Location"] == url("concert", concert)


class TestWords:
    @pytest.mark.parametrize(
        ("seconds", "words"),
        [
            (None, None),
            (0, "less than a minute"),
            (40, "less than a minute"),
            (60, "up to 2 minutes"),
            (300, "3 to 7 minutes"),
            (1320, "15 to 35 minutes"),
            (7200, "about 2 hours"),
            (5500, "about 1.5 hours"),
        ],
    )
    def test_an_estimate_is_a_range(self, seconds: int | None, words: str | None) -> None:
        assert wait_words(seconds) == words


def _with_cookie(token: str) -> Client:
    client = StrictClient()
    client.cookies["queue_token"] = token
    return client
