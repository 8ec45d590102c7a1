"""Paid holds and the tickets of them."""

import base64
import secrets
from datetime import datetime
from typing import Any, Self

from django.conf import settings
from django.db import models
from django.db.models import F, Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from apps.concerts.models import STAFF_REASON_MAX, Performance, Seat
from apps.core.identifiers import new_id
from apps.core.texts import TypedLineField, TypedNoteField
from apps.payments.models import LedgerTransaction
from apps.reservations.models.hold import Hold
from apps.reservations.models.notice import HolderNotice
from apps.reservations.order_numbers import NextOrderNumber, printed_order_number

CONTACT_MAX = 100


def is_rescheduled_since(held_at: datetime, rescheduled_at: datetime | None) -> bool:
    """Tell whether a performance was moved after seats of it were chosen."""
    return rescheduled_at is not None and held_at <= rescheduled_at


def cancellable_until(
    *,
    starts_at: datetime,
    rescheduled_at: datetime | None,
    free_cancellation_until: datetime | None,
    held_at: datetime,
) -> datetime:
    """Return the last moment at which its customer may cancel a reservation.

    A customer who chose the seats before the performance was moved has not agreed to the new time, and may cancel until it begins, or
    until staff say; never for a shorter time than everybody else. The hold decides, not the payment: that may come after the move, from
    a page that shows the time of before.
    """
    usual = starts_at - settings.CANCELLATION_WINDOW
    if is_rescheduled_since(held_at, rescheduled_at):
        return max(usual, free_cancellation_until or starts_at)
    return usual


class ReservationQuerySet(models.QuerySet["Reservation"]):
    def of_customer(self, customer_id: int) -> Self:
        return self.filter(customer_id=customer_id)

    def newest_first(self) -> Self:
        return self.order_by("-reserved_at", "pk")

    def upcoming(self, *, at: datetime) -> Self:
        """Tickets for what is to come or under way, the next to begin first."""
        return self.filter(
            status=Reservation.Status.CONFIRMED, performance__ends_at__gt=at
        ).order_by("performance__starts_at", "pk")

    def past(self, *, at: datetime) -> Self:
        """Return reservations that are surely over or were cancelled, the latest first."""
        return self.filter(
            Q(performance__ends_at__lte=at) | Q(status=Reservation.Status.CANCELLED)
        ).order_by("-performance__starts_at", "pk")

    def with_details(self) -> Self:
        """Everything that describes a reservation to its owner, in a fixed number of queries."""
        return self.select_related("performance__concert", "hold").prefetch_related(
            models.Prefetch(
                "tickets", Ticket.objects.select_related("seat").order_by("seat_id", "pk")
            ),
            models.Prefetch(
                "performance__concert__notices",
                HolderNotice.objects.standing().order_by("sent_at", "pk"),
                to_attr="notices_to_holders",
            ),
        )


class Reservation(models.Model):
    """A paid hold. The lock on its hold is also the lock on it."""

    class Status(models.TextChoices):
        CONFIRMED = "CONFIRMED", _("confirmed")
        CANCELLED = "CANCELLED", _("cancelled")

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    # People know it as `order_number`.
    number = models.BigIntegerField(_("order number"), db_default=NextOrderNumber(), editable=False)
    hold = models.OneToOneField(
        Hold, on_delete=models.PROTECT, related_name="reservation", verbose_name=_("hold")
    )
    customer = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.PROTECT,
        related_name="reservations",
        db_index=False,
        verbose_name=_("customer"),
    )
    performance = models.ForeignKey(
        Performance,
        on_delete=models.PROTECT,
        related_name="reservations",
        verbose_name=_("performance"),
    )
    status = models.CharField(_("status"), max_length=10, choices=Status, default=Status.CONFIRMED)
    total_price = models.PositiveIntegerField(_("total price"), help_text=_("In whole won."))
    reserved_at = models.DateTimeField(_("reserved at"))
    cancelled_at = models.DateTimeField(_("cancelled at"), null=True, blank=True)
    cancel_reason = TypedNoteField(
        _("why staff cancelled it"),
        max_length=STAFF_REASON_MAX,
        blank=True,
        default="",
        db_default="",
    )

    contact = TypedLineField(
        _("contact"),
        max_length=CONTACT_MAX,
        blank=True,
        default="",
        db_default="",
        help_text=_("How to reach a customer of the counter who has no account."),
    )
    # No index: looked up from the old one to the new one only.
    moved_to = models.ForeignKey(
        "self",
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="+",
        db_index=False,
        verbose_name=_("moved to"),
        help_text=_("What the customer got in its place."),
    )

    # Set by `selectors.with_refunds`: the first refund first, what the house has paid of it in won, and what of that it got back.
    refunds: list[LedgerTransaction]
    house_part: int
    house_back: int

    objects = ReservationQuerySet.as_manager()

    class Meta:
        verbose_name = _("reservation")
        verbose_name_plural = _("reservations")
        permissions = [
            ("cancel_reservation", _("Can cancel reservations and seats of them")),
            ("sell_at_counter", "Can sell at the counter"),
            ("give_complimentary", "Can give complimentary tickets"),
            ("reseat", "Can move a customer to other seats"),
        ]
        constraints = [
            models.CheckConstraint(
                condition=Q(status="CONFIRMED", cancelled_at=None)
                | Q(status="CANCELLED", cancelled_at__gte=F("reserved_at")),
                name="reservation_cancelled_has_time",
            ),
            models.CheckConstraint(
                condition=Q(cancel_reason="") | Q(status="CANCELLED"),
                name="reservation_cancel_reason",
            ),
            models.UniqueConstraint(fields=["number"], name="reservation_order_number_once"),
            models.CheckConstraint(
                condition=Q(moved_to=None) | Q(status="CANCELLED"),
                name="reservation_moved_is_cancelled",
            ),
        ]
        indexes = [
            models.Index(fields=["customer", "-reserved_at"], name="reservation_of_customer"),
            # Finds what is new, for staff and for the checks of what has changed.
            models.Index(fields=["reserved_at"], name="reservation_by_time"),
            models.Index(
                fields=["cancelled_at"],
                condition=Q(cancelled_at__isnull=False),
                name="reservation_cancelled",
            ),
        ]

    def __str__(self) -> str:
        return self.order_number

    @property
    def order_number(self) -> str:
        """Return the number as people read it."""
        return printed_order_number(self.number)

    @property
    def cancellable_until(self) -> datetime:
        """Needs `performance` and `hold` to be loaded."""
        return cancellable_until(
            starts_at=self.performance.starts_at,
            rescheduled_at=self.performance.rescheduled_at,
            free_cancellation_until=self.performance.free_cancellation_until,
            held_at=self.hold.held_at,
        )

    @property
    def is_rescheduled(self) -> bool:
        """Tell whether its performance was moved since its seats were chosen. Needs `performance` and `hold` to be loaded."""
        return is_rescheduled_since(self.hold.held_at, self.performance.rescheduled_at)

    @property
    def changed_at(self) -> datetime:
        """Return when what is told of it last changed. Needs `performance` to be loaded."""
        moments = (self.reserved_at, self.performance.schedule_changed_at, self.cancelled_at)
        return max(at for at in moments if at is not None)

    @property
    def refunded_amount(self) -> int:
        """Return what was given back of it, in won. Needs `refunds` to be set."""
        return sum(refund.amount for refund in self.refunds)

    @property
    def refundable_amount(self) -> int:
        """Return what a cancellation would give back, in won. Needs `refunds` to be set."""
        return self.total_price - self.refunded_amount

    @property
    def refunded_to_customer(self) -> int:
        """Return what went back to the customer, in won: the house gets what it has paid. Needs `refunds` to be set."""
        return self.refunded_amount - self.house_back

    @property
    def refundable_to_customer(self) -> int:
        """Return what a cancellation would give back to the customer, in won. Needs `refunds` to be set."""
        return max(0, self.refundable_amount - (self.house_part - self.house_back))

    @property
    def notices(self) -> list[HolderNotice]:
        """Return what staff tell its holder at this moment, the oldest first. Needs `with_details()`."""
        concert: Any = self.performance.concert
        at = timezone.now()
        return [notice for notice in concert.notices_to_holders if notice.is_for(self, at)]

    def is_cancellable(self, at: datetime) -> bool:
        """Needs `performance` and `hold` to be loaded."""
        return self.status == self.Status.CONFIRMED and at <= self.cancellable_until


def new_ticket_code() -> str:
    """16 letters and digits with 80 random bits."""
    return base64.b32encode(secrets.token_bytes(10)).decode()


class TicketQuerySet(models.QuerySet["Ticket"]):
    def valid(self) -> Self:
        """Keep those that let their bearer in."""
        return self.filter(cancelled_at=None, reservation__status=Reservation.Status.CONFIRMED)


class Ticket(models.Model):
    """One seat of a reservation. Its `code` lets the bearer into the hall, unless it or the whole reservation is cancelled.

    `cancelled_at` is of one that was cancelled alone or with some others: a reservation keeps the one of those that end with it.
    """

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    reservation = models.ForeignKey(
        Reservation,
        on_delete=models.PROTECT,
        related_name="tickets",
        # The unique constraint below begins with this column.
        db_index=False,
        verbose_name=_("reservation"),
    )
    seat = models.ForeignKey(
        Seat, on_delete=models.PROTECT, related_name="tickets", verbose_name=_("seat")
    )
    price = models.PositiveIntegerField(_("price"), help_text=_("In whole won."))
    code = models.CharField(_("code"), max_length=16, default=new_ticket_code)
    cancelled_at = models.DateTimeField(_("cancelled at"), null=True, blank=True)
    cancel_reason = TypedNoteField(
        _("why staff cancelled it"),
        max_length=STAFF_REASON_MAX,
        blank=True,
        default="",
        db_default="",
    )

    objects = TicketQuerySet.as_manager()

    class Meta:
        verbose_name = _("ticket")
        verbose_name_plural = _("tickets")
        constraints = [
            models.UniqueConstraint(
                fields=["reservation", "seat"], name="seat_once_per_reservation"
            ),
            # Not `unique`, for which Django adds an index for searches by the beginning of a code.
            models.UniqueConstraint(fields=["code"], name="ticket_code_once"),
            models.CheckConstraint(
                condition=Q(cancelled_at=None, cancel_reason="")
                | (Q(cancelled_at__isnull=False) & ~Q(cancel_reason="")),
                name="ticket_cancelled_explained",
            ),
        ]
        indexes = [
            # Finds what staff have lately cancelled.
            models.Index(
                fields=["cancelled_at"],
                condition=Q(cancelled_at__isnull=False),
                name="ticket_cancelled",
            ),
        ]

    def __str__(self) -> str:
        return str(self.pk)

    @property
    def printed_code(self) -> str:
        """Return the code in groups of four, so that people can read it to each other."""
        return " ".join(self.code[start : start + 4] for start in range(0, len(self.code), 4))
