"""Forms of a run: the whole, a quick look, and the least that shows that everything works."""

from dataclasses import dataclass

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


FULL = Form(
    name="full",
    repeats=3,
    duration=5,
    floor_duration=2,
    warm_up=1,
    connections=32,
    crowd=20_000,
    rooms=(1_000, 1_000_000),
    room_operations=1_000,
    room_repeats=11,
    stages=((30, 200), (60, 800), (30, 800), (60, 0)),
    buyers=32,
    sale_seconds=15,
    sales_max=4_000,
    rivals=500,
    rush_after=3,
    scattered_seats=10_000,
    halls=(50, 5_000, 50_000),
    on_sale_customers=2_000,
    on_sale_seats=5_000,
    on_sale_capacity=200,
    on_sale_seconds_max=180,
)
QUICK = Form(
    name="quick",
    repeats=1,
    duration=2,
    floor_duration=1,
    warm_up=1,
    connections=32,
    crowd=10_000,
    rooms=(1_000, 200_000),
    room_operations=1_000,
    room_repeats=3,
    stages=((5, 200), (8, 800), (5, 800), (4, 0)),
    buyers=32,
    sale_seconds=6,
    sales_max=1_000,
    rivals=500,
    rush_after=3,
    scattered_seats=2_000,
    halls=(5_000,),
    on_sale_customers=200,
    on_sale_seats=200,
    on_sale_capacity=100,
    on_sale_seconds_max=120,
)
SMOKE = Form(
    name="smoke",
    repeats=1,
    duration=1,
    floor_duration=1,
    warm_up=0,
    connections=2,
    crowd=4_000,
    rooms=(20, 100),
    room_operations=10,
    room_repeats=1,
    stages=((1, 5), (1, 5), (1, 0)),
    buyers=4,
    sale_seconds=1,
    sales_max=12,
    rivals=8,
    rush_after=1,
    scattered_seats=50,
    halls=(50,),
    on_sale_customers=10,
    on_sale_seats=20,
    on_sale_capacity=5,
    on_sale_seconds_max=40,
)
