"""Accounts of staff neither queue nor hold nor own seats, by whichever door they come."""

import pytest
from django.urls import reverse

from apps.accounts.errors import StaffAccount
from apps.queue.selectors import waiting_room_status
from apps.reservations.models import Hold
from tests.factories.accounts import CustomerFactory, browser_of
from tests.factories.queue import WaitingRoomFactory
from tests.factories.reservations import hold, hold_best
from tests.factories.visitors import Visitor

pytestmark = pytest.mark.django_db


@pytest.fixture
def clerk():
    CustomerFactory()
    return CustomerFactory(staff=True)


class TestStaffAccounts:
    def test_hold_no_seats(self, clerk, performance, seats):
        with pytest.raises(StaffAccount):
            hold(clerk, seats[:1])
        with pytest.raises(StaffAccount):
            hold_best(clerk, performance, 1)

        assert not Hold.objects.exists()

    def test_join_no_queue_of_the_api(self, clerk, performance):
        room = WaitingRoomFactory(concert=performance.concert)

        answer = Visitor(clerk).post("/queue/tokens", {"concert_id": room.concert_id})

        assert (answer.status_code, answer.json()["code"]) == (403, "STAFF_ACCOUNT")
        assert waiting_room_status(room.concert_id).waiting == 0

    def test_join_no_queue_of_the_pages(self, clerk, performance):
        room = WaitingRoomFactory(concert=performance.concert)

        answer = browser_of(clerk).post(reverse("storefront:queue", args=[room.concert_id]))

        assert answer.status_code == 403
        assert "Please use an account of your own." in answer.content.decode()
        assert waiting_room_status(room.concert_id).waiting == 0
