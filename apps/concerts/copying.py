"""Make many dates at once, and concerts of others: with the halls, and always offline."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

from django.conf import settings
from django.db import connection
from django.utils import timezone
from django.utils.translation import gettext as _

from apps.concerts.errors import ConcertNotFound, DatesRefused
from apps.concerts.layouts import PlannedSeat
from apps.concerts.models import DATES, USUAL_LENGTH, Concert, Performance, Poster, Seat
from apps.concerts.services import categories_of, fill_hall
from apps.core.database import fetch_all, load_statements
from apps.core.transactions import requires_transaction, use_case

SQL = load_statements(Path(__file__).with_suffix(".sql"))

DATES_AT_ONCE = 400
SEATS_AT_ONCE = 200_000  # a few seconds of work


@dataclass(frozen=True, slots=True)
class MadeDates:
    """Dates of a concert that were made, and how many were passed over: they are there already, or would be in the past."""

    concert: Concert
    performances: list[Performance]
    passed_over: int


def dates_between(
    first: date, last: date, *, weekdays: Collection[int], times: Sequence[time]
) -> list[datetime]:
    """Return the moments at these times by the clocks of the venue, on each such day of the week (Monday is 0) from `first` to `last`."""
    venue = ZoneInfo(settings.VENUE_TIME_ZONE)
    return [
        datetime.combine(day, at, tzinfo=venue)
        for day in _days(first, last)
        if day.weekday() in weekdays
        for at in sorted(set(times))
    ]


def _days(first: date, last: date) -> Iterator[date]:
    for count in range((last - first).days + 1):
        yield first + timedelta(days=count)


@use_case
def add_dates(
    *,
    concert_id: int,
    starts: Sequence[datetime],
    hall: Sequence[PlannedSeat] = (),
    staff_id: int | None = None,
) -> MadeDates:
    """Give a concert many dates of the usual length, each with the seats of a plan that was validated.

    :raises ConcertNotFound: there is no such concert.
    :raises DatesRefused: they are too many, or have too many seats together, or one is out of bounds.
    :raises LayoutRefused: the plan keeps seats back in a category that there is not.
    """
    concert = Concert.objects.lock().filter(pk=concert_id).first()
    if concert is None:
        raise ConcertNotFound
    known = set(Performance.objects.of_concert(concert_id).values_list("starts_at", flat=True))
    now = timezone.now()
    new = [at for at in starts if at > now and at not in known]
    _refuse_too_many(len(new), len(hall) * len(new))
    _refuse_out_of_bounds(new)
    categories_of(hall)
    made = Performance.objects.bulk_create(
        Performance(concert=concert, starts_at=at, ends_at=at + USUAL_LENGTH) for at in new
    )
    if hall and made:
        fill_hall.step(performance_id=made[0].pk, seats=hall, staff_id=staff_id)
        made[0].refresh_from_db()
        for performance in made[1:]:
            _copy_hall(made[0], performance)
    return MadeDates(concert, made, len(starts) - len(new))


@use_case
def duplicate_concert(
    *,
    concert_id: int,
    title: str,
    days: int,
    with_dates: bool,
    with_halls: bool,
) -> MadeDates:
    """Make a concert like another one, offline, with its poster: its sales window and, `with_dates`, its dates so many days later.

    Dates that would be in the past are passed over. `with_halls` each date has the seats of the one that it is made of,
    with those that are kept back; nothing is sold of them.

    :raises ConcertNotFound: there is no such concert.
    :raises DatesRefused: the dates are too many, or have too many seats together, or one is out of bounds, or seats have
        changed meanwhile.
    """
    original = Concert.objects.lock().filter(pk=concert_id).first()
    if original is None:
        raise ConcertNotFound
    dates = list(Performance.objects.of_concert(concert_id).by_date()) if with_dates else []
    now = timezone.now()
    ahead = [date for date in dates if _later(date.starts_at, days) > now]
    _refuse_too_many(len(ahead), sum(date.seats_total for date in ahead) if with_halls else 0)
    _refuse_out_of_bounds(_later(date.starts_at, days) for date in ahead)
    concert = _copied(original, title, days)
    made = Performance.objects.bulk_create(
        Performance(
            concert=concert,
            starts_at=_later(date.starts_at, days),
            ends_at=_later(date.ends_at, days),
        )
        for date in ahead
    )
    if with_halls:
        for source, performance in zip(ahead, made, strict=True):
            _copy_hall(source, performance)
    return MadeDates(concert, made, len(dates) - len(ahead))


def _copied(original: Concert, title: str, days: int) -> Concert:
    own = {"id", "created_at", "is_published"}
    fields = {
        field.attname: getattr(original, field.attname)
        for field in Concert._meta.concrete_fields
        if field.name not in own
    }
    closes_at = original.sales_close_at
    fields |= {
        "title": title,
        "sales_open_at": _later(original.sales_open_at, days),
        "sales_close_at": closes_at and _later(closes_at, days),
    }
    _refuse_out_of_bounds(
        moment for moment in (fields["sales_open_at"], fields["sales_close_at"]) if moment
    )
    concert = Concert.objects.create(**fields)
    if poster := Poster.objects.filter(concert=original).first():
        poster.pk, poster.concert = None, concert
        poster.save()
    return concert


def _later(at: datetime, days: int) -> datetime:
    """Return the same time by the clocks of the venue on another day."""
    return timezone.localtime(at, ZoneInfo(settings.VENUE_TIME_ZONE)) + timedelta(days=days)


def _refuse_too_many(dates: int, seats: int) -> None:
    if dates > DATES_AT_ONCE or seats > SEATS_AT_ONCE:
        raise DatesRefused(
            _(
                "That makes %(dates)s dates with %(seats)s seats. At most %(dates_max)s dates and %(seats_max)s seats "
                "can be made at once: make them in parts, or without seats."
            )
            % {
                "dates": f"{dates:,}",
                "seats": f"{seats:,}",
                "dates_max": f"{DATES_AT_ONCE:,}",
                "seats_max": f"{SEATS_AT_ONCE:,}",
            }
        )


def _refuse_out_of_bounds(moments: Iterator[datetime] | Sequence[datetime]) -> None:
    if not all(DATES[0] <= moment < DATES[1] for moment in moments):
        raise DatesRefused(_("The year must be 2000 to 2099."))


@requires_transaction
def _copy_hall(source: Performance, target: Performance) -> None:
    """Give a new performance the seats of another one, in the same order and with all that a seat has.

    The other one is not locked, because sales of it are counted meanwhile, so it is compared with what it was.

    :raises DatesRefused: its seats have changed since it was read.
    """
    columns = ", ".join(
        connection.ops.quote_name(field.get_attname())
        for field in Seat._meta.concrete_fields
        if not field.primary_key and field.name not in ("performance", "is_blocked")
    )
    with connection.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO concerts_seat (performance_id, is_blocked, {columns})"  # noqa: S608 - names of our own columns
            f" SELECT %s, FALSE, {columns} FROM concerts_seat WHERE performance_id = %s ORDER BY id",
            [target.pk, source.pk],
        )
    counts = ("seat_map_version", "seats_total", "seats_unblocked")
    now = Performance.objects.filter(pk=source.pk).values(*counts).first()
    if now != {name: getattr(source, name) for name in counts}:
        raise DatesRefused(_("Seats have changed in the meantime. Try again."))
    target.seats_total = target.seats_unblocked = source.seats_total
    target.save(update_fields=["seats_total", "seats_unblocked"])
    fetch_all(SQL["copy_allocations"], {"source_id": source.pk, "target_id": target.pk})
