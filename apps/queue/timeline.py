"""Tell what is on record of one visit to a waiting room, for staff who are asked why a customer lost the place."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import NamedTuple

from django.db.models import Q
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from apps.boxoffice.base.timeline import Moment
from apps.concerts.models import Concert
from apps.queue.live import live_room, store_needed
from apps.queue.models import PolicyChange, QueueExit, RoomNotice, WaitingRoom
from apps.queue.policy_words import value_in_words
from apps.queue.services.clock import from_micros

CHANGES_SHOWN = 50
NOTICES_SHOWN = 20
ROOMS_ASKED = 20
# Of a turn whose visitor has not shown up: a minute, and what a tick may be late.
NOT_SEEN_WITHIN = timedelta(seconds=75)
REMOVAL = "removed_visitor"
# What visitors notice of changes to a room.
NAMES = {
    field.name: field.verbose_name
    for field in WaitingRoom._meta.fields
    if field.name in ("state", "pause_reason", "withdrawal_reason", "opens_at")
}
NAMES["is_published"] = gettext_lazy("online")


def visit_of(*, concert_id: int, customer_id: int, generation: int, slot: int) -> QueueExit | None:
    """Return the end of a visit; None if it goes on, or its record was purged."""
    found = QueueExit.objects.of_concert(concert_id).filter(
        customer_id=customer_id, generation=generation, slot=slot
    )
    return found.first()


class PresentVisit(NamedTuple):
    """A visit that goes on; `joined_at` is None for a place that was drawn."""

    concert: Concert
    joined_at: datetime | None


def present_visits(customer_id: int) -> list[PresentVisit]:
    """Return in which of the rooms that are awake a customer is at the moment: one query, and a call to the store for each room.

    :raises ServiceUnavailable: the store does not answer.
    """
    awake = WaitingRoom.objects.filter(activity=WaitingRoom.Activity.AWAKE)
    found = []
    with store_needed():
        for room in awake.select_related("concert").order_by("-pk")[:ROOMS_ASKED]:
            visit = live_room(room.concert_id).visit_of(customer_id)
            if visit is not None:
                slot, _generation = visit
                found.append(PresentVisit(room.concert, from_micros(slot) if slot else None))
    return found


def moments_of_visit(visit: QueueExit) -> Iterator[Moment]:
    """Tell of a visit that has ended, and of what staff did to its room and told those who waited meanwhile; three queries."""
    yield Moment(visit.joined_at, _joined(visit))
    if visit.admitted_at is not None:
        waited = _("after a wait of %(span)s") % {
            "span": span_in_words(visit.admitted_at - visit.joined_at)
        }
        yield Moment(visit.admitted_at, _("Was let in"), (waited,))
    room = WaitingRoom.objects.filter(concert=visit.concert_id).first()
    yield Moment(visit.ended_at, why_ended(visit, room))
    if room is not None:
        yield from _changes(room, visit)
        yield from _notices(room, visit)


def moment_of_joining(slot: int) -> Moment | None:
    """Tell of a visit that has not ended; None of a place that was drawn, which says nothing of a time."""
    return Moment(from_micros(slot), _("Joined the queue")) if slot else None


def why_ended(visit: QueueExit, room: WaitingRoom | None) -> str:
    """Say what has ended a visit, as staff would tell the customer."""
    match visit.reason:
        case QueueExit.Reason.COMPLETED:
            return _("The visit ended because the customer had paid")
        case QueueExit.Reason.LEFT:
            return _("The customer left the queue")
        case QueueExit.Reason.REMOVED:
            return _("Staff removed the customer from the queue")
        case QueueExit.Reason.MERGED:
            return _("The place was given up for an older place of the same customer")
    if visit.admitted_at is None:
        return _(
            "Lost the place: the page of the queue did not ask for so long that the customer counted as gone"
        )
    lasted = visit.ended_at - visit.admitted_at
    if lasted < NOT_SEEN_WITHIN and (room is None or lasted < room.lease):
        return _("Lost the turn: the customer did not come within a minute of being let in")
    return _("The turn was over after %(span)s, without a payment") % {
        "span": span_in_words(lasted)
    }


def span_in_words(span: timedelta) -> str:
    return str(timedelta(seconds=round(span.total_seconds())))


def _joined(visit: QueueExit) -> str:
    if visit.slot:
        return _("Joined the queue")
    return _("The queue opened; the place was drawn by lot")


def _notices(room: WaitingRoom, visit: QueueExit) -> Iterator[Moment]:
    """Tell what the visitor read while waiting."""
    waited_until = visit.admitted_at or visit.ended_at
    shown = RoomNotice.objects.filter(
        Q(ended_at=None) | Q(ended_at__gt=visit.joined_at),
        Q(shown_until=None) | Q(shown_until__gt=visit.joined_at),
        room=room,
        sent_at__lt=waited_until,
    ).select_related("sent_by")
    for notice in shown.order_by("-pk")[:NOTICES_SHOWN]:
        words = _("Those who waited were told: “%(text)s”") % {"text": notice}
        yield Moment(max(notice.sent_at, visit.joined_at), words, by=str(notice.sent_by))


def _changes(room: WaitingRoom, visit: QueueExit) -> Iterator[Moment]:
    """Tell what staff changed about a room during a visit, as far as the visitor notices."""
    is_about = Q(field__in=list(NAMES)) | Q(field=REMOVAL, new_value=str(visit.customer_id))
    during = (visit.joined_at, visit.ended_at)
    changes = (
        PolicyChange.objects.filter(is_about, room=room, changed_at__range=during)
        .select_related("changed_by")
        .order_by("changed_at", "pk")
    )
    for change in changes[:CHANGES_SHOWN]:
        if change.field == REMOVAL:
            what = _("Removal by staff")
        else:
            what = _("Waiting room, %(field)s: %(before)s → %(after)s") % {
                "field": NAMES[change.field],
                "before": value_in_words(change.field, change.old_value),
                "after": value_in_words(change.field, change.new_value),
            }
        details = (change.reason,) if change.reason else ()
        yield Moment(change.changed_at, what, details, str(change.changed_by or change.actor))
