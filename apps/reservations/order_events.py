"""Find the events about an order. No index finds them by what they are about, but they were recorded when it was made or changed."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db.models import Q, QuerySet

from apps.outbox.models import OutboxEvent
from apps.payments.models import COUNTER_TYPES, LedgerTransaction
from apps.reservations.lookups import ORDER_NUMBER
from apps.reservations.models import Reservation
from apps.reservations.order_numbers import order_number_in

# An event is recorded in the transaction of what it tells of, by the same clock or one a moment later.
NEARBY = timedelta(seconds=3)


def movements_of(*orders: Reservation) -> list[LedgerTransaction]:
    """Return the movements of money of orders, the payments first; two queries, for each part of which there is an index."""
    Type = LedgerTransaction.Type  # noqa: N806
    found = LedgerTransaction.objects.filter(
        reference__in=[order.pk for order in orders]
    ).select_related("adjusted_by")
    others = Q(type=Type.REFUND) | Q(type__in=COUNTER_TYPES)
    return [
        *found.filter(type=Type.PAYMENT),
        *found.filter(others).order_by("sequence"),
    ]


def events_of(order: Reservation, movements: Iterable[LedgerTransaction]) -> QuerySet[OutboxEvent]:
    """Return the events about an order whose money moved like this, the first first."""
    times = {order.reserved_at, order.cancelled_at, *(row.created_at for row in movements)}
    around = Q()
    for at in sorted(at for at in times if at is not None):
        around |= _around(at)
    found = OutboxEvent.objects.filter(around, payload__reservation_id=str(order.pk))
    return found.order_by("occurred_at", "pk")


def order_id_in(payload: Any) -> UUID | None:
    """Return the id of the order that the content of an event names; None if it names none."""
    try:
        return UUID(payload["reservation_id"])
    except (TypeError, KeyError, ValueError, AttributeError):
        return None


def order_named_in(payload: Any) -> Reservation | None:
    order_id = order_id_in(payload)
    return None if order_id is None else Reservation.objects.filter(pk=order_id).first()


def _around(at: datetime) -> Q:
    return Q(occurred_at__range=(at - NEARBY, at + NEARBY))


@dataclass(frozen=True, slots=True)
class EventsOfOrder:
    """Find rows by the order that their event is about: by its number, or its id. `column` has the event."""

    column: str
    label: Any = ORDER_NUMBER

    def find(self, text: str) -> Q | None:
        if (number := order_number_in(text)) is not None:
            by = Q(number=number)
        else:
            try:
                by = Q(pk=UUID(text))
            except ValueError:
                return None
        order = Reservation.objects.filter(by).first()
        if order is None:
            return None
        events = events_of(order, movements_of(order)).values_list("pk", flat=True)
        return Q(**{f"{self.column}__in": list(events)})
