"""Keep halls as data: templates of venues, and drafts of what a seat map is to become."""

from collections.abc import Sequence
from datetime import timedelta

from apps.concerts.layouts import PlannedSeat
from apps.concerts.models import HallTemplate, SeatMapDraft
from apps.concerts.plans import pack_plan
from apps.concerts.seat_changes import existing_seats
from apps.core.transactions import database_now, requires_transaction, use_case

DRAFT_KEPT_FOR = timedelta(days=1)


def plan_of(performance_id: int) -> list[PlannedSeat]:
    """Return the seats of a performance as a plan, in the order of its map."""
    return [seat for _pk, seat in existing_seats(performance_id)]


@requires_transaction
def save_template(*, name: str, venue: str, seats: Sequence[PlannedSeat]) -> HallTemplate:
    """Keep a hall under a name.

    :raises IntegrityError: the venue has a template of that name.
    """
    return HallTemplate.objects.create(
        name=name, venue=venue, seats_total=len(seats), plan=pack_plan(seats)
    )


@use_case
def draft_seats(
    *, performance_id: int, seats: Sequence[PlannedSeat], source: str, removes_missing: bool
) -> SeatMapDraft:
    """Keep seats until staff have looked at what they would change; drafts of yesterday go."""
    SeatMapDraft.objects.filter(created_at__lt=database_now() - DRAFT_KEPT_FOR).delete()
    return SeatMapDraft.objects.create(
        performance_id=performance_id,
        source=source[:200],
        plan=pack_plan(seats),
        removes_missing=removes_missing,
    )
