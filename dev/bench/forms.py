"""Forms of a run: the whole, a quick look, and the least that shows that everything works."""

from dataclasses import dataclass
from typing import Any

Stage = tuple[int, int]  # seconds, users at their end


@dataclass(frozen=True, slots=True)
class Form:
    """Spans are whole seconds. `sale_seconds` and `duration` are those of one measurement of `repeats`."""

    name: str
    repeats: int
    duration: int
    floor_duration: int
    warm_up: int
    connections: int
    crowd: int  # customers who can join
    rooms: tuple[int, int]  # visitors who wait, in the small and in the large room
    room_operations: int  # calls of each kind in a repeat
    room_repeats: int
    stages: tuple[Stage, ...]
    buyers: int  # customers at once
    sale_seconds: int
    sales_max: int  # of one measurement
    rivals: int  # customers who want one seat
    rush_after: int  # seconds until they ask at once
    scattered_seats: int
    halls: tuple[int, ...]  # seats
    on_sale_customers: int
    on_sale_seats: int
    on_sale_capacity: int
    on_sale_seconds_max: int


FORMS: dict[str, tuple[Any, Any, Any]] = {
    "name": ("full", "quick", "smoke"),
    "repeats": (3, 1, 1),
    "duration": (5, 2, 1),
    "floor_duration": (2, 1, 1),
    "warm_up": (1, 1, 0),
    "connections": (32, 32, 2),
    "crowd": (20_000, 10_000, 4_000),
    "rooms": ((1_000, 1_000_000), (1_000, 200_000), (20, 100)),
    "room_operations": (1_000, 1_000, 10),
    "room_repeats": (11, 3, 1),
    "stages": (
        ((30, 200), (60, 800), (30, 800), (60, 0)),
        ((5, 200), (8, 800), (5, 800), (4, 0)),
        ((1, 5), (1, 5), (1, 0)),
    ),
    "buyers": (32, 32, 4),
    "sale_seconds": (15, 6, 1),
    "sales_max": (4_000, 1_000, 12),
    "rivals": (500, 500, 8),
    "rush_after": (3, 3, 1),
    "scattered_seats": (10_000, 2_000, 50),
    "halls": ((50, 5_000, 50_000), (5_000,), (50,)),
    "on_sale_customers": (2_000, 200, 10),
    "on_sale_seats": (5_000, 200, 20),
    "on_sale_capacity": (200, 100, 5),
    "on_sale_seconds_max": (180, 120, 40),
}
FULL, QUICK, SMOKE = (Form(**{name: values[i] for name, values in FORMS.items()}) for i in range(3))
