"""Holds and the claims they make on seats.

A seat is taken as long as a claim on it is live: its hold is HELD and not yet over, or was CONFIRMED and not cancelled. That is
read from here, never stored with the seat.
"""

from datetime import datetime
from typing import Self

from django.conf import settings
from django.contrib.postgres.indexes import BrinIndex
from django.db import models
from django.db.models import ExpressionWrapper, F, Q
from django.utils.translation import gettext_lazy as _

from apps.concerts.models import Performance, Seat
from apps.core.identifiers import new_id
from apps.core.texts import TypedLineField
from apps.reservations import triggers

REASON_MAX = 200  # of what staff tell a customer


class HoldQuerySet(models.QuerySet["Hold"]):
    def of_customer(self, customer_id: int) -> Self:
        return self.filter(customer_id=customer_id)

    def live(self, *, at: datetime) -> Self:
        return self.filter(status=Hold.Status.HELD, expires_at__gt=at)

    def overdue(self, *, at: datetime) -> Self:
        """Over by the clock, though no sweep has said so yet."""
        return self.filter(status=Hold.Status.HELD, expires_at__lte=at)

    def with_seats_held(self) -> Self:
        """Annotates `seats_held`, how many seats it is of."""
        return self.annotate(seats_held=models.Count("claims"))


class Hold(models.Model):
    """A customer's exclusive claim on seats of one performance until `expires_at`. Its seats never change."""

    class Status(models.TextChoices):
        HELD = "HELD", _("held")
        CONFIRMED = "CONFIRMED", _("confirmed")
        RELEASED = "RELEASED", _("released")
        EXPIRED = "EXPIRED", _("expired")

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    customer = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.PROTECT,
        related_name="holds",
        db_index=False,
        verbose_name=_("customer"),
    )
    performance = models.ForeignKey(
        Performance,
        on_delete=models.PROTECT,
        related_name="holds",
        db_index=False,
        verbose_name=_("performance"),
    )
    status = models.CharField(
        _("status"), max_length=10, choices=Status, default=Status.HELD, db_default=Status.HELD
    )
    total_price = models.PositiveIntegerField(_("total price"), help_text=_("In whole won."))
    seat_limit = models.PositiveSmallIntegerField(
        _("seat limit"), help_text=_("What one customer might have when this was held.")
    )
    unpaid_limit = models.SmallIntegerField(
        _("limit of unpaid seats"),
        null=True,
        blank=True,
        help_text=_(
            "How many unpaid seats of all dates together one customer might hold when this was held."
        ),
    )
    queue_slot = models.BigIntegerField(
        _("place in the queue"),
        null=True,
        blank=True,
        help_text=_("The visit to the waiting room that paying will end."),
    )
    queue_generation = models.PositiveIntegerField(
        _("generation of the waiting room"), null=True, blank=True
    )
    held_at = models.DateTimeField(_("held at"))
    expires_at = models.DateTimeField(_("expires at"))
    extended_at = models.DateTimeField(_("extended at"), null=True, blank=True)
    extended_from = models.DateTimeField(
        _("extended from"),
        null=True,
        blank=True,
        help_text=_("When it would have been over if it had not been extended."),
    )
    ended_at = models.DateTimeField(_("ended at"), null=True, blank=True)
    release_reason = TypedLineField(
        _("reason of staff"),
        max_length=REASON_MAX,
        blank=True,
        default="",
        db_default="",
        help_text=_("Why staff released it; the customer reads it."),
    )

    # Annotated by `with_seats_held()`.
    seats_held: int

    objects = HoldQuerySet.as_manager()

    class Meta:
        verbose_name = _("hold")
        verbose_name_plural = _("holds")
        permissions = [("release_hold", "Can release a hold of a customer")]
        constraints = [
            models.CheckConstraint(
                condition=Q(expires_at__gt=F("held_at")), name="hold_expires_after_it_began"
            ),
            models.CheckConstraint(
                condition=Q(status="HELD", ended_at=None)
                | Q(status__in=["CONFIRMED", "RELEASED", "EXPIRED"], ended_at__isnull=False),
                name="hold_ended_has_time",
            ),
            models.CheckConstraint(
                condition=~Q(status="CONFIRMED") | Q(ended_at__lt=F("expires_at")),
                name="hold_confirmed_before_it_expired",
            ),
            # Once, before it was over, and by no longer than it had been given at first.
            models.CheckConstraint(
                condition=Q(extended_at=None, extended_from=None)
                | Q(
                    extended_at__isnull=False,
                    extended_at__lt=F("extended_from"),
                    extended_from__isnull=False,
                    extended_from__lt=F("expires_at"),
                    expires_at__lte=ExpressionWrapper(
                        F("extended_from")
                        + ExpressionWrapper(
                            F("extended_from") - F("held_at"), models.DurationField()
                        ),
                        models.DateTimeField(),
                    ),
                ),
                name="hold_extended_once",
            ),
        ]
        indexes = [
            models.Index(fields=["customer", "performance"], name="hold_of_customer"),
            models.Index(
                fields=["performance"],
                condition=Q(status__in=["HELD", "CONFIRMED"]),
                name="hold_may_claim",
            ),
            models.Index(fields=["expires_at"], condition=Q(status="HELD"), name="hold_to_expire"),
            # Finds what is new, for staff and for the checks of what has changed.
            models.Index(fields=["held_at"], name="hold_by_time"),
            # Finds what the retention may delete, and what has lately ended.
            models.Index(
                fields=["ended_at"],
                condition=Q(status__in=["RELEASED", "EXPIRED"]),
                name="hold_unpaid_ended",
            ),
            # Tells whether a date was ever held, when it is deleted. Rows of one date lie together.
            BrinIndex(fields=["performance"], autosummarize=True, name="hold_by_performance"),
        ]

    def __str__(self) -> str:
        return str(self.pk)

    def is_expired(self, at: datetime) -> bool:
        """Over because its time is; whether a sweep has noted it makes no difference."""
        return self.status == self.Status.EXPIRED or (
            self.status == self.Status.HELD and self.expires_at <= at
        )

    def longest_end(self, *, sales_end_at: datetime) -> datetime:
        """Return when it ends if it is extended: after as long again as it had at first, and no later than the sales."""
        return min(self.expires_at + (self.expires_at - self.held_at), sales_end_at)

    def extension(self, *, at: datetime) -> datetime | None:
        """Return until when it may be extended; None if it may not. `extensions_of` knows of its visit, which may be over, too.

        Needs `performance` and its concert.
        """
        until = self.longest_end(sales_end_at=self.performance.sales_window.ends_at)
        may = (
            self.status == self.Status.HELD
            and at < self.expires_at < until
            and self.extended_at is None
            and self.performance.concert.is_published
        )
        return until if may else None


class SeatClaimQuerySet(models.QuerySet["SeatClaim"]):
    def open(self) -> Self:
        """Keep those not ended on record. Some of them may be overdue."""
        return self.filter(ended_at=None)

    def of_performance(self, performance_id: int) -> Self:
        # Filter both tables so that the planner can use either index.
        return self.filter(performance_id=performance_id, hold__performance_id=performance_id)

    def live(self, *, at: datetime) -> Self:
        return self.open().filter(
            Q(hold__status=Hold.Status.CONFIRMED)
            | Q(hold__status=Hold.Status.HELD, hold__expires_at__gt=at)
        )


class SeatClaim(models.Model):
    """One seat of one hold, with the price it had. Ends when the hold does without payment, or with a cancellation."""

    hold = models.ForeignKey(
        Hold,
        on_delete=models.CASCADE,
        related_name="claims",
        db_index=False,
        verbose_name=_("hold"),
    )
    # Known from both of the others, but the index on it finds the open claims of one hall among those of all.
    performance = models.ForeignKey(
        Performance,
        on_delete=models.PROTECT,
        related_name="+",
        db_index=False,
        verbose_name=_("performance"),
    )
    seat = models.ForeignKey(
        Seat,
        on_delete=models.PROTECT,
        related_name="claims",
        db_index=False,
        verbose_name=_("seat"),
    )
    price = models.PositiveIntegerField(_("price"), help_text=_("In whole won."))
    ended_at = models.DateTimeField(_("ended at"), null=True, blank=True)

    objects = SeatClaimQuerySet.as_manager()

    class Meta:
        verbose_name = _("seat claim")
        verbose_name_plural = _("seat claims")
        constraints = [
            models.UniqueConstraint(
                fields=["seat"], condition=Q(ended_at=None), name="seat_claimed_once"
            ),
            models.UniqueConstraint(fields=["hold", "seat"], name="seat_once_per_hold"),
        ]
        indexes = [
            models.Index(fields=["seat"], name="seat_claims_of_seat"),
            models.Index(
                fields=["performance"], condition=Q(ended_at=None), name="seat_claims_open"
            ),
            # As of holds.
            BrinIndex(fields=["performance"], autosummarize=True, name="seat_claim_by_performance"),
        ]
        triggers = [triggers.sold_seat_returns()]

    def __str__(self) -> str:
        return f"{self.hold_id}: {self.seat_id}"
