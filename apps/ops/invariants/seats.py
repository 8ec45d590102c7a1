"""Claims, the reservations that they became, and their numbers."""

from datetime import datetime

from apps.ops.invariants.findings import Findings, breaches

_CHANGED_HOLDS = """
    SELECT id FROM reservations_hold WHERE held_at >= %(since)s
    UNION ALL
    SELECT id FROM reservations_hold WHERE status IN ('RELEASED', 'EXPIRED') AND ended_at >= %(since)s
    UNION ALL
    SELECT hold_id FROM reservations_reservation WHERE reserved_at >= %(since)s OR cancelled_at >= %(since)s
    UNION ALL
    SELECT sold.hold_id FROM reservations_ticket ticket JOIN reservations_reservation sold ON sold.id = ticket.reservation_id
    WHERE ticket.cancelled_at >= %(since)s
"""

# A seat is taken by a claim that is live, and by a reservation that stands even if its claim has ended, unless its ticket alone was
# cancelled. An open claim on a hold that is over takes it from everybody, for ever.
_SEATS_TAKEN_TWICE = """
    SELECT CASE count(*)
        WHEN 1 THEN format('seat %%s: claim %%s is open, but its hold is over', claim.seat_id, min(claim.id))
        ELSE format('seat %%s: %%s claims, %%s and %%s', claim.seat_id, count(*), min(claim.id), max(claim.id))
    END
    FROM reservations_seatclaim claim
    LEFT JOIN (
        SELECT hold.id, hold.status, hold.expires_at, reservation.id AS reservation_id, reservation.status = 'CONFIRMED' AS is_sold
        FROM reservations_hold hold
        LEFT JOIN reservations_reservation reservation ON reservation.hold_id = hold.id
        WHERE hold.status IN ('CONFIRMED', 'HELD')
    ) hold ON hold.id = claim.hold_id
    LEFT JOIN (
        SELECT reservation_id, seat_id FROM reservations_ticket WHERE cancelled_at IS NOT NULL
    ) given_up ON given_up.reservation_id = hold.reservation_id AND given_up.seat_id = claim.seat_id
    WHERE {seats} AND (
        hold.is_sold AND given_up.seat_id IS NULL
        OR claim.ended_at IS NULL
            AND (hold.id IS NULL OR hold.status = 'CONFIRMED' OR hold.expires_at > clock_timestamp())
    )
    GROUP BY claim.seat_id
    HAVING count(*) > 1 OR bool_or(hold.id IS NULL)
"""


def seats_taken_twice(since: datetime | None) -> Findings:
    return breaches(
        _SEATS_TAKEN_TWICE,
        since=since,
        seats="claim.seat_id IN (SELECT seat_id FROM reservations_seatclaim WHERE hold_id IN {changed})",
        changed=_CHANGED_HOLDS,
    )


# A claim stands for as long as its reservation does, or its ticket if that alone was cancelled. Every ticket has its claim and every claim of a paid hold its ticket, of the
# same price: so what is true of the sum of the tickets and of the performance of a claim is true of the other as well.
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
            WHEN sold.reserved_at >= hold.expires_at OR hold.ended_at >= hold.expires_at THEN 'confirmed when its hold was over'
            WHEN tickets.price IS NULL THEN 'has no tickets'
            WHEN sold.status = 'CONFIRMED' AND tickets.seats_left = 0 THEN 'stands, but all its seats have been given up'
            ELSE format('its tickets cost %%s of %%s won', tickets.price, sold.total_price)
        END)
    END
    FROM (SELECT * FROM reservations_reservation WHERE {reservations}) sold
    FULL JOIN (
        SELECT * FROM reservations_hold WHERE status = 'CONFIRMED' AND {holds}
    ) hold ON hold.id = sold.hold_id
    LEFT JOIN (
        SELECT reservation_id, sum(price) AS price, count(*) FILTER (WHERE cancelled_at IS NULL) AS seats_left
        FROM reservations_ticket WHERE {tickets} GROUP BY reservation_id
    ) tickets ON tickets.reservation_id = sold.id
    WHERE hold.id IS NULL OR sold.id IS NULL OR hold.customer_id <> sold.customer_id
        OR hold.performance_id <> sold.performance_id OR hold.total_price <> sold.total_price
        OR sold.reserved_at >= hold.expires_at OR hold.ended_at >= hold.expires_at
        OR tickets.price IS DISTINCT FROM sold.total_price
        OR sold.status = 'CONFIRMED' AND tickets.seats_left = 0
    UNION ALL
    SELECT format('hold %%s, seat %%s: claimed for another performance', claim.hold_id, claim.seat_id)
    FROM reservations_seatclaim claim
    LEFT JOIN reservations_hold hold ON hold.id = claim.hold_id AND hold.performance_id = claim.performance_id
    WHERE {claims} AND hold.id IS NULL
    UNION ALL
    SELECT format('hold %%s, seat %%s: the seat is of another performance', claim.hold_id, claim.seat_id)
    FROM reservations_seatclaim claim
    LEFT JOIN concerts_seat seat ON seat.id = claim.seat_id AND seat.performance_id = claim.performance_id
    WHERE {claims} AND seat.id IS NULL
    UNION ALL
    SELECT format('reservation %%s, seat %%s: %%s', coalesce(ticket.reservation_id, claim.reservation_id),
        coalesce(ticket.seat_id, claim.seat_id), CASE
        WHEN claim.seat_id IS NULL THEN 'has a ticket, but was not held'
        WHEN ticket.seat_id IS NULL THEN 'was held, but has no ticket'
        WHEN ticket.price <> claim.price THEN 'the ticket has another price'
        WHEN claim.is_open THEN 'cancelled, but the seat is still taken'
        ELSE 'the seat has been given up, the reservation has not'
    END)
    FROM (SELECT * FROM reservations_ticket WHERE {tickets}) ticket
    FULL JOIN (
        SELECT sold.id AS reservation_id, claim.seat_id, claim.price,
            sold.status = 'CONFIRMED' AS stands, claim.ended_at IS NULL AS is_open
        FROM reservations_reservation sold
        JOIN reservations_seatclaim claim ON claim.hold_id = sold.hold_id
        WHERE {claims}
    ) claim ON claim.reservation_id = ticket.reservation_id AND claim.seat_id = ticket.seat_id
    WHERE claim.seat_id IS NULL OR ticket.seat_id IS NULL OR ticket.price <> claim.price
        OR (claim.stands AND ticket.cancelled_at IS NULL) <> claim.is_open
"""


def reservations_unlike_their_holds(since: datetime | None) -> Findings:
    return breaches(
        _RESERVATIONS_UNLIKE_THEIR_HOLDS,
        since=since,
        reservations="hold_id IN {changed}",
        holds="id IN {changed}",
        tickets="reservation_id IN (SELECT id FROM reservations_reservation WHERE hold_id IN {changed})",
        claims="claim.hold_id IN {changed}",
        changed=_CHANGED_HOLDS,
    )


# As many seats as the old one had, given up by its customer or not: what was given up in part cannot be moved.
_WRONG_MOVES = """
    SELECT format('reservation %%s: moved to %%s, %%s', old.id, old.moved_to_id, CASE
        WHEN new.id IS NULL THEN 'which does not exist'
        WHEN old.status <> 'CANCELLED' THEN 'but not cancelled'
        WHEN old.customer_id <> new.customer_id THEN 'which is of another customer'
        WHEN old_date.concert_id <> new_date.concert_id THEN 'which is for another concert'
        WHEN old.cancelled_at <> new.reserved_at THEN 'which was made at another time'
        WHEN old.times > 1 THEN 'as another one was'
        ELSE format('%%s seats for %%s', new_tickets.count, old_tickets.count)
    END)
    FROM (
        SELECT *, count(*) OVER (PARTITION BY moved_to_id) AS times
        FROM reservations_reservation
        WHERE moved_to_id IS NOT NULL AND {moves}
    ) old
    LEFT JOIN reservations_reservation new ON new.id = old.moved_to_id
    LEFT JOIN concerts_performance old_date ON old_date.id = old.performance_id
    LEFT JOIN concerts_performance new_date ON new_date.id = new.performance_id
    CROSS JOIN LATERAL (SELECT count(*) FROM reservations_ticket WHERE reservation_id = old.id) old_tickets
    CROSS JOIN LATERAL (SELECT count(*) FROM reservations_ticket WHERE reservation_id = new.id) new_tickets
    WHERE new.id IS NULL OR old.status <> 'CANCELLED' OR old.customer_id <> new.customer_id
        OR old_date.concert_id <> new_date.concert_id OR old.cancelled_at <> new.reserved_at OR old.times > 1
        OR old_tickets.count <> new_tickets.count
"""


def wrong_moves(since: datetime | None) -> Findings:
    # One that was not cancelled has no time of that: it is found by its own.
    return breaches(
        _WRONG_MOVES,
        since=since,
        moves=(
            "cancelled_at >= %(since)s OR id IN"
            " (SELECT old.id FROM reservations_reservation old"
            " WHERE old.status = 'CONFIRMED' AND old.reserved_at >= %(since)s AND old.moved_to_id IS NOT NULL)"
        ),
    )


_WRONG_COUNTS = """
    SELECT format('performance %%s: %%s seats, %%s for the public, %%s sold, where %%s, %%s and %%s are', performance.id,
        performance.seats_total, performance.seats_unblocked, performance.seats_sold, hall.total, hall.unblocked, sales.sold)
    FROM concerts_performance performance
    CROSS JOIN LATERAL (
        SELECT count(*) AS total, count(*) FILTER (WHERE NOT is_blocked) AS unblocked
        FROM concerts_seat
        WHERE performance_id = performance.id
    ) hall
    CROSS JOIN LATERAL (
        SELECT coalesce(sum(seats), 0) AS sold FROM concerts_rankingentry WHERE performance_id = performance.id
    ) sales
    WHERE {performances} AND (performance.seats_total, performance.seats_unblocked, performance.seats_sold)
        <> (hall.total, hall.unblocked, sales.sold)
"""

RECENTLY_SOLD = """
    SELECT performance_id FROM concerts_rankingentry WHERE recorded_at >= %(since)s
    UNION ALL
    SELECT performance_id FROM reservations_reservation WHERE reserved_at >= %(since)s OR cancelled_at >= %(since)s
    UNION ALL
    SELECT sold.performance_id FROM reservations_ticket ticket JOIN reservations_reservation sold ON sold.id = ticket.reservation_id
    WHERE ticket.cancelled_at >= %(since)s
"""


def wrong_counts(since: datetime | None) -> Findings:
    return breaches(
        _WRONG_COUNTS,
        since=since,
        performances="performance.id IN {sold}",
        sold=RECENTLY_SOLD,
    )
