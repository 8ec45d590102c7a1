"""Tell what became of orders once they were paid: money, seats that were given up, moves, notices, and jobs of staff."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from uuid import UUID

from django.db.models import Prefetch, Q, prefetch_related_objects
from django.utils.text import capfirst
from django.utils.translation import gettext as _

from apps.boxoffice.base.jobs.models import StaffJob, StaffJobRow
from apps.boxoffice.base.timeline import Moment
from apps.boxoffice.base.words import in_won, linked
from apps.payments.models import COUNTER_TYPES, LedgerTransaction
from apps.reservations.models import HolderNotice, Reservation, Ticket
from apps.reservations.staff_jobs import CallOffPerformance, MovePerformance

NOTICES_SHOWN = 50
JOBS_SHOWN = 50


def what_became_of(
    orders: Sequence[Reservation],
    movements: Iterable[LedgerTransaction],
    *,
    is_linked: bool = False,
) -> Iterator[Moment]:
    """Tell it of orders whose money moved like this; needs `performance`. Six queries, and one for the orders that they were moved to.

    On pages of something else `is_linked` leads to the orders.
    """
    given_up = Ticket.objects.filter(cancelled_at__isnull=False).select_related("seat")
    prefetch_related_objects(
        list(orders),
        Prefetch("tickets", given_up.order_by("cancelled_at", "seat_id"), to_attr="given_up"),
        "moved_to",
    )
    of_order: dict[UUID | None, list[LedgerTransaction]] = {}
    for movement in movements:
        of_order.setdefault(movement.reference, []).append(movement)
    for order in orders:
        yield from _money(order, of_order.get(order.pk, ()), is_linked=is_linked)
        yield from _seats_given_up(order)
        yield from _end(order)
    yield from _moved_here(orders)
    yield from _notices(orders)
    yield from _jobs(orders)


def _money(
    order: Reservation, movements: Iterable[LedgerTransaction], *, is_linked: bool
) -> Iterator[Moment]:
    Type = LedgerTransaction.Type  # noqa: N806
    refunded = 0
    payment = None
    for movement in movements:
        by = str(movement.adjusted_by) if movement.adjusted_by else ""
        if movement.type == Type.PAYMENT:
            payment = movement
        elif movement.type == Type.REFUND:
            refunded += movement.amount
            words = _("Refunded %(amount)s to the wallet") % {"amount": in_won(movement.amount)}
            if refunded < order.total_price or movement.amount < refunded:
                in_all = {"refunded": in_won(refunded), "paid": in_won(order.total_price)}
                in_words = _("in all %(refunded)s of %(paid)s") % in_all
                words += f" ({in_words})"
            details = tuple(filter(None, (linked(movement, _("Refund")), movement.reason)))
            yield Moment(movement.created_at, words, details, by)
        elif movement.type in COUNTER_TYPES:
            words = f"{capfirst(str(movement.get_type_display()))}: {in_won(abs(movement.amount))}"
            yield Moment(movement.created_at, words, tuple(filter(None, (movement.reason,))), by)
    words = _("Paid %(amount)s; the tickets were issued") % {"amount": in_won(order.total_price)}
    links = [linked(order)] if is_linked else []
    if payment is not None:
        links.append(linked(payment, _("Payment")))
    yield Moment(order.reserved_at, words, tuple(links))


def _seats_given_up(order: Reservation) -> Iterator[Moment]:
    """Tell of seats that were cancelled while others stayed; those that went together in one line."""
    tickets: list[Ticket] = order.given_up  # type: ignore[attr-defined]
    for (at, reason), together in groupby(
        tickets, key=lambda ticket: (ticket.cancelled_at, ticket.cancel_reason)
    ):
        assert at is not None
        seats = ", ".join(str(ticket.seat) for ticket in together)
        yield Moment(at, _("Seats cancelled: %(seats)s") % {"seats": seats}, (reason,))


def _end(order: Reservation) -> Iterator[Moment]:
    if order.cancelled_at is None:
        return
    if order.moved_to is not None:
        words = _("Moved to the order %(number)s; its own tickets are void")
        yield Moment(
            order.cancelled_at,
            words % {"number": order.moved_to.order_number},
            (linked(order.moved_to),),
        )
        return
    reason = (order.cancel_reason,) if order.cancel_reason else ()
    yield Moment(order.cancelled_at, _("Cancelled; the seats are free again"), reason)


def _moved_here(orders: Sequence[Reservation]) -> Iterator[Moment]:
    """Tell which orders these have taken the place of: they are of the same customers, for whom there is an index."""
    found = Reservation.objects.filter(
        customer__in={order.customer_id for order in orders}, moved_to__in=orders
    )
    for before in found.select_related("moved_to"):
        assert before.moved_to is not None
        words = _("Took the place of the order %(number)s") % {"number": before.order_number}
        yield Moment(before.moved_to.reserved_at, words, (linked(before),))


def _notices(orders: Sequence[Reservation]) -> Iterator[Moment]:
    """Tell what ticket holders read: each notice from when it was sent, or from the payment if that came later."""
    of_concert = Q(concert__in={order.performance.concert_id for order in orders})
    for_these = Q(performance=None) | Q(performance__in={order.performance_id for order in orders})
    found = HolderNotice.objects.filter(of_concert & for_these).select_related("sent_by")
    for notice in found.order_by("-pk")[:NOTICES_SHOWN]:
        for order in orders:
            if not _was_read_by(notice, order):
                continue
            words = _("Ticket holders were told: “%(text)s”") % {"text": notice}
            at = max(notice.sent_at, order.reserved_at)
            yield Moment(at, words, (linked(notice, _("Notice")),), str(notice.sent_by))
            if notice.ended_at is not None:
                yield Moment(notice.ended_at, _("The notice was taken back"))


def _jobs(orders: Sequence[Reservation]) -> Iterator[Moment]:
    """Tell of jobs that acted on orders, by their rows, and of those that are about to."""
    people = ("requested_by", "decided_by")
    ids = [str(order.pk) for order in orders]
    rows = StaffJobRow.objects.filter(subject__in=ids).select_related(
        "job", *(f"job__{name}" for name in people)
    )
    results = {row.job: row for row in rows.order_by("-pk")[:JOBS_SHOWN]}
    about = Q(parameters__reservation_id__in=ids) | Q(
        kind__in=(CallOffPerformance.name, MovePerformance.name),
        parameters__performance_id__in={order.performance_id for order in orders},
    )
    for pk in ids:
        about |= Q(parameters__reservation_ids__contains=[pk])
    is_open = Q(status__in=(StaffJob.Status.AWAITING_APPROVAL, StaffJob.Status.RUNNING))
    planned = StaffJob.objects.filter(is_open & about).select_related(*people).order_by("-pk")
    for job in {*results, *planned[:JOBS_SHOWN]}:
        yield from _job(job, results.get(job))


def _job(job: StaffJob, row: StaffJobRow | None) -> Iterator[Moment]:
    words = _("Asked for: %(job)s") % {"job": job}
    if row is None:
        state = job.get_status_display()
    else:
        state = f"{row.get_outcome_display()}: {row.detail}"
    yield Moment(
        job.requested_at,
        words,
        tuple(filter(None, (linked(job, _("Job")), job.reason, capfirst(str(state))))),
        str(job.requested_by),
    )
    if job.decided_at is not None:
        details = tuple(filter(None, (linked(job, _("Job")), job.decision_reason)))
        yield Moment(job.decided_at, _("Approved"), details, str(job.decided_by))


def _was_read_by(notice: HolderNotice, order: Reservation) -> bool:
    """Tell whether the holder of an order ever read a notice: bought before it was taken back, and cancelled after it was sent."""
    return (
        notice.performance_id in (None, order.performance_id)
        and (notice.ended_at is None or order.reserved_at < notice.ended_at)
        and (order.cancelled_at is None or notice.sent_at <= order.cancelled_at)
    )
