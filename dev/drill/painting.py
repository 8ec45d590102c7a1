"""Staff who keep whole halls back and release them, in the middle of a sale."""

from typing import Any

from apps.concerts.inventory import allocate_seats, release_seats
from apps.concerts.models import InventoryCategory, SeatAllocation
from apps.concerts.selectors import seats_of
from apps.core.transactions import database_now
from apps.reservations.models import SeatClaim

ATTEMPTS = 20  # a customer who asks for a seat that is kept back locks it for a moment


def keep_back_and_release(performance_id: int) -> list[str]:
    """Keep every free seat of a hall back, and put them on sale again; return what went wrong: no customer may have one of them."""
    seat_ids = list(seats_of(performance_id).values_list("pk", flat=True))
    change: dict[str, Any] = {
        "performance_id": performance_id,
        "seat_ids": seat_ids,
        "staff_id": None,
        "reason": "A drill",
    }
    house = InventoryCategory.objects.get(code=InventoryCategory.Code.HOUSE)
    kept = allocate_seats(**change, category_id=house.pk)
    live = SeatClaim.objects.live(at=database_now()).of_performance(performance_id)
    taken = SeatAllocation.objects.filter(seat__in=live.values("seat")).count()
    found = [f"{taken} seats kept back that customers have"] if taken else []
    for _ in range(ATTEMPTS):
        release_seats(**change)
        left = SeatAllocation.objects.filter(performance=performance_id).count()
        if not left:
            return found
    return [
        *found,
        f"{left} of {len(kept.applied)} seats that were kept back could not be released",
    ]
