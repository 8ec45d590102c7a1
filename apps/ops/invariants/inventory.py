"""Seats that are kept back from the public."""

from datetime import datetime, timedelta

from apps.ops.invariants.findings import Findings, breaches
from apps.ops.invariants.seats import RECENTLY_SOLD

_WRONGLY_KEPT_BACK = """
    SELECT format('seat %%s: %%s', coalesce(seat.id, kept.seat_id), CASE
        WHEN seat.id IS NULL THEN 'allocated, but there is no such seat'
        WHEN kept.seat_id IS NULL THEN 'not for the public, but not allocated'
        WHEN kept.times > 1 THEN format('allocated %%s times', kept.times)
        WHEN NOT seat.is_blocked THEN 'allocated, but for the public'
        ELSE 'allocated at another performance'
    END)
    FROM (SELECT id, performance_id, is_blocked FROM concerts_seat WHERE {halls}) seat
    FULL JOIN (
        SELECT seat_id, min(performance_id) AS performance_id, count(*) AS times
        FROM concerts_seatallocation
        WHERE {halls}
        GROUP BY seat_id
    ) kept ON kept.seat_id = seat.id
    WHERE seat.id IS NULL OR seat.is_blocked <> (kept.seat_id IS NOT NULL) OR kept.times > 1
        OR kept.performance_id <> seat.performance_id
"""


def wrongly_kept_back(since: datetime | None) -> Findings:
    return breaches(
        _WRONGLY_KEPT_BACK, since=since, halls="performance_id IN {sold}", sold=RECENTLY_SOLD
    )


# Beyond every wait for customers who are at work on a seat, and for a beat that was started again.
_OVERDUE = timedelta(hours=1)
_RECENTLY_HELD = f"""
    {RECENTLY_SOLD}
    UNION ALL
    SELECT performance_id FROM reservations_hold WHERE held_at >= %(since)s
"""  # noqa: S608
# A sale at the counter is paid for at the moment at which it is held; no other hold is. Seats that were blocked when there were no
# categories were allocated by nobody, and may have been sold before.
_KEPT_SEATS_OF_THE_PUBLIC = """
    SELECT format('seat %%s: kept back, but hold %%s of the public has it', kept.seat_id, hold.id)
    FROM concerts_seatallocation kept
    JOIN reservations_seatclaim claim ON claim.seat_id = kept.seat_id AND claim.ended_at IS NULL
    JOIN reservations_hold hold ON hold.id = claim.hold_id
    LEFT JOIN reservations_reservation sold ON sold.hold_id = hold.id
    WHERE {halls} AND sold.reserved_at IS DISTINCT FROM hold.held_at
        AND (hold.status = 'CONFIRMED' OR (hold.status = 'HELD' AND hold.expires_at > clock_timestamp()))
        AND (hold.held_at >= kept.allocated_at OR kept.allocated_by_id IS NOT NULL)
    UNION ALL
    SELECT format('seat %%s: sold and given back, but kept back all the same', kept.seat_id)
    FROM concerts_seatallocation kept
    WHERE {halls} AND NOT kept.returns_on_refund AND EXISTS (
        SELECT
        FROM reservations_seatclaim claim
        JOIN reservations_hold hold ON hold.id = claim.hold_id AND hold.status = 'CONFIRMED'
        WHERE claim.seat_id = kept.seat_id AND claim.ended_at >= kept.allocated_at AND hold.held_at >= kept.allocated_at
    ) AND NOT EXISTS (
        -- It stays with a customer who was moved.
        SELECT FROM reservations_seatclaim claim WHERE claim.seat_id = kept.seat_id AND claim.ended_at IS NULL
    )
    UNION ALL
    SELECT format('seat %%s: kept back, though its time was over at %%s', seat_id, released_at)
    FROM concerts_seatallocation
    WHERE released_at < statement_timestamp() - %(overdue)s::interval
"""


def kept_seats_of_the_public(since: datetime | None) -> Findings:
    return breaches(
        _KEPT_SEATS_OF_THE_PUBLIC,
        {"overdue": _OVERDUE},
        since=since,
        halls="kept.performance_id IN {held}",
        held=_RECENTLY_HELD,
    )
