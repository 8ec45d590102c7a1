"""Reads of concerts and their dates."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from django.db.models import Count, F, Max, Min, OuterRef, Q, Subquery

from apps.concerts.errors import ConcertNotFound, PerformanceNotFound
from apps.concerts.models import Concert, ConcertQuerySet, Performance, PerformanceQuerySet, Seat
from apps.core.caching import ProcessCache

# For as long as clients may keep a list of concerts.
_undated: ProcessCache[None, list[int]] = ProcessCache(seconds=5.0, entries_max=1)


def concerts_not_over(*, at: datetime, text: str = "") -> ConcertQuerySet:
    """Published concerts with a date left, or none yet, that match `text`; the next to begin first, undated ones last.

    With a text, those that have all of its words in the title come before the others.

    Those without a date are known from a few seconds ago.
    """
    undated = _undated.get(
        None, lambda: list(Concert.objects.undated().values_list("pk", flat=True))
    )
    concerts = Concert.objects.published().not_over(
        at=at, undated=Concert.objects.filter(pk__in=undated)
    )
    by_date = (F("first_performance_at").asc(nulls_last=True), "pk")
    if text.strip():
        return concerts.matching(text).with_dates().order_by(F("fits_first").desc(), *by_date)
    return concerts.with_dates().order_by(*by_date)


def published_concert(concert_id: int) -> Concert:
    """Return a published concert with its dates and prices, also when it is over.

    :raises ConcertNotFound: there is none, or it is not published.
    """
    concert = _published(concert_id, Concert.objects.with_dates())
    concert.price_min, concert.price_max = _price_range(concert_id)
    return concert


def concert_in_brief(concert_id: int) -> Concert:
    """Return a published concert without its dates and prices.

    :raises ConcertNotFound: there is none, or it is not published.
    """
    return _published(concert_id, Concert.objects.all())


def concert_of_visitor(concert_id: int) -> Concert:
    """Return the same for a visitor who has a place in the waiting room of a concert, or has booked, also while it is offline.

    :raises ConcertNotFound: there is none.
    """
    concert = Concert.objects.filter(pk=concert_id).first()
    if concert is None:
        raise ConcertNotFound
    return concert


def is_withdrawn(concert_id: int) -> bool:
    """Tell whether there is such a concert, and it is not published."""
    return Concert.objects.filter(pk=concert_id, is_published=False).exists()


def _published(concert_id: int, concerts: ConcertQuerySet) -> Concert:
    concert = concerts.published().filter(pk=concert_id).first()
    if concert is None:
        raise ConcertNotFound
    return concert


def _price_range(concert_id: int) -> tuple[int | None, int | None]:
    # Two index look-ups for each performance, however many seats it has.
    by_price = Seat.objects.filter(performance=OuterRef("pk")).values("price")
    found = (
        Performance.objects.of_concert(concert_id)
        .annotate(
            cheapest=Subquery(by_price.order_by("price")[:1]),
            dearest=Subquery(by_price.order_by("-price")[:1]),
        )
        .aggregate(lowest=Min("cheapest"), highest=Max("dearest"))
    )
    return found["lowest"], found["highest"]


@dataclass(frozen=True, slots=True)
class SaleSummary:
    """Sum up what a customer wants to know of a concert before looking closer. `price_from` is in won, None without seats.

    It is called off if all of its dates ahead are; one of several is told on the page of the concert.
    """

    price_from: int | None
    is_sold_out: bool
    is_called_off: bool = False


def sale_summaries(concert_ids: Sequence[int], *, at: datetime) -> dict[int, SaleSummary]:
    """Return summaries by concert, over the performances that have not begun; one query, and none of the seats is counted."""
    cheapest = Seat.objects.filter(performance=OuterRef("pk")).order_by("price").values("price")
    found = (
        Performance.objects.filter(concert__in=concert_ids)
        .not_begun(at=at)
        .annotate(cheapest=Subquery(cheapest[:1]))
        .values("concert")
        .annotate(
            lowest=Min("cheapest", filter=Q(called_off_at=None)),
            played=Count("pk", filter=Q(called_off_at=None)),
            sold_out=Count("pk", filter=Q(called_off_at=None, sold_out_at__isnull=False)),
        )
        .values_list("concert", "lowest", "played", "sold_out")
    )
    return {
        concert_id: SaleSummary(
            lowest, is_sold_out=0 < played == sold_out, is_called_off=not played
        )
        for concert_id, lowest, played, sold_out in found
    }


def dates_of(concert_id: int) -> PerformanceQuerySet:
    """Return the dates of a published concert in order."""
    return (
        Performance.objects.published().of_concert(concert_id).select_related("concert").by_date()
    )


def published_performance(performance_id: int) -> Performance:
    """Return a performance with its concert.

    :raises PerformanceNotFound: there is none, or its concert is not published.
    """
    performance = (
        Performance.objects.published().select_related("concert").filter(pk=performance_id).first()
    )
    if performance is None:
        raise PerformanceNotFound
    return performance
