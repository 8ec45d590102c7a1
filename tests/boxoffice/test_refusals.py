"""Every failure within the admin is answered in its own layout, with the reason; outside of it nothing has changed."""

from collections.abc import Callable
from typing import Any

import pytest
from django.db import IntegrityError, OperationalError, connection, transaction
from django.test import Client
from django.urls import reverse

from apps.concerts.errors import SalesClosed
from apps.concerts.models import Performance
from apps.core.errors import ServiceUnavailable
from apps.queue.models import WaitingRoom
from apps.reservations.models import Reservation
from tests.boxoffice.sending import send
from tests.boxoffice.staff import clerk, list_of, logged_in, page_of
from tests.factories.accounts import CustomerFactory
from tests.factories.concerts import PerformanceFactory
from tests.factories.queue import WaitingRoomFactory
from tests.factories.reservations import reservation

pytestmark = pytest.mark.django_db

SHOP = "site-nav"  # a class of the storefront's pages
NAVIGATION = 'id="nav-sidebar"'


@pytest.fixture
def staff() -> Client:
    return logged_in(CustomerFactory(admin=True), raise_request_exception=False)


def words_of(answer: Any, status: int) -> str:
    text: str = answer.content.decode()
    assert answer.status_code == status
    assert "Encore" in text
    assert "unfold/css" in text
    assert SHOP not in text
    return text


class TestNotAllowed:
    @pytest.mark.parametrize(
        ("path", "words"),
        [
            ("/admin/concerts/seat/", "Your account is not allowed to view seats."),
            ("/admin/concerts/concert/add/", "Your account is not allowed to add concerts."),
            ("/admin/reservations/hold/add/", "Your account is not allowed to add holds."),
            (
                "/admin/concerts/performance/generate-seats/",
                "Your account is not allowed to add seats.",
            ),
        ],
    )
    def test_names_the_right_that_is_missing(self, path: str, words: str) -> None:
        text = words_of(clerk("view_concert").get(path), 403)

        assert words in text
        assert NAVIGATION in text

    @pytest.mark.parametrize(
        ("make", "page", "words"),
        [
            (WaitingRoomFactory, "steer/pause", "change waiting rooms"),
            (PerformanceFactory, "prices", "change seats"),
            (PerformanceFactory, "delete", "delete performances"),
        ],
    )
    def test_names_the_right_that_a_page_of_ours_needs(
        self, make: Callable[[], Any], page: str, words: str
    ) -> None:
        obj = make()
        client = clerk("view_waitingroom", "view_performance")

        text = words_of(client.get(f"{list_of(type(obj))}{obj.pk}/{page}/"), 403)

        assert f"Your account is not allowed to {words}." in text

    def test_says_what_no_staff_may(self, staff: Client) -> None:
        seat = PerformanceFactory(seats=1).seats.get()
        reserved = reservation(CustomerFactory(), [seat])

        assert "These records are read-only." in words_of(staff.post(page_of(reserved)), 403)
        assert Reservation.objects.exists()

    def test_a_right_that_does_not_reach_so_far(self) -> None:
        colleague = CustomerFactory(staff=True)

        answer = clerk("change_user", "view_user").post(page_of(colleague))

        assert "Your account is not allowed to do this." in words_of(answer, 403)

    def test_a_button_of_a_page_that_is_old(self, staff: Client) -> None:
        room = WaitingRoomFactory(state="PAUSED")

        text = words_of(staff.get(f"{list_of(WaitingRoom)}{room.pk}/pause/"), 403)

        assert "This is not possible any more" in text

    def test_a_form_without_its_token(self) -> None:
        performance = PerformanceFactory()
        client = clerk("delete_performance", "view_performance", enforce_csrf_checks=True)

        text = words_of(client.post(page_of(performance, "delete"), {"_expected": 1}), 403)

        assert "This form is out of date" in text
        assert "Nothing was changed." in text
        assert Performance.objects.exists()

    def test_a_login_without_its_token(self) -> None:
        text = words_of(Client(enforce_csrf_checks=True).post("/admin/login/", {}), 403)

        assert "This form is out of date" in text


class TestNotFound:
    @pytest.mark.parametrize(
        "path",
        [
            "/admin/nothing/",
            "/admin/concerts/performance/99999/prices/",
            "/admin/concerts/seat/hall/99999/delete/",
            "/admin/queue/waitingroom/99999/steer/pause/",
        ],
    )
    def test_says_so(self, staff: Client, path: str) -> None:
        text = words_of(staff.get(path), 404)

        assert "There is nothing at this address." in text
        assert NAVIGATION in text


class TestNotPossible:
    @pytest.mark.parametrize(
        ("method", "path"),
        [
            ("get", "/admin/logout/"),
            ("delete", "/admin/queue/waitingroom/{room}/steer/pause/"),
            ("post", "/admin/payments/ledgertransaction/export/"),
        ],
    )
    def test_says_so(self, staff: Client, method: str, path: str) -> None:
        room = WaitingRoomFactory()

        answer = getattr(staff, method)(path.format(room=room.pk))

        text = words_of(answer, 405)
        assert "Go back, and use the buttons of the page." in text
        assert answer.headers["Allow"]
        assert staff.get("/admin/").status_code == 200  # still logged in


class TestNotUnderstood:
    def test_too_many_fields(self, staff: Client) -> None:
        form = {f"field-{n}": "" for n in range(1_001)}

        text = words_of(staff.post("/admin/concerts/concert/add/", form), 400)

        assert "The form has too many fields." in text

    def test_a_form_that_is_too_large(self, staff: Client) -> None:
        text = words_of(staff.post("/admin/concerts/concert/add/", {"title": "x" * 3_000_000}), 400)

        assert "The form is too large." in text

    def test_a_filter_that_there_is_not(self, staff: Client) -> None:
        text = words_of(staff.get("/admin/concerts/seat/?performance__concert__title=x"), 400)

        assert "This list cannot be filtered like that." in text

    def test_a_host_that_is_not_ours(self, staff: Client) -> None:
        words_of(staff.get("/admin/", headers={"host": "evil.example"}), 400)


# What may come up in any view, and what staff are told.
FAILURES: list[tuple[Callable[[], Exception], int, str]] = [
    (lambda: OperationalError("statement timeout"), 503, "took too long"),
    (lambda: ServiceUnavailable(retry_after=2), 503, "took too long"),
    (lambda: SalesClosed(), 409, "Sales are over."),
    (lambda: IntegrityError("duplicate key"), 409, "conflicts with something that was just saved"),
    (lambda: ZeroDivisionError(), 500, "The error has been logged."),
]


@pytest.mark.parametrize(("make", "status", "words"), FAILURES)
class TestFailure:
    @pytest.fixture(autouse=True)
    def _failing(self, monkeypatch: pytest.MonkeyPatch, make: Callable[[], Exception]) -> None:
        def fail(*args: Any, **kwargs: Any) -> None:
            raise make()

        monkeypatch.setattr("apps.concerts.admin.ConcertAdmin.get_queryset", fail)
        monkeypatch.setattr("apps.concerts.admin.hall.grades_of_hall", fail)

    def test_of_a_list(self, staff: Client, status: int, words: str) -> None:
        answer = staff.get("/admin/concerts/concert/")

        assert words in words_of(answer, status)
        assert ("Retry-After" in answer.headers) == (status == 503)

    def test_of_a_page_of_ours(self, staff: Client, status: int, words: str) -> None:
        performance = PerformanceFactory()
        url = page_of(performance, "prices")

        assert words in words_of(staff.get(url), status)


def test_a_statement_that_takes_too_long_is_an_answer(
    staff: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    def slow(*args: Any, **kwargs: Any) -> Any:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("SET LOCAL statement_timeout = 50")
            cursor.execute("SELECT pg_sleep(5)")

    monkeypatch.setattr("apps.concerts.admin.hall.grades_of_hall", slow)
    url = page_of(PerformanceFactory(), "prices")

    assert "took too long" in words_of(staff.get(url), 503)


def test_without_a_database_there_is_an_answer(
    staff: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*args: Any, **kwargs: Any) -> None:
        raise OperationalError("FATAL: sorry, too many clients already")

    monkeypatch.setattr("django.db.backends.utils.CursorWrapper.execute", refuse)

    text = words_of(staff.get("/admin/concerts/concert/"), 503)

    assert "took too long, or does not answer" in text
    assert NAVIGATION not in text


class TestOddValues:
    @pytest.mark.parametrize(
        "address",
        [
            "concerts/concert/?created_at__year=99999",
            "concerts/concert/?venue=%00",
            "concerts/seat/?grade__exact=%00",
            "concerts/performance/add/?concert=x",
            "concerts/concert/add/?sales_open_at=2027-01-01",
            "payments/ledgertransaction/?type__exact=%00",
            "payments/ledgertransaction/add/?customer=x",
            f"concerts/concert/withdraw/?concert={'9' * 4_400}",
            "reservations/hold/?status__exact=%00",
        ],
    )
    def test_in_an_address_are_no_failure(self, staff: Client, address: str) -> None:
        assert staff.get(f"/admin/{address}").status_code in {200, 302, 400}

    def test_among_the_chosen_rows_are_no_failure(self, staff: Client) -> None:
        form = {"action": "block", "_selected_action": ["x", "\0", "1' or 1=1"]}

        assert staff.post("/admin/concerts/seat/", form).status_code in {302, 400}

    def test_in_the_search_of_the_theme_are_no_failure(self, staff: Client) -> None:
        assert staff.get("/admin/search/?s=a").status_code == 302

    def test_of_the_last_year_there_is_are_refused_at_their_field(self, staff: Client) -> None:
        performance = PerformanceFactory()
        form = {
            "concert": performance.concert_id,
            "starts_at_0": "9999-12-31",
            "starts_at_1": "23:59",
            "ends_at_0": "",
            "ends_at_1": "",
        }

        answer = send(staff, page_of(performance), form)

        assert "The year must be 2000 to 2099." in words_of(answer, 200)


class TestOutside:
    def test_pages_of_the_shop_stay_as_they_are(self) -> None:
        answer = Client().get("/nothing/")

        assert answer.status_code == 404
        assert SHOP in answer.content.decode()

    def test_a_form_of_the_shop_without_its_token(self) -> None:
        answer = Client(enforce_csrf_checks=True).post(reverse("storefront:login"), {})

        assert answer.status_code == 403
        assert SHOP in answer.content.decode()
