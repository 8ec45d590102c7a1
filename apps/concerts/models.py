import math
from datetime import UTC, date, datetime, timedelta
from typing import Any, NamedTuple, Self
from zoneinfo import ZoneInfo

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.contrib.postgres.indexes import BrinIndex
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import Exists, ExpressionWrapper, F, Max, Min, OuterRef, Q
from django.db.models.functions import Now
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from apps.concerts.errors import SalesClosed, SalesNotOpen
from apps.core.search import SearchFold, search, search_index
from apps.core.texts import TypedLineField, TypedTextField

SEATS_PER_CUSTOMER_MAX = 10
UNPAID_SEATS_MAX = 100
# Whatever staff type as a date lies between them: nothing was sold before, and a mistyped year is noticed.
DATES = (datetime(2000, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC))
OUT_OF_DATES = _("The year must be 2000 to 2099.")
ANOTHER_AT_THAT_TIME = _("This concert has a performance at that time already.")
USUAL_LENGTH = timedelta(hours=3)  # of a performance for which staff name no end
LENGTH_MAX = timedelta(days=7)


def venue_day(at: datetime) -> date:
    """The calendar day at the venues; rankings count such days, not days of UTC."""
    return at.astimezone(ZoneInfo(settings.VENUE_TIME_ZONE)).date()


class SalesWindow(NamedTuple):
    """The time within which seats of one performance are sold."""

    opens_at: datetime
    closes_at: datetime | None
    starts_at: datetime

    @property
    def ends_at(self) -> datetime:
        return self.starts_at if self.closes_at is None else min(self.starts_at, self.closes_at)

    def refuse_unless_open(self, at: datetime) -> None:
        """
        :raises SalesNotOpen: before the sales window.
        :raises SalesClosed: after it, or once the performance has begun.
        """
        if at < self.opens_at:
            raise SalesNotOpen(retry_after=math.ceil((self.opens_at - at).total_seconds()))
        if at >= self.ends_at:
            raise SalesClosed


class ConcertQuerySet(models.QuerySet["Concert"]):
    def published(self) -> Self:
        return self.filter(is_published=True)

    def undated(self) -> Self:
        """Keep those without any date yet."""
        return self.filter(~Exists(Performance.objects.filter(concert=OuterRef("pk"))))

    def not_over(self, *, at: datetime, undated: "ConcertQuerySet | None" = None) -> Self:
        """Keep those with a performance that has not begun, and those without any date yet: there is something left to sell.

        To know the latter takes a look at every concert there ever was. Whoever knows them says so in `undated`.
        """
        return self._dated_or(Performance.objects.not_begun(at=at), undated)

    def not_ended(self, *, at: datetime) -> Self:
        """Keep those with a performance that is to come or under way, and those without any date yet."""
        return self._dated_or(Performance.objects.not_ended(at=at), None)

    def _dated_or(
        self, performances: "PerformanceQuerySet", undated: "ConcertQuerySet | None"
    ) -> Self:
        without = Concert.objects.undated() if undated is None else undated
        # A union: with `or` every concert would be asked for both.
        dated = performances.values("concert")
        return self.filter(pk__in=dated.union(without.values("pk"), all=True))

    def opened(self, *, at: datetime) -> Self:
        return self.filter(sales_open_at__lte=at)

    def opening(self, *, at: datetime) -> Self:
        """Those whose sales have not opened yet, the next to open first."""
        return self.filter(sales_open_at__gt=at).order_by("sales_open_at", "pk")

    def matching(self, text: str) -> Self:
        """Those with every word of `text` in the title, the artist or the venue, as `apps.core.search` compares them."""
        found: Self = search(self, text, Concert.SEARCHED)
        return found

    def with_dates(self) -> Self:
        """Annotates `first_performance_at` and `last_performance_at`; both are None without a performance."""
        return self.annotate(
            first_performance_at=Min("performances__starts_at"),
            last_performance_at=Max("performances__starts_at"),
        )

    def lock(self) -> Self:
        return self.order_by("pk").select_for_update(of=("self",), no_key=True)


class Concert(models.Model):
    """The production that is sold."""

    class SingleSeats(models.TextChoices):
        """Say what becomes of a choice on the map that leaves a free seat without a free neighbour."""

        OFF = "OFF", _("allow")
        WARN = "WARN", _("warn the customer")
        REFUSE = "REFUSE", _("refuse the choice")

    title = TypedLineField(_("title"), max_length=200)
    artist = TypedLineField(_("artist"), max_length=200)
    venue = TypedLineField(_("venue"), max_length=200)
    description = TypedTextField(_("description"), blank=True)
    sales_open_at = models.DateTimeField(_("sales open at"))
    sales_close_at = models.DateTimeField(
        _("sales close at"),
        null=True,
        blank=True,
        help_text=_("Leave empty to sell until each performance begins."),
    )
    seats_per_customer = models.PositiveSmallIntegerField(
        _("seats per customer"),
        default=1,
        validators=[MinValueValidator(1), MaxValueValidator(SEATS_PER_CUSTOMER_MAX)],
        help_text=_("How many seats of one performance a customer may hold or own, 1 to 10."),
    )
    unpaid_seats_max = models.PositiveSmallIntegerField(
        _("unpaid seats per customer"),
        null=True,
        blank=True,
        validators=[MaxValueValidator(UNPAID_SEATS_MAX)],
        help_text=_(
            "How many seats of this concert, all dates together, a customer may hold before paying. "
            "Leave empty to allow as many as of one performance."
        ),
    )
    single_seats = models.CharField(
        _("single seats"),
        max_length=6,
        choices=SingleSeats,
        default=SingleSeats.WARN,
        db_default=SingleSeats.WARN,
        help_text=_(
            "What happens if a choice on the map leaves one free seat on its own although that could be avoided."
        ),
    )
    is_published = models.BooleanField(
        _("published"),
        default=False,
        help_text=_("Only published concerts can be seen and sold."),
    )
    created_at = models.DateTimeField(_("created at"), default=timezone.now, editable=False)

    # Annotated by `with_dates()`.
    first_performance_at: datetime | None
    last_performance_at: datetime | None
    # Set by `selectors.published_concert`.
    price_min: int | None
    price_max: int | None

    SEARCHED = ("title", "artist", "venue")

    objects = ConcertQuerySet.as_manager()

    class Meta:
        verbose_name = _("concert")
        verbose_name_plural = _("concerts")
        constraints = [
            models.CheckConstraint(
                condition=~Q(title="") & ~Q(artist="") & ~Q(venue=""),
                name="concert_is_named",
                violation_error_message=_("A concert needs a title, an artist and a venue."),
            ),
            models.CheckConstraint(
                condition=Q(sales_close_at=None) | Q(sales_close_at__gt=F("sales_open_at")),
                name="concert_sales_close_after_they_open",
                violation_error_message=_("Sales must close after they open."),
            ),
            models.CheckConstraint(
                condition=Q(sales_open_at__range=DATES)
                & (Q(sales_close_at=None) | Q(sales_close_at__range=DATES)),
                name="concert_sales_dates",
                violation_error_message=OUT_OF_DATES,
            ),
            models.CheckConstraint(
                condition=Q(seats_per_customer__range=(1, SEATS_PER_CUSTOMER_MAX)),
                name="concert_seats_per_customer_1_to_10",
                violation_error_message=_("A customer may have 1 to 10 seats."),
            ),
            models.CheckConstraint(
                condition=Q(unpaid_seats_max=None)
                | Q(
                    unpaid_seats_max__gte=F("seats_per_customer"),
                    unpaid_seats_max__lte=UNPAID_SEATS_MAX,
                ),
                name="concert_unpaid_seats_max",
                violation_error_message=_(
                    "The limit for unpaid seats must be at least the number of seats per customer, and at most 100."
                ),
            ),
            models.CheckConstraint(
                condition=Q(single_seats__in=["OFF", "WARN", "REFUSE"]),
                name="concert_single_seats_is_known",
            ),
        ]
        indexes = [search_index("title", "artist", "venue", name="concert_search")]

    def __str__(self) -> str:
        return self.title

    @property
    def unpaid_seat_limit(self) -> int:
        """Return how many seats of all dates together a customer may hold without having paid."""
        return self.unpaid_seats_max or self.seats_per_customer

    def has_opened(self, at: datetime) -> bool:
        return self.sales_open_at <= at

    def has_closed(self, at: datetime) -> bool:
        return self.sales_close_at is not None and self.sales_close_at <= at

    def is_on_sale(self, at: datetime) -> bool:
        """Published, and `at` lies in the sales window. Whether a date is left to sell is another question."""
        return self.is_published and self.has_opened(at) and not self.has_closed(at)

    def has_date_to_sell(self, at: datetime) -> bool:
        """On sale, and a performance has not begun. Needs `with_dates()`."""
        last = self.last_performance_at
        return self.is_on_sale(at) and last is not None and last > at


class PerformanceQuerySet(models.QuerySet["Performance"]):
    def published(self) -> Self:
        return self.filter(concert__is_published=True)

    def of_concert(self, concert_id: int) -> Self:
        return self.filter(concert_id=concert_id)

    def not_begun(self, *, at: datetime) -> Self:
        return self.filter(starts_at__gt=at)

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
        Concert,
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
    # Kept by whatever changes seats, or counts sales, under the lock of this row: nobody has to count again.
    seats_total = models.PositiveIntegerField(_("seats"), default=0, db_default=0, editable=False)
    seats_unblocked = models.PositiveIntegerField(
        _("seats that are not blocked"), default=0, db_default=0, editable=False
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
        ]
        indexes = [
            # What is still to come, of all that ever was.
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
        return SalesWindow(self.concert.sales_open_at, self.concert.sales_close_at, self.starts_at)

    def has_begun(self, at: datetime) -> bool:
        return self.starts_at <= at

    def is_on_sale(self, at: datetime) -> bool:
        """Needs `concert` to be loaded."""
        return self.concert.is_on_sale(at) and not self.has_begun(at)


class Grade(models.TextChoices):
    """Price classes, the dearest first."""

    VIP = "VIP", "VIP"
    R = "R", "R"
    S = "S", "S"
    A = "A", "A"


class SeatQuerySet(models.QuerySet["Seat"]):
    def of_performance(self, performance_id: int) -> Self:
        return self.filter(performance_id=performance_id)

    def in_section(self, section: str) -> Self:
        return self.filter(section=section)

    def unblocked(self) -> Self:
        return self.filter(is_blocked=False)

    def in_map_order(self) -> Self:
        """The order in which seats were generated: section by section, row by row, number by number."""
        return self.order_by("pk")

    def lock(self) -> Self:
        return self.order_by("pk").select_for_update(of=("self",), no_key=True)


class Seat(models.Model):
    """One seat of one performance. Whether it is free is derived from the claims on it, never stored here."""

    performance = models.ForeignKey(
        Performance,
        on_delete=models.CASCADE,
        related_name="seats",
        # The unique constraint below begins with this column.
        db_index=False,
        verbose_name=_("performance"),
    )
    section = TypedLineField(_("section"), max_length=20)
    row = models.CharField(_("row"), max_length=5)
    number = models.PositiveSmallIntegerField(_("number"))
    grade = models.CharField(_("grade"), max_length=3, choices=Grade)
    price = models.PositiveIntegerField(
        _("price"), validators=[MinValueValidator(1)], help_text=_("In whole won.")
    )
    x = models.PositiveSmallIntegerField(
        _("x"), help_text=_("Position in the seat map: one unit is one seat, from the left.")
    )
    y = models.PositiveSmallIntegerField(
        _("y"), help_text=_("Position in the seat map: one unit is one row, from the stage.")
    )
    is_blocked = models.BooleanField(
        _("blocked"), default=False, help_text=_("Kept back by staff: it cannot be sold.")
    )

    objects = SeatQuerySet.as_manager()

    class Meta:
        verbose_name = _("seat")
        verbose_name_plural = _("seats")
        constraints = [
            models.UniqueConstraint(
                fields=["performance", "section", "row", "number"],
                name="seat_once_per_performance",
            ),
            models.CheckConstraint(
                condition=~Q(section="") & ~Q(row="") & Q(number__gte=1),
                name="seat_is_named",
            ),
            # What costs nothing cannot be paid, and so not be reserved.
            models.CheckConstraint(condition=Q(price__gte=1), name="seat_has_price"),
            models.CheckConstraint(condition=Q(grade__in=Grade.values), name="seat_grade_is_known"),
        ]
        indexes = [
            # The lowest and the highest price of a concert are read from its two ends.
            models.Index(fields=["performance", "price"], name="seat_price_range"),
            # By which staff find a seat as it is printed.
            models.Index(
                SearchFold(F("row")), F("number"), SearchFold(F("section")), name="seat_as_printed"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.section} {self.row}-{self.number}"


class RankingEntryQuerySet(models.QuerySet["RankingEntry"]):
    def between(self, *, first_day: date, last_day: date) -> Self:
        """Those of the days from `first_day` to `last_day`, both included."""
        return self.filter(day__range=(first_day, last_day))

    def of_performance(self, performance_id: int) -> Self:
        return self.filter(performance_id=performance_id)


class RankingEntry(models.Model):
    """Record what the ranking took from one event, so that it never asks the reservations."""

    event_id = models.UUIDField(_("event"), primary_key=True)
    concert = models.ForeignKey(
        Concert,
        on_delete=models.PROTECT,
        related_name="ranking_entries",
        # The index on concert and day serves it.
        db_index=False,
        verbose_name=_("concert"),
    )
    performance = models.ForeignKey(
        Performance,
        on_delete=models.PROTECT,
        related_name="ranking_entries",
        db_index=False,
        verbose_name=_("performance"),
    )
    day = models.DateField(_("day"), help_text=_("Calendar day at the venue."))
    reservations = models.SmallIntegerField(
        _("reservations"), help_text=_("1 for a sale, -1 for a cancellation.")
    )
    seats = models.SmallIntegerField(_("seats"), help_text=_("Negative for a cancellation."))
    # Which they are matters once some of them are blocked: what is sold and blocked is not for sale twice over.
    seat_ids = ArrayField(models.BigIntegerField(), verbose_name=_("seats"), db_default=[])
    occurred_at = models.DateTimeField(_("occurred at"))
    recorded_at = models.DateTimeField(_("recorded at"), db_default=Now(), editable=False)

    objects = RankingEntryQuerySet.as_manager()

    class Meta:
        verbose_name = _("ranking entry")
        verbose_name_plural = _("ranking entries")
        constraints = [
            models.CheckConstraint(
                condition=Q(reservations=1, seats__gte=1) | Q(reservations=-1, seats__lte=-1),
                name="ranking_entry_adds_or_takes",
            ),
        ]
        indexes = [
            # Both answer their sums from the index alone.
            models.Index(
                fields=["day", "concert"], include=["reservations"], name="ranking_entry_day"
            ),
            models.Index(
                fields=["concert"], include=["reservations"], name="ranking_entry_concert"
            ),
            # The last sale of a performance stands at its end.
            models.Index(
                fields=["performance", "occurred_at"],
                include=["seats"],
                name="ranking_entry_performance",
            ),
            # Rows lie in this order, so a range of time is a few blocks of the table.
            BrinIndex(fields=["recorded_at"], autosummarize=True, name="ranking_entry_recorded"),
        ]

    def __str__(self) -> str:
        return str(self.event_id)
