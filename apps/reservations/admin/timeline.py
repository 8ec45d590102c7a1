"""Tell what happened to an order, from joining the queue to the last refund; and what was held and paid during a visit to a waiting room.

What became of an order once it was paid is told in `after_payment.py`.
"""

from collections.abc import Iterable, Iterator
from datetime import datetime

from django.contrib.admin.models import LogEntry
from django.contrib.contenttypes.models import ContentType
from django.db.models import Prefetch, Q
from django.utils import timezone
from django.utils.html import format_html
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from apps.boxoffice.base.timeline import Moment, register_source
from apps.boxoffice.base.words import at_venue, in_won, linked
from apps.outbox.models import EventDelivery
from apps.payments.models import LedgerTransaction
from apps.queue.models import QueueExit
from apps.queue.timeline import moment_of_joining, moments_of_visit, visit_of
from apps.reservations.admin.after_payment import what_became_of
from apps.reservations.models import Hold, Reservation
from apps.reservations.order_events import events_of, movements_of

EVENTS_SHOWN = 50


def moments_of_order(order: Reservation) -> Iterator[Moment]:
    """Needs `hold` and `performance`. Two dozen queries at most, whatever has happened."""
    order.hold.performance = order.performance  # the same, and read already
    yield from moments_of_hold(order.hold)
    movements = movements_of(order)
    yield from what_became_of([order], movements)
    performance = order.performance
    if order.is_rescheduled and performance.rescheduled_at and performance.previous_starts_at:
        words = _("The performance was moved: %(before)s → %(after)s") % {
            "before": at_venue(performance.previous_starts_at),
            "after": at_venue(performance.starts_at),
        }
        yield Moment(performance.rescheduled_at, words)
    yield from _events(order, movements)
    yield from _done_by_staff(order, order.hold)


def moments_of_unpaid_hold(hold: Hold) -> Iterator[Moment]:
    """Needs `performance`, and `reservation` if there is one, of which the order tells."""
    yield from moments_of_hold(hold)
    if (order := getattr(hold, "reservation", None)) is not None:
        yield Moment(order.reserved_at, _("Paid"), (linked(order),))
    yield from _done_by_staff(hold)


def moments_of_hold(hold: Hold) -> Iterator[Moment]:
    """Tell of a hold and of the visit to the waiting room in which it was made; needs `performance`."""
    if hold.queue_slot is not None and hold.queue_generation is not None:
        visit = visit_of(
            concert_id=hold.performance.concert_id,
            customer_id=hold.customer_id,
            generation=hold.queue_generation,
            slot=hold.queue_slot,
        )
        if visit is not None:
            yield from moments_of_visit(visit)
        elif joining := moment_of_joining(hold.queue_slot):
            yield joining
    yield from _while_held(hold)


def moments_held_during(visit: QueueExit) -> Iterator[Moment]:
    """Tell what a visitor held during a visit, and what became of it; a fixed number of queries."""
    holds = list(
        Hold.objects.of_customer(visit.customer_id)
        .filter(
            performance__concert=visit.concert_id,
            queue_generation=visit.generation,
            queue_slot=visit.slot,
        )
        .select_related("reservation__performance")
        .order_by("held_at", "pk")
    )
    orders = []
    for hold in holds:
        yield from _while_held(hold)
        if (order := getattr(hold, "reservation", None)) is not None:
            orders.append(order)
    if orders:
        yield from what_became_of(orders, movements_of(*orders), is_linked=True)
    if holds:
        yield from _done_by_staff(*holds, *orders)


def _while_held(hold: Hold) -> Iterator[Moment]:
    details = (linked(hold, _("Hold")),)
    until = hold.extended_from or hold.expires_at
    words = _("Held seats for %(amount)s, until %(time)s") % {
        "amount": in_won(hold.total_price),
        "time": _clock(until),
    }
    yield Moment(hold.held_at, words, details)
    if hold.extended_at is not None:
        words = _("Extended the hold until %(time)s") % {"time": _clock(hold.expires_at)}
        yield Moment(hold.extended_at, words)
    if hold.is_expired(timezone.now()):
        yield Moment(hold.expires_at, _("The hold expired; the seats were free again"))
    elif hold.status == Hold.Status.RELEASED and hold.ended_at is not None:
        if hold.release_reason:
            words = _("Staff released the hold; the seats were free again")
            yield Moment(hold.ended_at, words, (hold.release_reason,))
        else:
            yield Moment(hold.ended_at, _("The hold was given back; the seats were free again"))


def _clock(at: datetime) -> str:
    return f"{timezone.localtime(at):%H:%M:%S}"


def _events(order: Reservation, movements: Iterable[LedgerTransaction]) -> Iterator[Moment]:
    deliveries = Prefetch("deliveries", EventDelivery.objects.order_by("consumer"))
    for event in events_of(order, movements).prefetch_related(deliveries)[:EVENTS_SHOWN]:
        words = _("Recorded the event %(type)s") % {"type": event.type}
        details = (linked(event, _("Event")), *map(_delivery_in_words, event.deliveries.all()))
        yield Moment(event.occurred_at, words, details)


def _delivery_in_words(delivery: EventDelivery) -> str:
    words = ngettext(
        "%(consumer)s: %(status)s, %(count)d attempt",
        "%(consumer)s: %(status)s, %(count)d attempts",
        delivery.attempts,
    ) % {
        "consumer": delivery.consumer,
        "status": delivery.get_status_display(),
        "count": delivery.attempts,
    }
    rest = ""
    match delivery.status:
        case EventDelivery.Status.DONE if delivery.done_at is not None:
            rest = f", {at_venue(delivery.done_at)}"
        case EventDelivery.Status.PENDING:
            next_at = _("next at %(time)s") % {"time": at_venue(delivery.next_attempt_at)}
            rest = f", {next_at}"
    if delivery.last_error and delivery.status != EventDelivery.Status.DONE:
        rest += f". {delivery.last_error}"
    return format_html("{}{}", linked(delivery, words), rest)


def _done_by_staff(*objects: Reservation | Hold) -> Iterator[Moment]:
    """Tell what members of staff did to some objects, with their reasons; one query."""
    about = Q()
    for obj in objects:
        content_type = ContentType.objects.get_for_model(obj)
        about |= Q(content_type=content_type, object_id=str(obj.pk))
    for entry in LogEntry.objects.filter(about).select_related("user").order_by("action_time"):
        yield Moment(entry.action_time, entry.get_change_message(), by=str(entry.user))


register_source("reservations.reservation", moments_of_order)
register_source("reservations.hold", moments_of_unpaid_hold)
register_source("queue.queueexit", moments_held_during)
