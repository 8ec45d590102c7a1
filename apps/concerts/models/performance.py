from datetime import datetime, timedelta
from typing import Any, Self
from zoneinfo import ZoneInfo

from django.conf import settings
from django.db import models
from django.db.models import Exists, ExpressionWrapper, F, OuterRef, Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from apps.concerts.models.dates import DATES, OUT_OF_DATES, SalesWindow
from apps.concerts.models.seat import Seat
from apps.core.texts import TypedNoteField

ANOTHER_AT_THAT_TIME = _("This concert has a performance at that time already.")
USUAL_LENGTH = timedelta(hours=3)  # of a performance for which staff name no end
LENGTH_MAX = timedelta(days=7)
STAFF_REASON_MAX = 200  # characters that customers read


class PerformanceQuerySet(models.QuerySet["Performance"]):
    def published(self) -> Self:
        return self.filter(concert__is_published=True)

    def of_concert(self, concert_id: int) -> Self:
        return self.filter(concert_id=concert_id)

    def not_begun(self, *, at: datetime) -> Self:
        return self.filter(starts_at__gt=at)

    def to_be_played(self) -> Self:
        """Keep those that were not called off."""
        return self.filter(called_off_at=None)

    def not_ended(self, *, at: datetime) -> Self:
        # The first condition follows from the second, and is the one that the index knows.
        return self.filter(starts_at__gt=at - LENGTH_MAX, ends_at__gt=at)

    def by_date(self) -> Self:
        return self.order_by("starts_at", "pk")

    def fastest_sold_out(self) -> Self:
        """Sold-out ones by `sold_out_in`, the time from the opening of sales to the sale of the last seat.

        Leaves out what sold out before a sales window that was moved since.
        """
        return (
            self.filter(sold_out_at__gte=F("concert__sales_open_at"))
            .annotate(
                sold_out_in=ExpressionWrapper(
                    F("sold_out_at") - F("concert__sales_open_at"), models.DurationField()
                )
            )
            .order_by("sold_out_in", "pk")
        )

    def without_seats(self) -> Self:
        return self.filter(~Exists(Seat.objects.filter(performance=OuterRef("pk"))))

    def lock(self) -> Self:
        return self.order_by("pk").select_for_update(of=("self",), no_key=True)


class Performance(models.Model):
    """One date of a concert; seats belong to it."""

    concert = models.ForeignKey(
        "concerts.Concert",
        on_delete=models.CASCADE,
        related_name="performances",
        # The unique constraint below begins with this column.
        db_index=False,
        verbose_name=_("concert"),
    )
    starts_at = models.DateTimeField(_("starts at"))
    ends_at = models.DateTimeField(
        _("ends at"),
        blank=True,
        help_text=_(
            "Its tickets are shown as upcoming until then. "
            "Leave empty for three hours after it begins."
        ),
    )
    # Of the last time that it was moved to another time; see `reschedule_performance`.
    rescheduled_at = models.DateTimeField(_("moved at"), null=True, blank=True, editable=False)
    previous_starts_at = models.DateTimeField(
        _("moved from"), null=True, blank=True, editable=False
    )
    free_cancellation_until = models.DateTimeField(
        _("free cancellation until"),
        null=True,
        blank=True,
        editable=False,
        help_text=_(
            "For those who held their seats before it was moved. Empty means until it begins."
        ),
    )
    # Nothing more is sold from then on, and every reservation is given back; see `call_off_performance`.
    called_off_at = models.DateTimeField(_("called off at"), null=True, blank=True, editable=False)
    called_off_reason = TypedNoteField(
        _("why it was called off"),
        max_length=STAFF_REASON_MAX,
        blank=True,
        default="",
        db_default="",
        editable=False,
    )
    # Entries in calendars say by them which of two is the later one.
    schedule_version = models.PositiveIntegerField(
        _("version of the times"), default=0, db_default=0, editable=False
    )
    schedule_changed_at = models.DateTimeField(
        _("times changed at"), null=True, blank=True, editable=False
    )
    seat_map_version = models.PositiveIntegerField(
        _("seat map version"),
        default=1,
        editable=False,
        help_text=_("Grows whenever the unchanging part of the seat map does change."),
    )
    sold_out_at = models.DateTimeField(_("sold out at"), null=True, blank=True, editable=False)
    # Kept by all that changes seats, or counts sales, under the lock of this row, so that no reader has to count.
    seats_total = models.PositiveIntegerField(_("seats"), default=0, db_default=0, editable=False)
    seats_unblocked = models.PositiveIntegerField(
        _("seats for the public"), default=0, db_default=0, editable=False
    )
    seats_sold = models.IntegerField(
        _("seats sold"),
        default=0,
        db_default=0,
        editable=False,
        help_text=_("As far as the ranking has counted sales and cancellations."),
    )

    # Annotated by `fastest_sold_out()`.
    sold_out_in: timedelta

    objects = PerformanceQuerySet.as_manager()

    class Meta:
        verbose_name = _("performance")
        verbose_name_plural = _("performances")
        constraints = [
            models.UniqueConstraint(
                fields=["concert", "starts_at"],
                name="performance_once_per_concert_and_time",
                violation_error_message=ANOTHER_AT_THAT_TIME,
            ),
            models.CheckConstraint(
                condition=Q(starts_at__range=DATES),
                name="performance_date",
                violation_error_message=OUT_OF_DATES,
            ),
            # Bounded by the beginning, so that what has not ended is found by the index on that.
            models.CheckConstraint(
                condition=Q(ends_at__gt=F("starts_at"), ends_at__lte=F("starts_at") + LENGTH_MAX),
                name="performance_ends_after_it_starts",
                violation_error_message=_(
                    "A performance must end after it begins, within seven days."
                ),
            ),
            models.CheckConstraint(
                condition=Q(rescheduled_at=None, previous_starts_at=None)
                | Q(rescheduled_at__isnull=False, previous_starts_at__isnull=False),
                name="performance_rescheduled_from",
            ),
            models.CheckConstraint(
                condition=Q(free_cancellation_until=None)
                | Q(
                    rescheduled_at__isnull=False,
                    free_cancellation_until__lte=F("starts_at"),
                ),
                name="performance_free_cancellation",
            ),
            models.CheckConstraint(
                condition=Q(called_off_at=None, called_off_reason="")
                | (Q(called_off_at__isnull=False) & ~Q(called_off_reason="")),
                name="performance_called_off_explained",
            ),
        ]
        permissions = [("call_off_performance", _("Can call performances off"))]
        indexes = [
            # Finds what is still to come, of all that ever was.
            models.Index(fields=["starts_at"], include=["concert"], name="performance_by_date"),
            models.Index(
                fields=["concert"],
                condition=~Q(sold_out_at=None),
                include=["sold_out_at"],
                name="performance_sold_out",
            ),
        ]

    def __str__(self) -> str:
        return f"#{self.pk} {timezone.localtime(self.starts_at, ZoneInfo(settings.VENUE_TIME_ZONE)):%Y-%m-%d %H:%M}"

    def save(self, *args: Any, **kwargs: Any) -> None:
        if self.ends_at is None:
            self.ends_at = self.starts_at + USUAL_LENGTH
        super().save(*args, **kwargs)

    @property
    def sales_window(self) -> SalesWindow:
        """Needs `concert` to be loaded."""
        ends_at = self.starts_at
        if self.called_off_at is not None:
            ends_at = min(ends_at, self.called_off_at)
        return SalesWindow(self.concert.sales_open_at, self.concert.sales_close_at, ends_at)

    @property
    def is_called_off(self) -> bool:
        return self.called_off_at is not None

    def has_begun(self, at: datetime) -> bool:
        return self.starts_at <= at

    def is_on_sale(self, at: datetime) -> bool:
        """Needs `concert` to be loaded."""
        return self.concert.is_on_sale(at) and not self.has_begun(at) and not self.is_called_off
