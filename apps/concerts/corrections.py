"""Correction and deletion of what staff set up wrongly: prices, seats, dates and concerts that were never held or bought.

Locks: seats, concert, performance; see `docs/locking.md`. A hold request locks its seats as well, so one of the two comes first:
either its claim is found here and refuses the deletion, or it finds the seats locked or gone.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from apps.concerts.errors import PerformanceNotFound, PricesRefused
from apps.concerts.layouts import PRICE_MAX
from apps.concerts.models import Concert, Grade, Performance, Seat
from apps.concerts.services import save_counts
from apps.concerts.signals import ConcertDeleted, concert_deleted
from apps.core.database import Row, fetch_all, load_statements
from apps.core.deletion import Deletion, DeletionRefused, delete_rows, rows_by_key
from apps.core.transactions import requires_transaction, send_on_commit, use_case

SQL = load_statements(Path(__file__).with_suffix(".sql"))
PUBLISHED = gettext_lazy("A concert that is published cannot be deleted. Withdraw it first.")


@use_case
def correct_prices(
    *, performance_id: int, prices: Mapping[Grade, int], seat_map_version: int
) -> int:
    """Give the seats of some grades of a performance another price in won; returns how many seats got one.

    What is held or sold keeps its price. `seat_map_version` is that of the prices that were shown.

    :raises PerformanceNotFound: there is no such performance.
    :raises PricesRefused: a price is out of bounds, or seats or prices have changed since they were shown.
    """
    if not all(1 <= price <= PRICE_MAX for price in prices.values()):
        raise PricesRefused(_("A price must be 1 to %(price)s won.") % {"price": f"{PRICE_MAX:,}"})
    fetch_all(SQL["lock_halls"], {"performance_ids": [performance_id]})
    performance = Performance.objects.lock().filter(pk=performance_id).first()
    if performance is None:
        raise PerformanceNotFound
    if performance.seat_map_version != seat_map_version:
        raise PricesRefused(_("Seats or prices have changed in the meantime. Reload the page."))
    changed = _set_prices(performance_id, prices)
    if changed:
        performance.seat_map_version += 1
        performance.save(update_fields=["seat_map_version"])
    return changed


def _set_prices(performance_id: int, prices: Mapping[Grade, int]) -> int:
    seats = Seat.objects.of_performance(performance_id)
    return sum(
        seats.filter(grade=grade).exclude(price=price).update(price=price)
        for grade, price in prices.items()
    )


@requires_transaction
def delete_seats(*, ids: Sequence[int], expected: int | None = None) -> Deletion:
    """Delete seats that were never held.

    :raises DeletionRefused: something refers to one of them, or they are too many, or not as many as `expected`.
    """
    return delete_locked_seats(lock_seats(ids), expected=expected)


@requires_transaction
def lock_seats(ids: Sequence[int]) -> list[Row]:
    """Lock seats, and return of each its id and its performance."""
    return fetch_all(SQL["lock_chosen_seats"], {"seat_ids": list(ids)})


@requires_transaction
def delete_locked_seats(rows: Sequence[Row], *, expected: int | None = None) -> Deletion:
    """Delete seats that `lock_seats` has locked, and take them out of the counts of their performances.

    :raises DeletionRefused: as for `delete_seats`.
    """
    gone = Counter(performance_id for _, performance_id in rows)
    performances = list(Performance.objects.lock().filter(pk__in=gone))
    deletion = delete_rows(rows_by_key(Seat, [pk for pk, _ in rows]), expected=expected)
    for performance in performances:
        # Allocations went with their seats, and the trigger has counted those as open again.
        performance.refresh_from_db(fields=["seats_unblocked"])
        performance.seats_total -= gone[performance.pk]
        performance.seats_unblocked -= gone[performance.pk]
        performance.seat_map_version += 1
        performance.save(update_fields=["seats_total", "seats_unblocked", "seat_map_version"])
        save_counts(performance)
    return deletion


@requires_transaction
def delete_performances(*, ids: Sequence[int], expected: int | None = None) -> Deletion:
    """Delete dates with their seats.

    :raises DeletionRefused: something refers to one of them, or they are too many, or not as many as `expected`.
    """
    seats = fetch_all(SQL["lock_halls"], {"performance_ids": list(ids)})
    performances = Performance.objects.filter(pk__in=ids)
    _refuse_unless_locked(list(performances.lock()), len(seats))
    return delete_rows(performances, expected=expected)


@requires_transaction
def delete_concerts(*, ids: Sequence[int], expected: int | None = None) -> Deletion:
    """Delete concerts with their dates, seats and waiting rooms. Who still waits in one finds no concert any more.

    :raises DeletionRefused: one of them is published, or something refers to one of them, or they are too many, or not as many as
        `expected`.
    """
    performances = Performance.objects.filter(concert__in=ids)
    date_ids = list(performances.values_list("pk", flat=True))
    seats = fetch_all(SQL["lock_halls"], {"performance_ids": date_ids})
    concerts = Concert.objects.filter(pk__in=ids)
    if any(concert.is_published for concert in concerts.lock()):
        raise DeletionRefused(str(PUBLISHED))
    _refuse_unless_locked(list(performances.lock()), len(seats))
    deletion = delete_rows(concerts, expected=expected)
    for concert_id in ids:
        send_on_commit(concert_deleted, ConcertDeleted(concert_id))
    return deletion


def _refuse_unless_locked(performances: Sequence[Performance], seats: int) -> None:
    """Refuse if seats were made after the others were locked: a customer may be claiming them."""
    if sum(performance.seats_total for performance in performances) != seats:
        raise DeletionRefused(_("Seats have changed in the meantime. Check them again."))
