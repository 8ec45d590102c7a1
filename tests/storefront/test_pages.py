"""Test what every page has in common: who sees it, what it refuses, that it keeps to the rules; and pages of failures."""

from uuid import UUID, uuid4

import pytest
from django.conf import LazySettings
from django.db import OperationalError, connection
from django.template import loader
from django.test import Client, RequestFactory
from django.test.utils import CaptureQueriesContext
from django.views.csrf import csrf_failure
from django.views.defaults import server_error

from apps.accounts.models import User
from apps.concerts.models import Performance
from apps.core.caching import clear_process_caches
from apps.queue.errors import QueueTokenNotActive
from apps.reservations.models import Hold, Reservation
from tests.factories.accounts import PASSWORD
from tests.factories.concerts import PerformanceFactory
from tests.factories.queue import WaitingRoomFactory
from tests.factories.reservations import reservation
from tests.storefront.rules import HUGE, Page, StrictClient, assert_keeps_the_rules
from tests.storefront.visits import checkout_of, logged_in

pytestmark = pytest.mark.django_db


class TestEveryPage:
    """`public` is what a stranger gets: the page, or the way to the login."""

    @pytest.fixture(params=["en", "ko"])
    def language(self, request: pytest.FixtureRequest) -> str:
        return str(request.param)

    @pytest.mark.parametrize(
        "path", ["/", "/?show=soon", "/?q=nothing", "/login/", "/register/", "/concerts/{}/"]
    )
    def test_is_public(self, path: str, language: str, performance: Performance):
        path = path.format(performance.concert_id)

        response = StrictClient().get(path, headers={"Accept-Language": language})

        assert response.status_code == 200

    @pytest.mark.parametrize(
        "path",
        [
            "/",
            "/?q=Night",
            "/wallet/",
            "/reservations/",
            "/reservations/?when=past",
            "/concerts/{}/",
        ],
    )
    def test_is_shown_to_customers(self, path: str, browser: Client, booked: Reservation):
        response = browser.get(path.format(booked.performance.concert_id))

        assert response.status_code == 200
        assert response.headers["Cache-Control"] == "no-store"

    @pytest.mark.parametrize("path", ["/wallet/", "/reservations/"])
    def test_leads_strangers_to_the_login_and_back(self, path: str):
        response = StrictClient().get(path)

        assert (response.status_code, response.headers["Location"]) == (302, f"/login/?next={path}")

    def test_of_what_a_customer_has(self, browser: Client, held: Hold, booked: Reservation):
        paths = [
            checkout_of(held),
            f"/reservations/{booked.pk}/",
            f"/reservations/{booked.pk}/cancel/",
        ]
        for path in paths:
            response = browser.get(path)

            assert response.status_code == 200, path
            assert StrictClient().get(path).status_code == 302

    @pytest.mark.parametrize(
        "path", ["/", "/concerts/{}/", "/wallet/", "/reservations/", "/nothing/"]
    )
    def test_has_a_box_to_search(self, path: str, browser: Client, performance: Performance):
        page = Page(browser.get(path.format(performance.concert_id)))

        [box] = [field for field in page.all("input") if field["type"] == "search"]
        assert box["name"] == "q"
        [form] = [form for form in page.all("form") if form.get("role") == "search"]
        assert (form["method"], form["action"]) == ("get", "/")

    def test_of_another_customer_is_not_found(self, held: Hold, booked: Reservation):
        stranger = logged_in()
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
        assert StrictClient().get(path).status_code in (200, 302)

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
        assert "no-store" in response.headers["Cache-Control"]

    def test_answers_browsers_that_look_for_a_favicon(self):
        response = StrictClient().get("/favicon.ico")

        assert response.headers["Location"].startswith("/static/storefront/favicon")


class TestCost:
    @pytest.mark.parametrize("many", [1, 3])
    def test_is_the_same_for_few_and_for_many(
        self, many: int, browser: Client, customer: User, held: Hold, booked: Reservation
    ):
        concert_id = held.performance.concert_id
        for _ in range(many):
            date = PerformanceFactory(concert=held.performance.concert, seats=2)
            reservation(customer, list(date.seats.all())[:1])
        WaitingRoomFactory(concert=held.performance.concert)
        browser.post(f"/concerts/{concert_id}/queue/")
        counts: dict[str, list[str]] = {}

        for path in (
            f"/concerts/{concert_id}/",
            f"/concerts/{concert_id}/poster.svg",
            f"/concerts/{concert_id}/queue/",
            checkout_of(held),
            "/wallet/",
            "/reservations/",
            f"/reservations/{booked.pk}/",
        ):
            clear_process_caches()
            with CaptureQueriesContext(connection) as captured:
                assert browser.get(path).status_code == 200, path
            counts[path] = [query["sql"][:150] for query in captured]

        # Two of each but the poster's are session and user; two of the concert's are what the customer holds. The last of a
        # reservation's is what was refunded of it.
        assert [len(queries) for queries in counts.values()] == [10, 1, 5, 6, 5, 7, 6], counts


class TestRules:
    @pytest.mark.parametrize(
        "breach",
        [
            "<script>alert(1)</script>",
            "<p style='color: red'>x</p>",
            "<a href='//elsewhere.example/'>x</a>",
            "<h1>a second one</h1>",
            "<h4>too deep</h4>",
            "<select id='nameless'></select>",
            "<img src='/x.svg'>",
            "<p id='main'>twice</p>",
        ],
    )
    def test_are_not_broken_unnoticed(self, breach: str):
        response = StrictClient().get("/login/")
        response.content = response.content.replace(b"</main>", f"{breach}</main>".encode())

        with pytest.raises(AssertionError):
            assert_keeps_the_rules(response)


class TestAddressOfAForm:
    @pytest.mark.parametrize(
        ("path", "leads_to"),
        [
            ("/logout/", "/"),
            ("/language/", "/"),
            ("/concerts/{concert}/queue/leave/", "/concerts/{concert}/"),
            ("{checkout}release/", "{checkout}"),
        ],
    )
    def test_opened_as_a_page_leads_to_its_page(
        self, path: str, leads_to: str, browser: Client, held: Hold
    ):
        names = {"concert": held.performance.concert_id, "checkout": checkout_of(held)}

        # The address may be its own referrer: of a refusal of the form, seen in the language of before.
        answer = browser.get(path.format(**names), headers={"Referer": path.format(**names)})

        assert (answer.status_code, answer.headers["Location"]) == (302, leads_to.format(**names))

    def test_knows_no_other_methods(self, browser: Client):
        assert browser.put("/logout/").status_code == 405


class TestLanguage:
    def test_is_switched_and_leads_back(self):
        client = StrictClient()

        response = client.post("/language/", {"language": "ko", "next": "/login/"})

        assert response.headers["Location"] == "/login/"
        assert next(Page(client.get("/login/")).all("html"))["lang"] == "ko"

    @pytest.mark.parametrize("wanted", ["//evil.example/", "https://evil.example/"])
    def test_never_leads_elsewhere(self, wanted: str):
        response = StrictClient().post("/language/", {"language": "ko", "next": wanted})

        assert "evil" not in response.headers["Location"]


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
        client = StrictClient(enforce_csrf_checks=True)

        response = client.post("/login/", {"email": customer.email, "password": PASSWORD})

        assert response.status_code == 403
        assert "out of date" in response.content.decode()
        assert_keeps_the_rules(response)
        assert csrf_failure(RequestFactory().get("/")).status_code == 403

    @pytest.mark.parametrize("path", ["/wallet/", "checkout", "release", "queue"])
    def test_of_too_many_forms_says_when_and_where_to_try_again(
        self, path: str, browser: Client, held: Hold, settings: LazySettings
    ):
        settings.RATE_LIMIT_ENABLED = True
        settings.RATE_LIMITS = dict.fromkeys(settings.RATE_LIMITS, 0)
        concert = f"/concerts/{held.performance.concert_id}/"
        checkout = checkout_of(held)
        path, page = {
            "checkout": (checkout, checkout),
            "release": (f"{checkout}release/", checkout),
            "queue": (f"{concert}queue/", concert),
        }.get(path, (path, path))

        answer = browser.post(path, {"key": uuid4()})

        text = answer.content.decode()
        assert answer.status_code == 429
        assert "This last one was not carried out." in text
        assert f'data-seconds="{answer.headers["Retry-After"]}"' in text
        assert page in [link["href"] for link in Page(answer).all("a")]

    def test_of_a_refusal_leads_back_to_its_page(
        self, browser: Client, held: Hold, monkeypatch: pytest.MonkeyPatch
    ):
        def refuse(**_asked: object) -> None:
            raise QueueTokenNotActive(retry_after=7)

        monkeypatch.setattr("apps.storefront.views.checkout.release_hold", refuse)

        answer = browser.post(f"{checkout_of(held)}release/")

        assert answer.status_code == 403
        assert 'data-seconds="7"' in answer.content.decode()
        assert checkout_of(held) in [link["href"] for link in Page(answer).all("a")]

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
