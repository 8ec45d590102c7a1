"""Test how staff take the seats of a hold from its customer, who is told why."""

from functools import partial
from uuid import uuid4

import pytest
from django.contrib.admin.models import LogEntry
from django.urls import reverse

from apps.reservations.errors import HoldExpired, HoldNotFound, HoldNotLive
from apps.reservations.models import Hold
from apps.reservations.services import release_hold_by_staff
from tests.factories.accounts import CustomerFactory, browser_of
from tests.factories.reservations import confirm, hold, overdue_hold
from tests.protections import LOCKS_OF_A_HOLD, without
from tests.reservations.racing import breaches, refusals, winners

pytestmark = pytest.mark.django_db


def release(held, **changes):
    staff_id = changes.pop("staff_id", None) or CustomerFactory(staff=True).pk
    arguments = {"hold_id": held.pk, "reason": "A wheelchair place is needed", "staff_id": staff_id}
    return release_hold_by_staff(**arguments | changes)


class TestReleaseHoldByStaff:
    def test_frees_the_seats_and_keeps_who_did_it_and_why(self, held, seats):
        clerk = CustomerFactory(staff=True)

        release(held, staff_id=clerk.pk)

        held.refresh_from_db()
        assert (held.status, held.release_reason) == ("RELEASED", "A wheelchair place is needed")
        assert hold(CustomerFactory(), seats[:1]).status == Hold.Status.HELD
        entry = LogEntry.objects.get(object_id=str(held.pk))
        assert entry.user_id == clerk.pk
        assert entry.change_message == (
            "Released by staff: 1 A-1. Reason: A wheelchair place is needed"
        )

    def test_refuses_what_was_paid(self, held):
        confirm(held)

        with pytest.raises(HoldNotLive):
            release(held)

        held.refresh_from_db()
        assert (held.status, held.release_reason) == ("CONFIRMED", "")
        assert not LogEntry.objects.exists()

    def test_refuses_what_is_over_or_unknown(self, seats):
        stale = overdue_hold(CustomerFactory(), seats[:1])

        with pytest.raises(HoldExpired):
            release(stale)
        with pytest.raises(HoldNotFound):
            release(Hold(id=uuid4()))

        assert not LogEntry.objects.exists()

    def test_needs_a_reason(self, held):
        with pytest.raises(ValueError, match="needs a reason"):
            release(held, reason="  ")

        held.refresh_from_db()
        assert held.status == Hold.Status.HELD

    def test_is_told_to_the_customer_on_the_page_of_the_hold(self, held):
        release(held)

        page = browser_of(held.customer).get(
            reverse("storefront:checkout", args=[held.performance.concert_id, held.pk])
        )

        assert "The box office released these seats" in page.content.decode()
        assert "A wheelchair place is needed" in page.content.decode()


@pytest.mark.django_db(transaction=True)
class TestReleaseAndPayment:
    """A hold that is paid and released at once is one of the two."""

    @pytest.fixture
    def both(self, race, held):
        staff_id = CustomerFactory(staff=True).pk
        return lambda: race([partial(confirm, held), partial(release, held, staff_id=staff_id)])

    def test_one_of_them_wins(self, both):
        outcomes = both()

        assert len(winners(outcomes)) == 1
        assert refusals(outcomes) == [HoldNotLive]
        assert breaches() == []

    def test_without_the_locks_a_paid_seat_is_given_away(self, stopped_before, held, monkeypatch):
        without(monkeypatch, LOCKS_OF_A_HOLD)
        staff_id = CustomerFactory(staff=True).pk
        released = stopped_before("release", partial(release, held, staff_id=staff_id))

        confirm(held)
        released.finish()

        assert "reservation_is_its_hold" in breaches()
