"""Changes of a seat map in words: for pages, histories and the results of jobs."""

from django.utils.translation import gettext as _

from apps.concerts.layouts import PlannedSeat
from apps.concerts.models import SeatKind
from apps.concerts.seat_changes import MapChanges

SEATS_NAMED = 100  # of each kind of change


def summary(changes: MapChanges) -> str:
    """Return, for example, "Added: 12. Removed: 3."."""
    return " ".join(f"{name}: {count:,}." for name, count in changes.counts if count)


def named_seats(changes: MapChanges) -> list[tuple[str, str]]:
    """Return each kind of change of single seats with the seats it is about, as far as there is room."""
    found = {name: list[str]() for name in ("place", "grade", "price", "kind", "kept")}
    for _pk, before, after in changes.replaced:
        for name, was, becomes in (
            ("place", f"{before.x}/{before.y}", f"{after.x}/{after.y}"),
            ("grade", before.grade, after.grade),
            ("price", f"{before.price:,}", f"{after.price:,}"),
            ("kind", _kind(before), _kind(after)),
            ("kept", _kept(before), _kept(after)),
        ):
            if was != becomes:
                found[name].append(f"{before.name} ({was} → {becomes})")
    kinds = [
        (_("Added"), [str(seat.name) for seat in changes.added]),
        (_("Removed"), [str(seat.name) for _pk, seat in changes.removed]),
        (_("Moved on the map"), found["place"]),
        (_("With another grade"), found["grade"]),
        (_("With another price"), found["price"]),
        (_("Of another kind"), found["kind"]),
        (_("In another category"), found["kept"]),
    ]
    return [(name, _in_a_line(seats)) for name, seats in kinds if seats]


def _kind(seat: PlannedSeat) -> str:
    return str(SeatKind(seat.kind or SeatKind.STANDARD).label)


def _kept(seat: PlannedSeat) -> str:
    if not seat.category:
        return _("Open")
    return f"{seat.category}: {seat.reason}" if seat.reason else seat.category


def _in_a_line(seats: list[str]) -> str:
    more = " …" if len(seats) > SEATS_NAMED else ""
    return f"{', '.join(seats[:SEATS_NAMED])}{more}"


def in_history(changes: MapChanges, source: str) -> str:
    """Say what was changed in the history of a performance; `source` is the file that it came from, or what was chosen."""
    kinds = " ".join(f"{name}: {seats}." for name, seats in named_seats(changes))
    return f"{_('Seats changed')} ({source}). {summary(changes)} {kinds}"


def refusals(changes: MapChanges) -> list[str]:
    """Return the first seats that stay as they are, each with the reason."""
    return [f"{name}: {reason}" for name, reason in changes.refused[:SEATS_NAMED]]
