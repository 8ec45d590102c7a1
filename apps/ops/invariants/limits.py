"""Check holds: for how many seats, at what price, and for how long."""

from datetime import datetime

from django.conf import settings

from apps.ops.invariants.findings import Findings, breaches

# Seats as +1 when they were held and -1 when the claim was over, summed up in the order of time for each customer and
# performance. Rows are kept narrow for the sort: the hold is looked up for a breach only.
_ABOVE_SEAT_LIMIT = """
    WITH claims AS (
        SELECT claim.id, hold.customer_id, hold.performance_id, hold.seat_limit, hold.held_at,
            CASE hold.status WHEN 'HELD' THEN hold.expires_at ELSE claim.ended_at END AS ended_at
        FROM reservations_seatclaim claim
        JOIN reservations_hold hold ON hold.id = claim.hold_id
        WHERE {customers}
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


def above_seat_limit(since: datetime | None) -> Findings:
    return breaches(
        _ABOVE_SEAT_LIMIT,
        since=since,
        customers=(
            "(hold.customer_id, hold.performance_id) IN"
            " (SELECT customer_id, performance_id FROM reservations_hold WHERE held_at >= %(since)s)"
        ),
    )


# The same of what was held and not paid, of all dates of a concert together. Holds from before there was such a limit count, but
# are not to blame.
_ABOVE_UNPAID_LIMIT = """
    WITH claims AS (
        SELECT hold.id, hold.customer_id, performance.concert_id, hold.unpaid_limit, hold.held_at,
            least(hold.ended_at, hold.expires_at) AS ended_at
        FROM reservations_seatclaim claim
        JOIN reservations_hold hold ON hold.id = claim.hold_id
        JOIN concerts_performance performance ON performance.id = hold.performance_id
        WHERE {customers}
    ), steps AS (
        SELECT id, customer_id, concert_id, unpaid_limit, held_at AS at, 1 AS step FROM claims
        UNION ALL
        SELECT id, customer_id, concert_id, unpaid_limit, ended_at, -1 FROM claims
    ), sums AS (
        SELECT id, customer_id, unpaid_limit, step, sum(step) OVER (
            PARTITION BY customer_id, concert_id ORDER BY at, step ROWS UNBOUNDED PRECEDING
        ) AS seats
        FROM steps
    )
    SELECT format('customer %%s, hold %%s: %%s unpaid seats of %%s', customer_id, id, max(seats), unpaid_limit)
    FROM sums
    WHERE step = 1 AND seats > unpaid_limit
    GROUP BY customer_id, id, unpaid_limit
"""


def above_unpaid_limit(since: datetime | None) -> Findings:
    return breaches(
        _ABOVE_UNPAID_LIMIT,
        since=since,
        customers=(
            "hold.customer_id IN (SELECT customer_id FROM reservations_hold WHERE held_at >= %(since)s)"
        ),
    )


# How long a hold was given at first is a setting; an extension doubles that at most, and comes while the hold is live.
_WRONGLY_EXTENDED = """
    SELECT format('hold %%s: %%s', id, CASE
        WHEN extended_at IS NULL OR extended_from IS NULL THEN 'extended, but not on record when or from when'
        WHEN extended_at < held_at THEN 'extended before it was made'
        WHEN extended_at >= extended_from THEN 'extended when it was over'
        WHEN ended_at < extended_at THEN 'extended when it had ended'
        WHEN status = 'EXPIRED' AND ended_at < expires_at THEN 'ended before the time that it had been given'
        ELSE format('%%s longer than its first %%s', expires_at - extended_from, extended_from - held_at)
    END)
    FROM reservations_hold
    WHERE {holds} AND (extended_at IS NOT NULL OR extended_from IS NOT NULL) AND NOT coalesce(
        extended_at >= held_at AND extended_at < extended_from
        AND expires_at > extended_from AND expires_at - extended_from <= extended_from - held_at
        AND (ended_at IS NULL OR ended_at >= extended_at AND (status <> 'EXPIRED' OR ended_at = expires_at)),
        false
    )
"""


def wrongly_extended(since: datetime | None) -> Findings:
    return breaches(_WRONGLY_EXTENDED, since=since, holds="held_at >= %(since)s")


# Only while it lives: the limit of a balance is a setting, and was another one when older holds were paid.
_UNPAYABLE_HOLDS = """
    SELECT format('hold %%s: costs %%s won, a balance may be %%s', id, total_price, %(limit)s::bigint)
    FROM reservations_hold
    WHERE {holds} AND status = 'HELD' AND expires_at > clock_timestamp() AND total_price > %(limit)s::bigint
"""


def unpayable_holds(since: datetime | None) -> Findings:
    return breaches(
        _UNPAYABLE_HOLDS,
        {"limit": settings.BALANCE_LIMIT},
        since=since,
        holds="held_at >= %(since)s",
    )
