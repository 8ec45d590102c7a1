"""Check what must be true of everything that was ever sold, held, booked and told, whatever was killed or repeated meanwhile.

Each check reads whole tables and trusts no constraint: it finds the breach that a constraint should have refused. Each is
one statement, so it sees one moment and gives no false alarm while sales go on. There is no snapshot around all of them
on purpose: for as long as one is open vacuum removes nothing, and no check compares its findings with those of another.
The one exception is the ranking, which is compared with a store that knows no snapshots (see `ranking_drift`).

Each can also be limited to what has changed since a moment, by conditions that an index serves. Such a check is as dear as the
changes are many, whatever the history, and misses what was broken in rows that nothing else has touched.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime

from apps.core.audit_sessions import audit_session
from apps.ops.invariants import calls, events, inventory, limits, money, seats
from apps.ops.invariants.findings import EXAMPLES_MAX, Findings


@dataclass(frozen=True)
class Invariant:
    """Hold what one check found. `examples` name some of the breaches, in words.

    `counts` are figures worth knowing that are no breaches. `not_checked` says why a part could not be looked at.
    """

    name: str
    statement: str
    breaches: int
    examples: list[str]
    counts: dict[str, int] = field(default_factory=dict)
    not_checked: str = ""
    seconds: float = 0.0


def check_invariants(
    *,
    since: datetime | None = None,
    seconds: float | None = None,
    on_progress: Callable[[Invariant], None] = lambda _: None,
) -> list[Invariant]:
    """Check everything, in the order of `INVARIANTS`, or what has changed since a moment.

    `on_progress` gets each result as it is there. Changes nothing; two runs at once do no harm. With `seconds` it gives up when
    they are over, without them it takes as long as it takes.

    :raises TimeoutError, OperationalError: the time was over between two checks, or in one.
    """
    started_at = time.monotonic()
    results: list[Invariant] = []
    for name, (statement, find) in INVARIANTS.items():
        begun_at = time.monotonic()
        left = None if seconds is None else started_at + seconds - begun_at
        if left is not None and left <= 0:
            raise TimeoutError(f"{len(results)} of {len(INVARIANTS)} checked in {seconds:g} s")
        with audit_session(seconds=left):
            found = find(since)
        result = Invariant(
            name=name,
            statement=statement,
            breaches=found.breaches,
            examples=list(found.examples)[:EXAMPLES_MAX],
            counts=found.counts,
            not_checked=found.not_checked,
            seconds=time.monotonic() - begun_at,
        )
        results.append(result)
        on_progress(result)
    return results


INVARIANTS: dict[str, tuple[str, Callable[[datetime | None], Findings]]] = {
    "seat_claimed_once": (
        "No seat has two live claims, or an open one of a hold that is over.",
        seats.seats_taken_twice,
    ),
    "balance_is_ledger": (
        "Each balance equals the sum of its ledger entries, is not negative and ends an unbroken history.",
        money.wrong_balances,
    ),
    "ledger_balanced": (
        "Every ledger transaction has its two entries, which sum to zero; what comes in and corrections minus payments plus refunds are what is owed.",
        money.unbalanced_books,
    ),
    "reservation_paid": (
        "Each reservation has one payment of its price, and refunds of no less than the seats given up and no more than all; no payment lacks a reservation.",
        money.wrong_payments,
    ),
    "counter_money_spent": (
        "What was paid at the counter or by the house was for a sale; of its refunds the house gets its part first.",
        money.unspent_counter_money,
    ),
    "reservation_is_its_hold": (
        "A reservation's hold is confirmed in time, by the same customer, with the same seats and prices.",
        seats.reservations_unlike_their_holds,
    ),
    "moved_to_one": (
        "A reservation that was moved was cancelled for one of the same customer and concert, with as many seats, made at that moment.",
        seats.wrong_moves,
    ),
    "seat_limit_kept": (
        "No customer has more seats than the limit that was in force at the time of the hold.",
        limits.above_seat_limit,
    ),
    "unpaid_limit_kept": (
        "No customer holds more seats of a concert without having paid than the limit that was in force at the time of the hold.",
        limits.above_unpaid_limit,
    ),
    "hold_extended_once": (
        "A hold was extended at most once, while it was live, and by no longer than it had been given at first.",
        limits.wrongly_extended,
    ),
    "hold_can_be_paid": (
        "No live hold costs more than a balance may be.",
        limits.unpayable_holds,
    ),
    "reservation_announced": (
        "Every confirmation and every cancellation, of some seats or of all, has its one event, which tells of it as it is.",
        events.untold_reservations,
    ),
    "event_delivered": (
        "Every event has one delivery for each consumer: done, pending or dead.",
        events.undelivered_events,
    ),
    "deliveries_tried": (
        "What is due to a consumer is tried, and given up only after the last attempt or when it was refused for good.",
        events.untried_deliveries,
    ),
    "ranking_recounted": (
        "The ranking equals the recount of what was consumed, as the events tell it.",
        events.ranking_figures,
    ),
    "seats_counted": (
        "Each performance knows how many seats it has, how many are for the public, and how many the ranking counted as sold.",
        seats.wrong_counts,
    ),
    "seat_allocated_once": (
        "A seat is kept back from the public exactly while it has an allocation, which is one, at its own performance.",
        inventory.wrongly_kept_back,
    ),
    "kept_seat_for_staff": (
        "A seat that is kept back is sold at the counter only, and goes on sale when its time has come or when it is refunded, if it should.",
        inventory.kept_seats_of_the_public,
    ),
    "capacity_kept": (
        "No visitor was admitted above the capacity in force at that moment.",
        calls.over_admissions,
    ),
    "idempotency_key_once": ("An idempotency key has one effect.", calls.keys_without_one_effect),
}
