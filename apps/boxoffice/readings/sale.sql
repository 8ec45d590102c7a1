-- name: sale_concert
-- The concert, the policy of its waiting room if it has one, and the moment of this reading.
SELECT statement_timestamp(), concert.title, concert.is_published, concert.sales_open_at, concert.sales_close_at, room.id, room.state,
    CASE WHEN concert.is_published THEN room.pause_reason ELSE room.withdrawal_reason END, room.capacity,
    room.admissions_per_minute
FROM concerts_concert concert
LEFT JOIN queue_waitingroom room ON room.concert_id = concert.id
WHERE concert.id = %(concert_id)s;

-- name: sale_dates
-- The dates that are not over; the next reading counts their seats.
SELECT id, starts_at
FROM concerts_performance
WHERE concert_id = %(concert_id)s AND ends_at > statement_timestamp()
ORDER BY starts_at, id
LIMIT %(dates_max)s;

-- name: sale_seats
-- How many seats of each date, grade and category are free, held and sold, and what those cost.
SELECT seat.performance_id, seat.grade, seat.category, seat.state, count(*), sum(seat.price)
FROM (
    SELECT seat.performance_id, seat.grade,
        coalesce(category.code, 'OPEN') AS category,
        CASE
            WHEN hold.status = 'CONFIRMED' THEN 'SOLD'
            WHEN hold.status = 'HELD' AND hold.expires_at > statement_timestamp() THEN 'HELD'
            ELSE 'FREE'
        END AS state,
        coalesce(claim.price, seat.price) AS price
    FROM concerts_seat seat
    LEFT JOIN reservations_seatclaim claim
        ON claim.seat_id = seat.id AND claim.ended_at IS NULL AND claim.performance_id = ANY (%(performance_ids)s::bigint[])
    LEFT JOIN reservations_hold hold
        ON hold.id = claim.hold_id AND hold.performance_id = ANY (%(performance_ids)s::bigint[])
        AND hold.status IN ('HELD', 'CONFIRMED')
    LEFT JOIN concerts_seatallocation allocation
        ON allocation.seat_id = seat.id AND allocation.performance_id = ANY (%(performance_ids)s::bigint[])
    LEFT JOIN concerts_inventorycategory category ON category.id = allocation.category_id
    WHERE seat.performance_id = ANY (%(performance_ids)s::bigint[])
) seat
GROUP BY 1, 2, 3, 4;

-- name: sale_holds
-- Live holds by age in whole minutes: how many, of how many seats, what they cost, and the age of the oldest in seconds.
SELECT minutes, count(*), sum(seats), sum(total_price), max(age)
FROM (
    SELECT extract(epoch FROM statement_timestamp() - hold.held_at)::int AS age, floor(extract(epoch FROM statement_timestamp() - hold.held_at) / 60)::int AS minutes,
        hold.total_price,
        (SELECT count(*) FROM reservations_seatclaim claim WHERE claim.hold_id = hold.id) AS seats
    FROM reservations_hold hold
    WHERE hold.status = 'HELD' AND hold.expires_at > statement_timestamp() AND hold.performance_id = ANY (%(performance_ids)s::bigint[])
) hold
GROUP BY minutes
ORDER BY minutes;

-- name: sale_sales
-- Adds up what was sold since, by minute: reservations, won without what the house has given.
SELECT floor(extract(epoch FROM reserved_at) / 60)::bigint, reserved_at < statement_timestamp() - %(settling)s, count(*),
    sum(total_price - coalesce(given.amount, 0))::bigint
FROM reservations_reservation reservation
LEFT JOIN LATERAL (
    SELECT sum(amount) AS amount FROM payments_ledgertransaction WHERE reference = reservation.id AND type = 'COMP'
) given ON TRUE
WHERE reserved_at >= coalesce(%(sales_since)s, statement_timestamp() - %(kept)s) AND performance_id = ANY (%(performance_ids)s::bigint[])
GROUP BY 1, 2;

-- name: sale_refunds
-- Adds up what was given back since, by minute: refunds, won without what the house got back of them.
SELECT floor(extract(epoch FROM movement.created_at) / 60)::bigint, movement.created_at < statement_timestamp() - %(settling)s,
    count(*) FILTER (WHERE movement.type = 'REFUND'), sum(movement.amount)
FROM payments_ledgertransaction movement
JOIN reservations_reservation reservation ON reservation.id = movement.reference
WHERE movement.created_at >= coalesce(%(refunds_since)s, statement_timestamp() - %(kept)s) AND movement.type IN ('REFUND', 'COMP_BACK')
    AND reservation.performance_id = ANY (%(performance_ids)s::bigint[])
GROUP BY 1, 2;

-- name: sale_holds_begun
-- Holds that began since, by minute, whatever has become of them.
SELECT floor(extract(epoch FROM held_at) / 60)::bigint, held_at < statement_timestamp() - %(settling)s, count(*)
FROM reservations_hold
WHERE held_at >= coalesce(%(holds_begun_since)s, statement_timestamp() - %(kept)s) AND performance_id = ANY (%(performance_ids)s::bigint[])
GROUP BY 1, 2;

-- name: sale_holds_lost
-- Holds that ended since without a payment, by minute. A sweep writes the end, some seconds after it.
SELECT floor(extract(epoch FROM ended_at) / 60)::bigint, ended_at < statement_timestamp() - %(settling)s, count(*)
FROM reservations_hold
WHERE status IN ('RELEASED', 'EXPIRED') AND ended_at >= coalesce(%(holds_lost_since)s, statement_timestamp() - %(kept)s)
    AND performance_id = ANY (%(performance_ids)s::bigint[])
GROUP BY 1, 2;
