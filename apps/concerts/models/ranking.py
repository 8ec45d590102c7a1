from datetime import date
from typing import Self

from django.contrib.postgres.fields import ArrayField
from django.contrib.postgres.indexes import BrinIndex
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _

from apps.concerts.models.concert import Concert
from apps.concerts.models.performance import Performance


class RankingEntryQuerySet(models.QuerySet["RankingEntry"]):
    def between(self, *, first_day: date, last_day: date) -> Self:
        """Keep those of the days from `first_day` to `last_day`, both included."""
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
        _("reservations"),
        help_text=_("1 for a sale, -1 for a cancellation, 0 for one of some seats."),
    )
    seats = models.SmallIntegerField(_("seats"), help_text=_("Negative for a cancellation."))
    # Needed once some of them are blocked: what is sold and blocked is not for sale twice over.
    seat_ids = ArrayField(models.BigIntegerField(), verbose_name=_("seats"), db_default=[])
    occurred_at = models.DateTimeField(_("occurred at"))
    recorded_at = models.DateTimeField(_("recorded at"), db_default=Now(), editable=False)

    objects = RankingEntryQuerySet.as_manager()

    class Meta:
        verbose_name = _("ranking entry")
        verbose_name_plural = _("ranking entries")
        constraints = [
            models.CheckConstraint(
                condition=Q(reservations=1, seats__gte=1)
                | Q(reservations__in=[-1, 0], seats__lte=-1),
                name="ranking_entry_counts",
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
