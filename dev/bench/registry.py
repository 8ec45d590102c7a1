"""Name the function that plays each scenario. Needs Django to be set up."""

from collections.abc import Callable, Sequence

from dev.bench.bench import Bench, Outcome
from dev.bench.crowd import new_concert
from dev.bench.scenarios import (
    clock,
    cockpit,
    halls,
    on_sale,
    polling,
    queueing,
    rooms,
    selling,
    side_by_side,
)

PLAYS: dict[str, Callable[[Bench], Outcome]] = {
    "livez": polling.livez,
    "django": polling.django,
    "join": polling.join,
    "status": polling.status,
    "board": polling.board,
    "room": rooms.room,
    "queue": queueing.queue,
    "hold-and-pay": selling.hold_and_pay,
    "cockpit": cockpit.cockpit,
    "hot-seat": selling.hot_seat,
    "seat-map": halls.seat_map,
    "on-sale": on_sale.on_sale,
    "pretix": side_by_side.pretix,
    "clock": clock.clock,
}
NEEDS_CROWD = {
    *("join", "queue", "hold-and-pay", "cockpit", "hot-seat", "on-sale", "pretix", "clock"),
}
FILLING = {"status", "board"}  # which share the rooms that they fill


def prepare(bench: Bench, names: Sequence[str]) -> None:
    """Make the customers that the scenarios need."""
    if NEEDS_CROWD & set(names):
        bench.begin("Customers", steps=bench.form.crowd)
        made = new_concert(
            bench, seats=1, capacity=1, customers=bench.form.crowd, customers_done=bench.advance
        )
        bench.customers = made.customers
        bench.end()
