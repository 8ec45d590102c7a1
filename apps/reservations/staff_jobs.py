"""Define what staff ask for that runs in the background, or waits for a second person: refunds, and dates that move or are called off.

The parameters of a job have in them what it is called by, and the figures that were shown to the one who asked: so a list of jobs reads
nothing else, and one that is done still says what it was about.
"""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from apps.boxoffice.base.jobs.kinds import JobKind, Parameters, SingleStep, register_kind
from apps.boxoffice.base.jobs.models import StaffJob
from apps.boxoffice.base.words import at_venue, in_won
from apps.concerts.errors import PerformanceNotFound
from apps.concerts.job_dates import date_in_words, named
from apps.concerts.models import ANOTHER_AT_THAT_TIME, Performance
from apps.concerts.scheduling import (
    call_off_performance,
    move_in_words,
    reschedule_performance,
)
from apps.core.history import note
from apps.core.notices import NoticeText
from apps.reservations.errors import ChangeRefused
from apps.reservations.models import Reservation, ReservationQuerySet
from apps.reservations.refund_limits import (
    given_back_by_moves,
    given_back_if_cancelled,
    is_above_limit,
)
from apps.reservations.refund_plans import (
    RefundPlan,
    Sold,
    cancellable_of_performance,
    live_holds_of_performance,
    sold_among,
    sold_of_performance,
)
from apps.reservations.services import (
    cancel_seats,
    give_back,
    notify_holders,
    release_holds_of,
)

SELECTION_MAX = (
    100  # reservations that are cancelled at once; a performance that is called off has no limit
)
PERFORMANCE, HOLDS = "performance", "holds"  # the first rows of a performance that is called off

NO_NOTICE = NoticeText()

Lines = Sequence[tuple[str, str]]


class RefundReservation(SingleStep):
    """Seats and money of one reservation, above what one person may give back."""

    name = "refund_reservation"
    label = _("Refund a reservation")
    permission = "payments.refund"

    @staticmethod
    def parameters(plan: RefundPlan) -> dict[str, Any]:
        return {
            "reservation_id": str(plan.reservation.pk),
            "seat_ids": [ticket.seat_id for ticket in plan.tickets],
            "extra": plan.extra,
            "refunded_before": plan.reservation.refunded_amount,
            "given_back_by_moves": given_back_by_moves([plan.reservation]),
            "customer": plan.reservation.customer.name,
            **named(plan.reservation.performance),
            "seats": [str(ticket.seat) for ticket in plan.tickets],
            "seats_kept": len(plan.left) - len(plan.tickets),
            "amount": plan.amount,
            "to_house": plan.to_house,
            "paid": plan.reservation.total_price,
        }

    def title(self, parameters: Parameters) -> str:
        return gettext("Refund %(amount)s to %(customer)s, %(date)s") % {
            "amount": in_won(parameters["amount"]),
            "customer": parameters["customer"],
            "date": date_in_words(parameters),
        }

    def preview(self, parameters: Parameters) -> Lines:
        return refund_in_words(parameters)

    def needs_second_person(self, parameters: Parameters) -> bool:
        # In all, so that nobody gets around it in small amounts.
        names = ("given_back_by_moves", "refunded_before", "amount")
        return is_above_limit(sum(parameters[name] for name in names))

    def subjects(self, parameters: Parameters, *, after: str, limit: int) -> Sequence[str]:
        """Name the one row after the reservation, whose timeline finds it by that."""
        return () if after else (parameters["reservation_id"],)

    def apply(self, subject: str, job: StaffJob) -> str:
        asked = job.parameters
        given = give_back.step(
            reservation_id=UUID(asked["reservation_id"]),
            seat_ids=asked["seat_ids"],
            amount=asked["extra"],
            refunded_before=asked["refunded_before"],
            reason=job.reason,
            staff_id=job.requested_by_id,
        )
        return given.in_words


class CancelReservations(JobKind):
    """Reservations that staff have selected, each with all that is left of it."""

    name = "cancel_reservations"
    label = _("Cancel reservations")
    permission = "payments.refund"

    @staticmethod
    def parameters(reservation_ids: Collection[str]) -> dict[str, Any]:
        return {
            "reservation_ids": sorted(reservation_ids),
            "sold": sold_among(reservation_ids)._asdict(),
            "in_all": given_back_if_cancelled(reservation_ids),
        }

    def title(self, parameters: Parameters) -> str:
        return gettext("Cancel selected reservations: %(count)s") % {
            "count": len(parameters["reservation_ids"])
        }

    def preview(self, parameters: Parameters) -> Lines:
        return sold_in_words(Sold(**parameters["sold"]))

    def needs_second_person(self, parameters: Parameters) -> bool:
        return is_above_limit(parameters["in_all"])

    def total(self, parameters: Parameters) -> int:
        return len(parameters["reservation_ids"])

    def subjects(self, parameters: Parameters, *, after: str, limit: int) -> Sequence[str]:
        return [pk for pk in parameters["reservation_ids"] if pk > after][:limit]

    def apply(self, subject: str, job: StaffJob) -> str:
        return cancelled(subject, job)


class CallOffPerformance(JobKind):
    """Ends the sale of a performance first, then what is held of it, and then gives back one reservation after the other.

    When what is held has ended, nothing more can be sold: so the reservations that are looked for from then on are all there are.
    """

    name = "call_off_performance"
    label = _("Call off a performance")
    permission = "concerts.call_off_performance"

    @staticmethod
    def parameters(performance: Performance, notice: NoticeText = NO_NOTICE) -> dict[str, Any]:
        """Return them with the `notice` that its ticket holders read, as they read it."""
        return {
            "performance_id": performance.pk,
            **named(performance),
            "sold": sold_of_performance(performance.pk)._asdict(),
            "notice": notice._asdict(),
        }

    def title(self, parameters: Parameters) -> str:
        return gettext("Call off %(date)s") % {"date": date_in_words(parameters)}

    def preview(self, parameters: Parameters) -> Lines:
        performance = _performance(parameters)
        if performance.is_called_off:
            lines = sold_in_words(Sold(**parameters["sold"]))
        else:
            lines = calling_off_in_words(performance)
        return [*lines, *notice_in_words(parameters)]

    def total(self, parameters: Parameters) -> int:
        return 2 + _standing(parameters).count()

    def subjects(self, parameters: Parameters, *, after: str, limit: int) -> Sequence[str]:
        match after:
            case "":
                return [PERFORMANCE]
            case "performance":
                return [HOLDS]
        standing = _standing(parameters).order_by("pk")
        if after != HOLDS:
            standing = standing.filter(pk__gt=after)
        return [str(pk) for pk in standing.values_list("pk", flat=True)[:limit]]

    def apply(self, subject: str, job: StaffJob) -> str:
        if subject == PERFORMANCE:
            performance = call_off_performance(
                performance_id=job.parameters["performance_id"], reason=job.reason
            )
            words = gettext("Called off. %(reason)s") % {"reason": job.reason}
            note([performance, performance.concert], words, staff_id=job.requested_by_id)
            # Before the first reservation is cancelled: who cancels earlier is told nothing.
            told = _tell_holders(job)
            return " ".join([gettext("Nothing more is sold."), *told])
        if not _performance(job.parameters).is_called_off:
            raise ChangeRefused(gettext("The performance was not called off."))
        if subject == HOLDS:
            released = release_holds_of.step(performance_id=job.parameters["performance_id"])
            return gettext("Holds released: %(count)s") % {"count": released}
        return cancelled(subject, job)


class MovePerformance(SingleStep):
    """A date that is moved although tickets are sold for it."""

    name = "move_performance"
    label = _("Move a performance")
    permission = "concerts.call_off_performance"

    @staticmethod
    def parameters(
        performance: Performance,
        times: Mapping[str, datetime | None],
        notice: NoticeText = NO_NOTICE,
    ) -> dict[str, Any]:
        """Return them for `times` with the keys `to`, `ends_at` and `deadline`, of which the last two may be None.

        Ticket holders read the `notice`.
        """
        return {
            "performance_id": performance.pk,
            **named(performance),
            **{name: at and at.isoformat() for name, at in times.items()},
            "sold": sold_of_performance(performance.pk)._asdict(),
            "notice": notice._asdict(),
        }

    def title(self, parameters: Parameters) -> str:
        return gettext("Move %(date)s to %(time)s") % {
            "date": date_in_words(parameters),
            "time": at_venue(_time(parameters, "to")),
        }

    def preview(self, parameters: Parameters) -> Lines:
        return [*moving_in_words(parameters), *notice_in_words(parameters)]

    def needs_second_person(self, parameters: Parameters) -> bool:
        return _standing(parameters).exists()

    def apply(self, subject: str, job: StaffJob) -> str:
        before = _performance(job.parameters)
        starts_at = _time(job.parameters, "to")
        if before.starts_at != _time(job.parameters, "starts_at"):
            raise ChangeRefused(gettext("It has been moved in the meantime."))
        if job.decided_by_id is None and self.needs_second_person(job.parameters):
            words = gettext("Tickets have been sold in the meantime: ask for it again.")
            raise ChangeRefused(words)
        others = Performance.objects.of_concert(before.concert_id).exclude(pk=before.pk)
        assert starts_at is not None
        if others.filter(starts_at=starts_at).exists():
            raise ChangeRefused(str(ANOTHER_AT_THAT_TIME))
        after = reschedule_performance(
            performance_id=before.pk,
            starts_at=starts_at,
            ends_at=_time(job.parameters, "ends_at"),
            free_cancellation_until=_time(job.parameters, "deadline"),
        )
        words = move_in_words(before, after)
        note([after, after.concert], f"{words} {job.reason}", staff_id=job.requested_by_id)
        # Without tickets there is nobody to tell, and those who buy some later choose the new time.
        told = _tell_holders(job) if _standing(job.parameters).exists() else ()
        return " ".join([words, *told])


def register_kinds() -> None:
    for kind in (
        RefundReservation(),
        CancelReservations(),
        CallOffPerformance(),
        MovePerformance(),
    ):
        register_kind(kind)


def cancelled(reservation_id: str, job: StaffJob) -> str:
    """Cancel one reservation for a job, and say whose it was and what was given back."""
    given = cancel_seats.step(
        reservation_id=UUID(reservation_id), reason=job.reason, staff_id=job.requested_by_id
    )
    return given.in_words


def _tell_holders(job: StaffJob) -> Sequence[str]:
    """Show the notice of a job to ticket holders, and say how many they are; nothing if it has none."""
    text = _notice(job.parameters)
    if not any(text):
        return ()
    notice = notify_holders.step(
        performance_id=job.parameters["performance_id"], text=text, staff_id=job.requested_by_id
    )
    return (gettext("Customers told: %(count)s.") % {"count": f"{notice.customers:,}"},)


# --- In words ---------------------------------------------------------------------------------------------------------


def refund_in_words(parameters: Parameters) -> Lines:
    in_all = parameters["refunded_before"] + parameters["amount"]
    return [
        (gettext("seats that are cancelled"), ", ".join(parameters["seats"]) or gettext("none")),
        (gettext("seats that stay booked"), f"{parameters['seats_kept']:,}"),
        *_refund_in_words(parameters["amount"], parameters.get("to_house", 0)),
        (
            gettext("refunded in all"),
            gettext("%(refunded)s of %(paid)s")
            % {"refunded": in_won(in_all), "paid": in_won(parameters["paid"])},
        ),
        (gettext("where it goes"), gettext("to the wallet of the customer, who reads the reason")),
    ]


def _refund_in_words(amount: int, to_house: int) -> Lines:
    """Say what customers get, and what goes back to the house because it had paid it."""
    lines = [(gettext("refund to customers"), in_won(amount - to_house))]
    if to_house:
        lines.append((gettext("back to the house, which had paid it"), in_won(to_house)))
    return lines


def sold_in_words(sold: Sold) -> Lines:
    return [
        (gettext("reservations that are cancelled"), f"{sold.reservations:,}"),
        (gettext("customers"), f"{sold.customers:,}"),
        (gettext("tickets"), f"{sold.tickets:,}"),
        *_refund_in_words(sold.refundable, sold.to_house),
    ]


def calling_off_in_words(performance: Performance) -> Lines:
    return [
        *sold_in_words(sold_of_performance(performance.pk)),
        (
            gettext("reservations that their customers could still cancel themselves"),
            f"{cancellable_of_performance(performance):,}",
        ),
        (gettext("unpaid holds that end"), f"{live_holds_of_performance(performance.pk):,}"),
        (gettext("sales"), gettext("end at once, for good")),
    ]


def moving_in_words(parameters: Parameters) -> Lines:
    sold = Sold(**parameters["sold"])
    ends_at, deadline = _time(parameters, "ends_at"), _time(parameters, "deadline")
    times = (at_venue(_time(parameters, name)) for name in ("starts_at", "to"))
    return [
        (gettext("begins"), " → ".join(times)),
        (gettext("ends"), at_venue(ends_at) if ends_at else gettext("moves along")),
        (gettext("tickets"), f"{sold.tickets:,}"),
        (gettext("customers"), f"{sold.customers:,}"),
        (
            gettext("refund to customers, if all of them cancel"),
            in_won(sold.refundable - sold.to_house),
        ),
        (
            gettext("ticket holders can cancel until"),
            at_venue(deadline) if deadline else gettext("it begins"),
        ),
    ]


def notice_in_words(parameters: Parameters) -> Lines:
    """Say what ticket holders will read."""
    text = _notice(parameters)
    labels = (
        ("ko", gettext("ticket holders read, in Korean")),
        ("en", gettext("ticket holders read, in English")),
    )
    return [(label, text.in_language(code)) for code, label in labels if any(text)]


def second_person_in_words(kind: JobKind, parameters: Parameters) -> tuple[str, str]:
    """Say in a line whether it will be done at once."""
    is_needed = kind.needs_second_person(parameters)
    return (
        gettext("second person"),
        gettext("has to approve it") if is_needed else gettext("not needed: it is done at once"),
    )


def _performance(parameters: Parameters) -> Performance:
    """:raises PerformanceNotFound: it has been deleted."""
    found = Performance.objects.select_related("concert").filter(pk=parameters["performance_id"])
    performance = found.first()
    if performance is None:
        raise PerformanceNotFound
    return performance


def _notice(parameters: Parameters) -> NoticeText:
    return NoticeText(**parameters.get("notice", {}))


def _standing(parameters: Parameters) -> ReservationQuerySet:
    return Reservation.objects.filter(
        performance=parameters["performance_id"], status=Reservation.Status.CONFIRMED
    )


def _time(parameters: Parameters, name: str) -> datetime | None:
    value = parameters[name]
    return datetime.fromisoformat(value) if value else None
