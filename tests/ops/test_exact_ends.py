"""Moments to the microsecond: a hold that was paid for when it was over was paid too late; what is recent begins with its first moment."""

import pytest
from django.db import connection
from django.db.models import F

from apps.ops.invariants.events import untold_reservations
from apps.ops.invariants.seats import reservations_unlike_their_holds
from apps.outbox.models import EventDelivery, OutboxEvent
from apps.reservations.models import Hold
from tests.factories.accounts import CustomerFactory
from tests.factories.concerts import PerformanceFactory
from tests.factories.reservations import reservation

pytestmark = pytest.mark.django_db


@pytest.fixture
def sold():
    """Two sales, past the constraint that would refuse what follows."""
    seats = list(PerformanceFactory(seats=2).seats.order_by("pk"))
    sold = [reservation(CustomerFactory(), [seat]) for seat in seats]
    connection.check_constraints()
    name = "hold_confirmed_before_it_expired"
    [constraint] = [known for known in Hold._meta.constraints if known.name == name]
    with connection.schema_editor() as editor:
        editor.remove_constraint(Hold, constraint)
    assert reservations_unlike_their_holds(None).breaches == 0
    return sold


@pytest.mark.parametrize("field", ["reserved_at", "ended_at"])
def test_is_found(sold, field):
    mine = sold[1]
    hold = Hold.objects.filter(pk=mine.hold_id)
    if field == "ended_at":
        hold.update(ended_at=F("expires_at"))
    else:
        type(mine).objects.filter(pk=mine.pk).update(reserved_at=hold.get().expires_at)

    [found] = reservations_unlike_their_holds(None).examples

    assert str(mine.pk) in found
    assert "confirmed when its hold was over" in found


def test_a_sale_at_the_first_moment_of_what_is_recent_is_told(sold):
    since = sold[0].reserved_at
    assert untold_reservations(since).breaches == 0

    EventDelivery.objects.all().delete()
    OutboxEvent.objects.all().delete()

    assert untold_reservations(since).breaches == 2
