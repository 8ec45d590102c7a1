"""Test where customers read what staff tell them."""

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from apps.accounts.models import User
from apps.core.caching import clear_process_caches
from apps.core.notices import NoticeText
from apps.queue.services import notify_visitors, take_back_room_notice
from apps.reservations.models import Reservation
from apps.reservations.services import notify_holders
from tests.factories.accounts import CustomerFactory
from tests.factories.concerts import PerformanceFactory
from tests.factories.queue import WaitingRoomFactory
from tests.factories.reservations import reservation
from tests.storefront.visits import joined, status_of, url

pytestmark = pytest.mark.django_db

TEXT = NoticeText(en="Two lines.\n<b>Plain</b>", ko="한국어 안내")
ESCAPED = "Two lines.\n&lt;b&gt;Plain&lt;/b&gt;"


@pytest.fixture
def staff() -> User:
    return CustomerFactory(staff=True)


class TestThoseWhoWait:
    @pytest.mark.parametrize(("language", "shown"), [("en", ESCAPED), ("ko", TEXT.ko)])
    def test_read_it_on_their_page_and_in_their_language(self, staff, language, shown):
        concert = WaitingRoomFactory(capacity=1).concert
        client = joined(concert)
        headers = {"Accept-Language": language}
        before = client.get(url("queue", concert), headers=headers).content.decode()

        notify_visitors(concert_id=concert.pk, text=TEXT, staff_id=staff.pk)

        clear_process_caches()
        page = client.get(url("queue", concert), headers=headers).content.decode()
        status = client.get(url("queue_status", concert), headers=headers).json()
        assert 'data-slot="notice" hidden></p>' in before
        assert f'data-slot="notice">{shown}</p>' in page
        assert status["notice"] == getattr(TEXT, language)

    def test_read_it_no_longer_when_it_is_taken_back(self, staff):
        concert = WaitingRoomFactory(capacity=1).concert
        client = joined(concert)
        notice = notify_visitors(concert_id=concert.pk, text=TEXT, staff_id=staff.pk)

        take_back_room_notice(notice_id=notice.pk, staff_id=staff.pk)

        clear_process_caches()
        assert status_of(client, concert).json()["notice"] == ""
        page = client.get(url("queue", concert)).content.decode()
        assert 'data-slot="notice" hidden></p>' in page


class TestThoseWhoHaveTickets:
    @pytest.mark.parametrize(
        ("language", "shown", "badge"),
        [
            ("en", ESCAPED, "1 notice from the box office"),
            ("ko", TEXT.ko, "매표소 안내 1건"),
        ],
    )
    def test_read_it_beside_their_tickets(
        self, browser: Client, booked: Reservation, staff, language, shown, badge
    ):
        headers = {"Accept-Language": language}
        path = f"/reservations/{booked.pk}/"
        before = browser.get(path, headers=headers).content.decode()

        notify_holders(performance_id=booked.performance_id, text=TEXT, staff_id=staff.pk)

        page = browser.get(path, headers=headers).content.decode()
        listing = browser.get("/reservations/", headers=headers).content.decode()
        assert "holder-notice" not in before
        assert f'<p class="holder-notice__text">{shown}</p>' in page
        assert badge in listing

    def test_cost_the_same_queries_for_any_number(
        self, browser: Client, customer: User, booked: Reservation, staff
    ):
        def queries(path: str) -> int:
            with CaptureQueriesContext(connection) as captured:
                assert browser.get(path).status_code == 200
            return len(captured)

        paths = ("/reservations/", f"/reservations/{booked.pk}/")
        before = [queries(path) for path in paths]
        for performance in (booked.performance, *PerformanceFactory.create_batch(3, seats=1)):
            if performance != booked.performance:
                reservation(customer, list(performance.seats.all()))
            for _ in range(2):
                notify_holders(performance_id=performance.pk, text=TEXT, staff_id=staff.pk)

        assert [queries(path) for path in paths] == before
