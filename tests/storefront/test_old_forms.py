"""Every form of a page from before a login; and "Log in to join", which joins."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import pytest
from django.conf import settings as project
from django.test import Client

from apps.accounts.models import User
from apps.concerts.models import Concert, Performance
from apps.payments.selectors import wallet_balance
from apps.queue.services import admit_visitors, close_room
from apps.reservations.models import Hold, Reservation
from tests.factories.accounts import PASSWORD
from tests.factories.queue import WaitingRoomFactory
from tests.storefront.rules import EVIL, Page, StrictClient
from tests.storefront.visits import JSON, checkout_of, seat_map, url

pytestmark = pytest.mark.django_db

OURS = {"Origin": "http://testserver"}
LogIn = Callable[..., Any]
SENTENCE = "You have logged in or out since this page was opened."


@pytest.fixture
def concert(performance: Performance) -> Concert:
    """A concert with a waiting room that admits at once."""
    return WaitingRoomFactory(concert=performance.concert).concert


@pytest.fixture
def visitor(customer: User) -> Client:
    """The customer's browser, whose tokens are checked."""
    client = StrictClient(enforce_csrf_checks=True)
    client.force_login(customer)
    return client


def token_on(client: Client, path: str) -> str:
    response = client.get(path, follow=True)
    assert response.status_code == 200
    return Page(response).value("csrfmiddlewaretoken")


def log_in_again(client: Client, customer: User) -> None:
    """Log in again in another tab, which changes the token."""
    fields = {"email": customer.email, "password": PASSWORD}
    client.post("/logout/", {"csrfmiddlewaretoken": token_on(client, "/")})
    token = token_on(client, "/login/")
    assert client.post("/login/", {**fields, "csrfmiddlewaretoken": token}).status_code == 302


@dataclass(frozen=True)
class Form:
    """A form, the page that has it, and where its answer leads to when the page is old."""

    page: str
    address: str
    leads_to: str
    fields: dict[str, Any]


@pytest.fixture
def forms(
    concert: Concert, performance: Performance, held: Hold, booked: Reservation
) -> dict[str, Form]:
    concert_url = url("concert", concert)
    checkout, seats = checkout_of(held), seat_map(performance)
    free = performance.seats.last()
    assert free
    ticket = f"/reservations/{booked.pk}/"
    key = str(uuid4())
    return {
        "leave": Form(
            f"{concert_url}queue/", f"{concert_url}queue/leave/", f"{concert_url}queue/", {}
        ),
        "hold": Form(seats, seats, seats, {"key": key, "seats": free.pk}),
        "best": Form(seats, seats, seats, {"key": key, "quantity": 1, "grade": ""}),
        "pay": Form(checkout, checkout, checkout, {"key": key}),
        "give back": Form(checkout, f"{checkout}release/", checkout, {}),
        "top up": Form("/wallet/", "/wallet/", "/wallet/", {"key": key, "amount": 1000}),
        "top up to pay": Form(
            checkout, "/wallet/", checkout, {"key": key, "amount": 1000, "next": checkout}
        ),
        "cancel": Form(f"{ticket}cancel/", ticket, ticket, {"key": key}),
    }


NAMES = ["leave", "hold", "best", "pay", "give back", "top up", "top up to pay", "cancel"]


class TestFormsOfAnOldPage:
    @pytest.fixture
    def admitted(self, visitor: Client, concert: Concert) -> Client:
        path = url("concert", concert)
        visitor.post(f"{path}queue/", {"csrfmiddlewaretoken": token_on(visitor, path)})
        admit_visitors()
        return visitor

    def state(self, customer: User) -> Any:
        return (
            wallet_balance(customer_id=customer.pk),
            list(Hold.objects.order_by("pk").values_list("pk", "status")),
            list(Reservation.objects.values_list("pk", "status")),
        )

    @pytest.mark.parametrize("language", ["en", "ko"])
    @pytest.mark.parametrize("name", NAMES)
    def test_bring_the_page_again_with_a_token_that_is_valid(
        self,
        name: str,
        language: str,
        admitted: Client,
        customer: User,
        forms: dict[str, Form],
    ):
        form = forms[name]
        token = token_on(admitted, form.page)
        log_in_again(admitted, customer)
        before = self.state(customer)
        speaks = {"Accept-Language": language, **OURS}
        sent = {**form.fields, "csrfmiddlewaretoken": token}

        answer = admitted.post(form.address, sent, headers=speaks)

        assert (answer.status_code, answer.headers["Location"]) == (302, form.leads_to)
        assert self.state(customer) == before
        page = admitted.get(form.leads_to, headers=speaks, follow=True)
        assert next(Page(page).all("html"))["lang"] == language
        assert (SENTENCE in page.content.decode()) == (language == "en")
        assert page.content.decode().count("notice--error") == 1
        fresh = Page(page).value("csrfmiddlewaretoken")
        again = admitted.post(form.address, {**sent, "csrfmiddlewaretoken": fresh})
        assert again.status_code == 302
        assert name == "leave" or self.state(customer) != before

    def test_of_the_seat_map_is_told_to_its_script(
        self, admitted: Client, customer: User, forms: dict[str, Form]
    ):
        form = forms["hold"]
        token = token_on(admitted, form.page)
        log_in_again(admitted, customer)

        answer = admitted.post(
            form.address, {**form.fields, "csrfmiddlewaretoken": token}, headers={**JSON, **OURS}
        )

        assert (answer.status_code, answer.json()["code"]) == (403, "PERMISSION_DENIED")
        assert SENTENCE in admitted.get(form.page).content.decode()

    def test_that_costs_nothing_counts_all_the_same(
        self, visitor: Client, customer: User, concert: Concert
    ):
        path = url("concert", concert)
        token = token_on(visitor, path)
        log_in_again(visitor, customer)
        old = {"csrfmiddlewaretoken": token}

        joined = visitor.post(f"{path}queue/", old, headers=OURS)
        visitor.post("/language/", {**old, "language": "ko", "next": "/"}, headers=OURS)
        page = visitor.get(f"{path}queue/", follow=True)
        visitor.post("/logout/", old, headers=OURS)

        assert joined.headers["Location"] == f"{path}queue/"
        assert page.status_code == 200
        assert next(Page(page).all("html"))["lang"] == "ko"
        assert visitor.get("/wallet/").status_code == 302

    @pytest.mark.parametrize("origin", [{}, {"Origin": "null"}, {"Origin": "https://evil.example"}])
    def test_of_who_knows_where_does_not(
        self, origin: dict[str, str], visitor: Client, concert: Concert
    ):
        path = url("concert", concert)

        answer = visitor.post(f"{path}queue/", {"csrfmiddlewaretoken": "x" * 64}, headers=origin)

        assert answer.status_code in (302, 403)
        assert "queue_token" not in visitor.cookies
        assert "queue_token" not in answer.cookies


class TestLoginOfAnOldPage:
    def test_keeps_what_was_typed_but_the_password(self, customer: User):
        client = StrictClient(enforce_csrf_checks=True)
        token_on(client, "/login/")
        fields = {"email": customer.email, "password": PASSWORD, "next": "/wallet/"}

        answer = client.post("/login/", {**fields, "csrfmiddlewaretoken": "x" * 64}, headers=OURS)

        assert answer.status_code == 403
        text = answer.content.decode()
        assert SENTENCE in text
        assert customer.email in text
        assert PASSWORD not in text
        fresh = {"csrfmiddlewaretoken": Page(answer).value("csrfmiddlewaretoken")}
        assert client.post("/login/", {**fields, **fresh}).headers["Location"] == "/wallet/"

    @pytest.mark.parametrize("path", ["/login/", "/register/"])
    @pytest.mark.parametrize("origin", ["https://evil.example", "null", None])
    def test_takes_nothing_from_another_site(self, origin: str | None, path: str, customer: User):
        client = StrictClient(enforce_csrf_checks=True)
        token_on(client, path)
        fields = {"name": "Eve", "email": customer.email, "password": PASSWORD}

        answer = client.post(
            path,
            {**fields, "csrfmiddlewaretoken": "x" * 64},
            headers={"Origin": origin} if origin else {},
        )

        assert answer.headers["Location"] == path
        page = client.get(path).content.decode()
        assert customer.email not in page
        assert SENTENCE in page
        assert project.SESSION_COOKIE_NAME not in client.cookies
        assert User.objects.count() == 1

    def test_without_any_cookie_is_explained_and_leads_back(self, customer: User):
        client = StrictClient(enforce_csrf_checks=True)

        answer = client.post(
            "/login/?next=/wallet/", {"email": customer.email, "password": PASSWORD}, headers=OURS
        )

        assert answer.status_code == 403
        links = [link["href"] for link in Page(answer).all("a")]
        assert "/login/?next=/wallet/" in links
        assert "refuses cookies" in answer.content.decode()

    def test_of_staff_comes_again(self, customer: User):
        client = Client(enforce_csrf_checks=True)
        client.get("/admin/login/")

        answer = client.post(
            "/admin/login/?next=/admin/", {"csrfmiddlewaretoken": "x" * 64}, headers=OURS
        )

        assert answer.headers["Location"] == "/admin/login/?next=/admin/"
        assert SENTENCE in client.get("/admin/login/").content.decode()


class TestLoggingInToJoin:
    @pytest.fixture
    def path(self, concert: Concert) -> str:
        return url("concert", concert)

    @pytest.fixture
    def stranger(self) -> Client:
        return StrictClient(enforce_csrf_checks=True)

    def press(self, stranger: Client, path: str) -> str:
        """Press the button, and return where the login is."""
        token = token_on(stranger, path)
        answer = stranger.post(f"{path}queue/", {"csrfmiddlewaretoken": token})
        assert answer.status_code == 302
        return answer.headers["Location"]

    @pytest.fixture
    def log_in(self, stranger: Client, customer: User) -> LogIn:
        """`log_in(address)` sends the form that is there; `by` is another browser."""

        def send(address: str, *, by: Client = stranger, **fields: str) -> Any:
            page = Page(by.get(address))
            found = {name: page.value(name) for name in ("csrfmiddlewaretoken", "next")}
            known = {"email": customer.email, "password": PASSWORD}
            return by.post(address, known | found | fields)

        return send

    def test_joins_and_shows_the_place(self, stranger: Client, path: str, log_in: LogIn):
        login = self.press(stranger, path)
        told = [
            "Then you join the queue at once." in stranger.get(address).content.decode()
            for address in (login, f"/register/?next={path}", "/login/?next=/wallet/")
        ]

        answer = log_in(login)

        assert told == [True, True, False]
        assert login == f"/login/?next={path}"
        assert answer.headers["Location"] == f"{path}queue/"
        assert stranger.get(f"{path}queue/").status_code == 200
        assert stranger.cookies["join_intent"].value == ""

    def test_goes_through_a_wrong_password(self, stranger: Client, path: str, log_in: LogIn):
        login = self.press(stranger, path)
        assert log_in(login, password="wrong").status_code == 400

        assert log_in(login).headers["Location"] == f"{path}queue/"

    def test_goes_through_the_registration(self, stranger: Client, path: str, log_in: LogIn):
        self.press(stranger, path)

        answer = log_in(f"/register/?next={path}", name="Mina", email="mina@example.com")

        assert answer.headers["Location"] == f"{path}queue/"
        assert "Welcome, Mina." in stranger.get(f"{path}queue/").content.decode()

    def test_joins_no_customer_who_pressed_nothing(self, path: str, log_in: LogIn):
        """A link from elsewhere can name the concert, and the address of the queue."""
        for wanted in (path, f"{path}queue/"):
            client = StrictClient()
            answer = log_in(f"/login/?next={wanted}", by=client)

            assert answer.headers["Location"] == wanted
            assert "queue_token" not in client.cookies

    def test_joins_no_customer_who_is_sent_from_another_site(
        self, stranger: Client, path: str, log_in: LogIn
    ):
        token_on(stranger, path)
        stranger.post(
            f"{path}queue/",
            {"csrfmiddlewaretoken": "x" * 64},
            headers={"Origin": "https://evil.example"},
        )

        answer = log_in(f"/login/?next={path}")

        assert answer.headers["Location"] == path
        assert "queue_token" not in stranger.cookies

    @pytest.mark.parametrize("wanted", ["/wallet/", "/", *EVIL])
    def test_is_forgotten_by_a_login_for_something_else(
        self, stranger: Client, path: str, log_in: LogIn, wanted: str
    ):
        self.press(stranger, path)

        answer = log_in("/login/", next=wanted)

        assert answer.headers["Location"] == ("/wallet/" if wanted == "/wallet/" else "/")
        assert "queue_token" not in stranger.cookies

    @pytest.mark.parametrize("value", ["", "1", "1:2:3", "x" * 4_000])
    def test_believes_no_cookie_of_others(
        self, stranger: Client, path: str, log_in: LogIn, value: str
    ):
        stranger.cookies["join_intent"] = value

        answer = log_in(f"/login/?next={path}")

        assert answer.headers["Location"] == path

    def test_says_that_the_queue_has_closed_meanwhile(
        self, stranger: Client, path: str, log_in: LogIn, concert: Concert
    ):
        login = self.press(stranger, path)
        close_room(concert_id=concert.pk, staff_id=None)

        answer = log_in(login)

        assert answer.headers["Location"] == path
        assert stranger.get("/wallet/").status_code == 200
        assert "queue_token" not in stranger.cookies

    def test_is_not_limited_by_address_before_the_login(
        self, stranger: Client, path: str, settings: Any
    ):
        settings.RATE_LIMIT_ENABLED = True
        token = token_on(stranger, path)

        answers = [
            stranger.post(f"{path}queue/", {"csrfmiddlewaretoken": token}).status_code
            for _ in range(project.RATE_LIMITS["join"] + 5)
        ]

        assert {*answers} == {302}
