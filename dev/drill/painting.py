"""Keep whole halls back and release them, in the middle of a sale."""

from collections.abc import Sequence
from typing import Any

from apps.concerts.inventory import allocate_seats, release_seats
from apps.concerts.models import SeatAllocation
from apps.core.transactions import database_now
from apps.reservations.models import SeatClaim
from dev.drill.house import category_nobody_sells

ATTEMPTS = 20  # a customer who asks for a seat that is kept back locks it for a moment


def keep_back_and_release(performance_id: int, seat_ids: Sequence[int]) -> list[str]:
    """Keep those of some seats back that are free, and put them on sale again; return what went wrong: no customer may have one of them."""
    change: dict[str, Any] = {
        "performance_id": performance_id,
        "seat_ids": seat_ids,
        "staff_id": None,
        "reason": "A drill",
    }
    kept = allocate_seats(**change, category_id=category_nobody_sells())
    live = SeatClaim.objects.live(at=database_now()).of_performance(performance_id)
    kept_now = SeatAllocation.objects.filter(seat__in=seat_ids)
    taken = kept_now.filter(seat__in=live.values("seat")).count()
    found = [f"{taken} seats kept back that customers have"] if taken else []
    for _ in range(ATTEMPTS):
        release_seats(**change)
        left = kept_now.count()
        if not left:
            return found
    return [
        *found,
        f"{left} of {len(kept.applied)} seats that were kept back could not be released",
    ]
