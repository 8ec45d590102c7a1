"""What must be true of everything that was ever sold, held, booked and told, whatever was killed or repeated meanwhile.

Each check reads whole tables and trusts no constraint: it finds the breach that a constraint should have refused. Each is
one statement, so it sees one moment and gives no false alarm while sales go on. There is no snapshot around all of them
on purpose: for as long as one is open vacuum removes nothing, and no check compares its findings with those of another.
The one exception is the ranking, which is compared with a store that knows no snapshots (see `ranking_drift`).
"""

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.db import connection

from apps.concerts import projection
from apps.concerts.services import ranking_drift
from apps.payments import selectors as payments
from apps.queue.selectors import admissions_above_capacity
from apps.reservations.events import RESERVATION_CANCELLED, RESERVATION_CONFIRMED
from apps.shared.long_reads import long_read
from apps.shared.models import EventDelivery
from apps.shared.outbox import consumers
from apps.shared.store import StoreUnavailable

EXAMPLES_MAX = 10


@dataclass(frozen=True)
class Invariant:
    """What one check found. `examples` name some of the breaches, in words.

    `counts` are figures worth knowing that are no breaches. `not_checked` says why a part could not be looked at.
    """

    name: str
    statement: str
    breaches: int
    examples: list[str]
    counts: dict[str, int] = field(default_factory=dict)
    not_checked: str = ""
    seconds: float = 0.0


@dataclass(frozen=True)
class _Findings:
    breaches: int = 0
    examples: Sequence[str] = ()
    counts: dict[str, int] = field(default_factory=dict)
    not_checked: str = ""


def check_invariants(
    *,
    seconds: float | None = None,
    on_progress: Callable[[Invariant], None] = lambda _: None,
) -> list[Invariant]:
    """Check everything, in the order of `INVARIANTS`; `on_progress` gets each result as it is there.

    Changes nothing; two runs at once do no harm. With `seconds` it gives up when they are over, without them it takes as long
    as it takes.

    :raises TimeoutError, OperationalError: the time was over between two checks, or in one.
    """
    started_at = time.monotonic()
    results: list[Invariant] = []
    for name, (statement, find) in INVARIANTS.items():
        begun_at = time.monotonic()
        left = None if seconds is None else started_at + seconds - begun_at
        if left is not None and left <= 0:
            raise TimeoutError(f"{len(results)} of {len(INVARIANTS)} checked in {seconds:g} s")
        with long_read(seconds=left):
            found = find()
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


# A seat is taken by a claim that is live, and by a reservation that stands even if its claim has ended.
_SEATS_TAKEN_TWICE = """
    SELECT format('seat %%s: %%s claims, %%s and %%s', claim.seat_id, count(*), min(claim.id), max(claim.id))
    FROM reservations_seatclaim claim
    JOIN reservations_hold hold ON hold.id = claim.hold_id AND hold.status IN ('CONFIRMED', 'HELD')
    LEFT JOIN reservations_reservation reservation ON reservation.hold_id = hold.id
    WHERE reservation.status = 'CONFIRMED'
        OR claim.ended_at IS NULL
            AND (hold.status = 'CONFIRMED' OR hold.status = 'HELD' AND hold.expires_at > clock_timestamp())
    GROUP BY claim.seat_id
    HAVING count(*) > 1
"""


def _seats_taken_twice() -> _Findings:
    return _breaches(_SEATS_TAKEN_TWICE)


def _wrong_balances() -> _Findings:
    return _listed(
        [
            *(
                f"customer {one.customer_id}: balance {one.balance:,}, ledger {one.ledger:,}"
                for one in payments.wallet_differences()
            ),
            *(f"customer {pk}: balance below zero" for pk in payments.negative_wallets()),
        ]
    )


def _unbalanced_books() -> _Findings:
    totals = payments.ledger_totals()
    wrong = [f"transaction {pk}: unbalanced" for pk in payments.unbalanced_transactions()]
    if totals.difference:
        wrong.insert(0, f"the ledger as a whole: {totals.difference:,} won too much on one side")
    return _listed(wrong, counts={"owed to customers": totals.owed})


_WRONG_PAYMENTS = """
    SELECT format('reservation %%s: %%s', coalesce(sold.id, booked.reference), CASE
        WHEN sold.id IS NULL THEN 'does not exist, but was paid for or refunded'
        WHEN booked.payments IS DISTINCT FROM 1 THEN format('%%s payments', coalesce(booked.payments, 0))
        WHEN booked.paid <> sold.total_price THEN format('paid %%s of %%s won', booked.paid, sold.total_price)
        WHEN booked.refunds <> 1 AND sold.status = 'CANCELLED' THEN format('cancelled, %%s refunds', booked.refunds)
        WHEN booked.refunds > 0 AND sold.status <> 'CANCELLED' THEN 'refunded, but not cancelled'
        WHEN booked.refunds > 0 AND booked.refunded <> sold.total_price
            THEN format('refunded %%s of %%s won', booked.refunded, sold.total_price)
        ELSE 'paid by or refunded to somebody else'
    END)
    FROM reservations_reservation sold
    FULL JOIN (
        SELECT reference,
            count(*) FILTER (WHERE type = 'PAYMENT') AS payments,
            count(*) FILTER (WHERE type = 'REFUND') AS refunds,
            -sum(amount::float8) FILTER (WHERE type = 'PAYMENT') AS paid,
            sum(amount::float8) FILTER (WHERE type = 'REFUND') AS refunded,
            min(customer_id) AS customer_id,
            max(customer_id) AS last_customer_id
        FROM payments_ledgertransaction
        WHERE type IN ('PAYMENT', 'REFUND')
        GROUP BY reference
    ) booked ON booked.reference = sold.id
    WHERE sold.id IS NULL OR booked.reference IS NULL
        OR booked.payments <> 1 OR booked.paid <> sold.total_price
        OR booked.refunds <> (CASE sold.status WHEN 'CANCELLED' THEN 1 ELSE 0 END)
        OR booked.refunded <> sold.total_price
        OR booked.customer_id <> sold.customer_id OR booked.last_customer_id <> sold.customer_id
"""


def _wrong_payments() -> _Findings:
    return _breaches(_WRONG_PAYMENTS)


# A claim stands for as long as its reservation does. Every ticket has its claim and every claim of a paid hold its ticket.
_RESERVATIONS_UNLIKE_THEIR_HOLDS = """
    SELECT CASE
        WHEN sold.id IS NULL THEN format('hold %%s: paid, but without a reservation', hold.id)
        ELSE format('reservation %%s: %%s', sold.id, CASE
            WHEN hold.id IS NULL THEN coalesce(
                (SELECT 'its hold is ' || status FROM reservations_hold WHERE id = sold.hold_id), 'has no hold'
            )
            WHEN hold.customer_id <> sold.customer_id THEN 'its hold is of another customer'
            WHEN hold.performance_id <> sold.performance_id THEN 'its hold is for another performance'
            WHEN hold.total_price <> sold.total_price THEN 'its hold had another price'
            ELSE 'confirmed when its hold was over'
        END)
    END
    FROM reservations_reservation sold
    FULL JOIN (SELECT * FROM reservations_hold WHERE status = 'CONFIRMED') hold ON hold.id = sold.hold_id
    WHERE hold.id IS NULL OR sold.id IS NULL OR hold.customer_id <> sold.customer_id
        OR hold.performance_id <> sold.performance_id OR hold.total_price <> sold.total_price
        OR sold.reserved_at >= hold.expires_at OR hold.ended_at >= hold.expires_at
    UNION ALL
    SELECT format('reservation %%s, seat %%s: %%s', coalesce(ticket.reservation_id, claim.reservation_id),
        coalesce(ticket.seat_id, claim.seat_id), CASE
        WHEN claim.seat_id IS NULL THEN 'has a ticket, but was not held'
        WHEN ticket.seat_id IS NULL THEN 'was held, but has no ticket'
        WHEN ticket.price <> claim.price THEN 'the ticket has another price'
        WHEN claim.stands THEN 'the seat has been given up, the reservation has not'
        ELSE 'cancelled, but the seat is still taken'
    END)
    FROM reservations_ticket ticket
    FULL JOIN (
        SELECT sold.id AS reservation_id, claim.seat_id, claim.price,
            sold.status = 'CONFIRMED' AS stands, claim.ended_at IS NULL AS is_open
        FROM reservations_reservation sold
        JOIN reservations_seatclaim claim ON claim.hold_id = sold.hold_id
    ) claim ON claim.reservation_id = ticket.reservation_id AND claim.seat_id = ticket.seat_id
    WHERE claim.seat_id IS NULL OR ticket.seat_id IS NULL OR ticket.price <> claim.price OR claim.stands <> claim.is_open
"""


def _reservations_unlike_their_holds() -> _Findings:
    return _breaches(_RESERVATIONS_UNLIKE_THEIR_HOLDS)


# Seats as +1 when they were held and -1 when the claim was over, summed up in the order of time for each customer and
# performance. Rows are kept narrow for the sort: the hold is looked up for a breach only.
_ABOVE_SEAT_LIMIT = """
    WITH claims AS (
        SELECT claim.id, hold.customer_id, hold.performance_id, hold.seat_limit, hold.held_at,
            CASE hold.status WHEN 'HELD' THEN hold.expires_at ELSE claim.ended_at END AS ended_at
        FROM reservations_seatclaim claim
        JOIN reservations_hold hold ON hold.id = claim.hold_id
    ), steps AS (
        SELECT id, customer_id, performance_id, seat_limit, held_at AS at, 1 AS step FROM claims
        UNION ALL
        SELECT id, customer_id, performance_id, seat_limit, ended_at, -1 FROM claims WHERE ended_at IS NOT NULL
    ), sums AS (
        SELECT id, customer_id, seat_limit, step, sum(step) OVER (
            PARTITION BY customer_id, performance_id ORDER BY at, step ROWS UNBOUNDED PRECEDING
        ) AS seats
        FROM steps
    )
    SELECT format('customer %%s, hold %%s: %%s seats of %%s', customer_id, hold_id, max(seats), seat_limit)
    FROM (
        SELECT customer_id, (SELECT hold_id FROM reservations_seatclaim WHERE id = sums.id) AS hold_id, seats, seat_limit
        FROM sums
        WHERE step = 1 AND seats > seat_limit
    ) above
    GROUP BY customer_id, hold_id, seat_limit
"""


def _above_seat_limit() -> _Findings:
    return _breaches(_ABOVE_SEAT_LIMIT)


_UNTOLD_RESERVATIONS = """
    SELECT format('reservation %%s (%%s): told %%s times as confirmed, %%s times as cancelled', coalesce(sold.id::text, told.id),
        coalesce(sold.status, 'unknown'), coalesce(told.confirmed, 0), coalesce(told.cancelled, 0))
    FROM reservations_reservation sold
    FULL JOIN (
        SELECT coalesce(payload ->> 'reservation_id', 'of event ' || id) AS id,
            count(*) FILTER (WHERE type = %(confirmed)s) AS confirmed,
            count(*) FILTER (WHERE type = %(cancelled)s) AS cancelled
        FROM shared_outboxevent
        WHERE type IN (%(confirmed)s, %(cancelled)s)
        GROUP BY 1
    ) told ON told.id = sold.id::text
    WHERE sold.id IS NULL OR told.id IS NULL OR told.confirmed <> 1
        OR told.cancelled <> (CASE sold.status WHEN 'CANCELLED' THEN 1 ELSE 0 END)
"""


def _untold_reservations() -> _Findings:
    return _breaches(
        _UNTOLD_RESERVATIONS,
        {"confirmed": RESERVATION_CONFIRMED, "cancelled": RESERVATION_CANCELLED},
    )


# Written with the event, so there is no time at which one may be missing.
_UNDELIVERED_EVENTS = """
    SELECT format('event %%s: no delivery to %%s', event.id, wanted.consumer)
    FROM shared_outboxevent event
    JOIN unnest(%(consumers)s::text[], %(types)s::text[]) wanted (consumer, type) ON wanted.type = event.type
    LEFT JOIN shared_eventdelivery delivery ON delivery.event_id = event.id AND delivery.consumer = wanted.consumer
    WHERE delivery.id IS NULL
    UNION ALL
    SELECT format('event %%s: another delivery to %%s', event_id, consumer)
    FROM (
        SELECT event_id, consumer, row_number() OVER (PARTITION BY event_id, consumer) AS number
        FROM shared_eventdelivery
    ) numbered
    WHERE number > 1
"""


def _undelivered_events() -> _Findings:
    wanted = [(one.name, type) for one in consumers() for type in sorted(one.event_types)]
    found = _breaches(
        _UNDELIVERED_EVENTS,
        {"consumers": [name for name, _ in wanted], "types": [type for _, type in wanted]},
    )
    counts = {
        "pending": EventDelivery.objects.pending().count(),
        "dead": EventDelivery.objects.dead().count(),
    }
    return _Findings(found.breaches, found.examples, counts)


_UNCOUNTED_EVENTS = """
    SELECT format('event %%s: delivered, but not in the ranking', delivery.event_id)
    FROM shared_eventdelivery delivery
    LEFT JOIN concerts_rankingentry entry ON entry.event_id = delivery.event_id
    WHERE delivery.consumer = 'ranking' AND delivery.status = 'DONE' AND entry.event_id IS NULL
    UNION ALL
    SELECT format('event %%s: in the ranking, but never happened', entry.event_id)
    FROM concerts_rankingentry entry
    LEFT JOIN shared_outboxevent event ON event.id = entry.event_id
    WHERE event.id IS NULL
"""


def _ranking_drift() -> _Findings:
    found = _breaches(_UNCOUNTED_EVENTS)
    try:
        drift = [
            f"concert {one.concert_id}, {one.window}: shows {one.projected}, recorded {one.recorded}"
            for one in ranking_drift()
        ]
        if projection.read() is None:
            # Lost is no breach: readers are answered from the table until beat has rebuilt it.
            return _Findings(found.breaches, found.examples, not_checked="not built")
    except StoreUnavailable:
        return _Findings(found.breaches, found.examples, not_checked="store unavailable")
    return _Findings(found.breaches + len(drift), [*found.examples, *drift])


def _over_admissions() -> _Findings:
    return _listed(
        f"concert {one.concert_id}, {one.admitted_at:%Y-%m-%d %H:%M:%S.%f} UTC: {one.active} active of {one.capacity}"
        for one in admissions_above_capacity()
    )


# By the answers that are kept: what a key did stands in its own answer, written in the transaction of the effect.
_EFFECTS = {
    "ChargesView": "transaction_id",
    "ReservationsView": "reservation_id",
    "CancellationView": "reservation_id",
    "HoldsView": "hold_id",
    "BestAvailableView": "hold_id",
}
_KEYS_WITHOUT_ONE_EFFECT = """
    WITH named AS (
        SELECT record.customer_id, record.endpoint, record.key, encode(substring(
            record.body FROM nullif(position(wanted.name IN record.body), 0) + length(wanted.name) FOR 36
        ), 'escape') AS effect
        FROM shared_idempotencyrecord record
        JOIN unnest(%(endpoints)s::text[], %(names)s::bytea[]) wanted (endpoint, name) ON wanted.endpoint = record.endpoint
    ), answers AS MATERIALIZED (
        SELECT customer_id, endpoint, key, CASE
            WHEN effect ~ '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$' THEN effect::uuid
        END AS effect
        FROM named
    )
    SELECT format('customer %%s, %%s, key %%s: used %%s times', customer_id, endpoint, key, count(*))
    FROM shared_idempotencyrecord
    GROUP BY customer_id, endpoint, key
    HAVING count(*) > 1
    UNION ALL
    SELECT format('%%s: several keys made %%s', endpoint, effect)
    FROM answers
    WHERE effect IS NOT NULL
    GROUP BY endpoint, effect
    HAVING min(key) <> max(key) OR min(customer_id) <> max(customer_id)
    UNION ALL
    SELECT format('customer %%s, %%s, key %%s: answered, but without effect', answer.customer_id, answer.endpoint, answer.key)
    FROM answers answer
    LEFT JOIN payments_ledgertransaction charge
        ON charge.id = answer.effect AND charge.customer_id = answer.customer_id AND charge.type = 'CHARGE'
    LEFT JOIN reservations_reservation sold ON sold.id = answer.effect AND sold.customer_id = answer.customer_id
    LEFT JOIN reservations_hold hold ON hold.id = answer.effect AND hold.customer_id = answer.customer_id
    WHERE NOT CASE answer.endpoint
        WHEN 'ChargesView' THEN charge.id IS NOT NULL
        WHEN 'ReservationsView' THEN sold.id IS NOT NULL
        WHEN 'CancellationView' THEN coalesce(sold.status = 'CANCELLED', false)
        ELSE hold.id IS NOT NULL
    END
"""


def _keys_without_one_effect() -> _Findings:
    return _breaches(
        _KEYS_WITHOUT_ONE_EFFECT,
        {
            "endpoints": list(_EFFECTS),
            "names": [f'"{name}":"'.encode() for name in _EFFECTS.values()],
        },
    )


INVARIANTS: dict[str, tuple[str, Callable[[], _Findings]]] = {
    "seat_claimed_once": ("No seat has two live claims.", _seats_taken_twice),
    "balance_is_ledger": (
        "Each balance equals the sum of its ledger entries and is not negative.",
        _wrong_balances,
    ),
    "ledger_balanced": (
        "Every ledger transaction sums to zero; top-ups and corrections minus payments plus refunds are what is owed.",
        _unbalanced_books,
    ),
    "reservation_paid": (
        "Each reservation has one payment of its price, each cancelled one a refund; no payment lacks a reservation.",
        _wrong_payments,
    ),
    "reservation_is_its_hold": (
        "A reservation's hold is confirmed in time, by the same customer, with the same seats.",
        _reservations_unlike_their_holds,
    ),
    "seat_limit_kept": (
        "No customer has more seats than the limit that was in force at the time of the hold.",
        _above_seat_limit,
    ),
    "reservation_announced": (
        "Every confirmation and every cancellation has its one event.",
        _untold_reservations,
    ),
    "event_delivered": (
        "Every event has one delivery for each consumer: done, pending or dead.",
        _undelivered_events,
    ),
    "ranking_recounted": ("The ranking equals the recount of what was consumed.", _ranking_drift),
    "capacity_kept": (
        "Nobody was admitted above the capacity in force at that moment.",
        _over_admissions,
    ),
    "idempotency_key_once": ("An idempotency key has one effect.", _keys_without_one_effect),
}


def _breaches(statement: str, parameters: dict[str, Any] | None = None) -> _Findings:
    """Run a statement whose rows are breaches, each described by one text."""
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT count(*) OVER (), breach.found FROM ({statement}) breach (found)"  # noqa: S608
            f" ORDER BY breach.found LIMIT {EXAMPLES_MAX}",
            parameters or {},
        )
        rows = cursor.fetchall()
    return _Findings(rows[0][0] if rows else 0, [example for _, example in rows])


def _listed(found: Iterable[str], *, counts: dict[str, int] | None = None) -> _Findings:
    every = list(found)
    return _Findings(len(every), every[:EXAMPLES_MAX], counts or {})
