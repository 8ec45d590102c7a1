"""Let those visitors look at seats and claim them whom the waiting room of the concert has admitted."""

from pathlib import Path
from typing import NamedTuple
from uuid import UUID

from apps.concerts.errors import ConcertNotFound, PerformanceNotFound
from apps.concerts.models import Concert, Performance
from apps.core.caching import ProcessCache
from apps.core.database import fetch_one, load_statements
from apps.core.errors import DomainError
from apps.queue.services import Admission, admitted_visitor, concert_of_token, verify_token
from apps.reservations.errors import HoldNotFound

SQL = load_statements(Path(__file__).with_suffix(".sql"))

# In the order of the statement `performance`. A field that it does not read would be fetched when it is asked for.
PERFORMANCE_FIELDS = ["id", "concert_id", "starts_at", "seat_map_version", "sold_out_at"]
CONCERT_FIELDS = [
    "id",
    "title",
    "artist",
    "venue",
    "description",
    "sales_open_at",
    "sales_close_at",
    "seats_per_customer",
    "unpaid_seats_max",
    "single_seats",
    "is_published",
    "created_at",
]

LOOK_SECONDS = 1.0
_concerts: ProcessCache[int, "_Concert"] = ProcessCache(seconds=LOOK_SECONDS, entries_max=1_000)


class _Concert(NamedTuple):
    """Hold what repeated calls have to know of the concert of a performance."""

    id: int
    single_seats: str
    seats_per_customer: int


def admission_to_concert(*, token: str | None, customer_id: int, concert_id: int) -> Admission:
    """:raises ConcertNotFound: and whatever the waiting room refuses with."""
    if not Concert.objects.published().filter(pk=concert_id).exists():
        raise ConcertNotFound
    return admitted_visitor(token=token, customer_id=customer_id, concert_id=concert_id)


def admission_to_performance(
    *, token: str | None, customer_id: int, performance_id: int
) -> tuple[Performance, Admission]:
    """Return the performance with its concert, and the admission to it.

    :raises PerformanceNotFound: and whatever the waiting room refuses with.
    """
    row = fetch_one(SQL["performance"], {"performance_id": performance_id})
    if row is None:
        raise PerformanceNotFound
    own = len(PERFORMANCE_FIELDS)
    performance = Performance.from_db("default", PERFORMANCE_FIELDS, row[:own])
    performance.concert = Concert.from_db("default", CONCERT_FIELDS, row[own:])
    admission = admitted_visitor(
        token=token, customer_id=customer_id, concert_id=performance.concert_id
    )
    return performance, admission


def admission_to_look(*, token: str | None, customer_id: int, performance_id: int) -> Admission:
    """Return the admission to a performance, for what is asked again and again: its concert may have been read a second ago.

    Holding seats has it, too: under its locks it sees for itself if the performance is still published.

    :raises PerformanceNotFound: and whatever the waiting room refuses with.
    """
    concert = _concerts.get(performance_id, lambda: _concert_of(performance_id))
    return admitted_visitor(token=token, customer_id=customer_id, concert_id=concert.id)


def refuses_single_seats(performance_id: int) -> bool:
    """Tell whether a choice may be refused for the single seats that it leaves, as it was a second ago; False without such a performance."""
    try:
        concert = _concerts.get(performance_id, lambda: _concert_of(performance_id))
    except PerformanceNotFound:
        return False
    # Where no customer may have two seats, single ones are as good as any.
    return concert.single_seats == Concert.SingleSeats.REFUSE and concert.seats_per_customer > 1


def concert_id_of(performance_id: int) -> int:
    """
    :raises PerformanceNotFound: there is none, or its concert is not published.
    """
    return _concert_of(performance_id).id


def _concert_of(performance_id: int) -> _Concert:
    found = (
        Performance.objects.published()
        .filter(pk=performance_id)
        .values_list("concert_id", "concert__single_seats", "concert__seats_per_customer")
        .first()
    )
    if found is None:
        raise PerformanceNotFound
    return _Concert._make(found)


def concert_to_pay_for(*, token: str | None, customer_id: int, hold_id: UUID) -> int:
    """Return the concert that a payer's token is for; `confirm_reservation` sees if the hold is of it.

    :raises HoldNotFound, QueueTokenRequired, QueueTokenInvalid: as `verify_payer` does.
    """
    try:
        return concert_of_token(token=token, customer_id=customer_id)
    except DomainError:
        # First of all it is said if there is no such hold.
        verify_payer(token=token, customer_id=customer_id, hold_id=hold_id)
        raise


def verify_payer(*, token: str | None, customer_id: int, hold_id: UUID) -> None:
    """Refuse a token that was not given to this customer for the concert of this hold.

    The waiting room itself is not asked: a customer with a live hold was admitted, and pays also while the room's store is down.

    :raises HoldNotFound: there is none, or it is another customer's.
    :raises QueueTokenRequired, QueueTokenInvalid: there is no token, or it is not for that.
    """
    row = fetch_one(SQL["concert_of_hold"], {"hold_id": hold_id, "customer_id": customer_id})
    if row is None:
        raise HoldNotFound
    verify_token(token=token, customer_id=customer_id, concert_id=row[0])
