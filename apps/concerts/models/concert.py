from datetime import datetime
from typing import Self

from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import Exists, F, OuterRef, Q, Subquery
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from apps.concerts.models.dates import DATES, OUT_OF_DATES
from apps.concerts.models.performance import Performance, PerformanceQuerySet
from apps.core.search import search, search_index
from apps.core.texts import TypedLineField, TypedTextField

SEATS_PER_CUSTOMER_MAX = 10
UNPAID_SEATS_MAX = 100


class ConcertQuerySet(models.QuerySet["Concert"]):
    def published(self) -> Self:
        return self.filter(is_published=True)

    def undated(self) -> Self:
        """Keep those without any date yet."""
        return self.filter(~Exists(Performance.objects.filter(concert=OuterRef("pk"))))

    def not_over(self, *, at: datetime, undated: "ConcertQuerySet | None" = None) -> Self:
        """Keep those with a performance that has not begun, and those without any date yet: there is something left to sell.

        To know the latter takes a look at every concert there ever was. A caller that knows them passes them as `undated`.
        """
        return self._dated_or(Performance.objects.not_begun(at=at), undated)

    def not_ended(self, *, at: datetime) -> Self:
        """Keep those with a performance that is to come or under way, and those without any date yet."""
        return self._dated_or(Performance.objects.not_ended(at=at), None)

    def _dated_or(
        self, performances: PerformanceQuerySet, undated: "ConcertQuerySet | None"
    ) -> Self:
        without = Concert.objects.undated() if undated is None else undated
        # A union: with `or` every concert would be asked for both.
        dated = performances.values("concert")
        return self.filter(pk__in=dated.union(without.values("pk"), all=True))

    def opened(self, *, at: datetime) -> Self:
        return self.filter(sales_open_at__lte=at)

    def opening(self, *, at: datetime) -> Self:
        """Keep those whose sales have not opened yet, the next to open first."""
        return self.filter(sales_open_at__gt=at).order_by("sales_open_at", "pk")

    def matching(self, text: str) -> Self:
        """Keep those with every word of `text` in the title, the artist or the venue, as `apps.core.search` compares them."""
        found: Self = search(self, text, Concert.SEARCHED)
        return found

    def with_dates(self) -> Self:
        """Annotate `first_performance_at` and `last_performance_at`; both are None without a performance.

        And `last_date_to_sell`, the last of those that were not called off.
        """
        dates = self.model.performances.rel.related_model._default_manager.filter(
            concert=OuterRef("pk")
        )
        starts = dates.order_by("starts_at").values("starts_at")
        # Of each row that is shown a look at an index; an aggregate would read all dates of all concerts first.
        return self.annotate(
            first_performance_at=Subquery(starts[:1]),
            last_performance_at=Subquery(starts.reverse()[:1]),
            last_date_to_sell=Subquery(starts.filter(called_off_at=None).reverse()[:1]),
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
    last_date_to_sell: datetime | None
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
        indexes = [
            search_index("title", "artist", "venue", name="concert_search"),
            # In which staff read them, and find those of a day.
            models.Index(fields=["sales_open_at", "id"], name="concert_by_opening"),
        ]

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
        """Tell whether it is on sale, and a performance that will be played has not begun. Needs `with_dates()`."""
        last = self.last_date_to_sell
        return self.is_on_sale(at) and last is not None and last > at
