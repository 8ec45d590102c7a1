-- name: lock_customer
-- Waits for other requests of the same customer, so that two cannot pass a limit together: not that of one performance, and not
-- that of the unpaid seats of all dates.
SELECT pg_advisory_xact_lock(hashtextextended('hold ' || %(customer_id)s::bigint, 0));

-- name: count_seats_of_customer
-- Counts how many seats of the performance the customer has at this moment, how many of the concert without having paid, whether a payment
-- has ended the visit, whether the account is one of staff, and when who may have how many; no concert if the performance is not for sale. Comes after the
-- customer's lock, which payments take, too. `+ 0` here and below: of a performance that the planner does not know yet it expects one
-- row, and would read all there are in place of the few by key. For the same reason no join finds the concert of a hold.
SELECT clock.at, own.seats, own.unpaid, EXISTS (
        SELECT
        FROM reservations_hold paid
        WHERE paid.customer_id = %(customer_id)s AND paid.status = 'CONFIRMED'
          AND paid.queue_generation = %(queue_generation)s::integer AND paid.queue_slot = %(queue_slot)s::bigint
          AND (
              SELECT date.concert_id FROM concerts_performance date WHERE date.id = paid.performance_id
          ) = performance.concert_id
    ),
    (SELECT account.is_staff FROM accounts_user account WHERE account.id = %(customer_id)s),
    concert.id, concert.seats_per_customer,
    coalesce(concert.unpaid_seats_max, concert.seats_per_customer),
    concert.sales_open_at, concert.sales_close_at, least(performance.starts_at, performance.called_off_at)
FROM (SELECT clock_timestamp() AS at OFFSET 0) clock
LEFT JOIN concerts_performance performance ON performance.id = %(performance_id)s
LEFT JOIN concerts_concert concert ON concert.id = performance.concert_id AND concert.is_published
CROSS JOIN LATERAL (
    SELECT count(*) FILTER (WHERE hold.performance_id = performance.id) AS seats,
        count(*) FILTER (WHERE hold.status = 'HELD') AS unpaid
    FROM reservations_hold hold
    JOIN reservations_seatclaim claim ON claim.hold_id = hold.id
    WHERE hold.customer_id = %(customer_id)s AND claim.ended_at IS NULL
      AND CASE hold.status
          WHEN 'CONFIRMED' THEN hold.performance_id + 0 = performance.id
          WHEN 'HELD' THEN hold.expires_at > clock.at AND (
              SELECT date.concert_id FROM concerts_performance date WHERE date.id = hold.performance_id
          ) = performance.concert_id
      END
) own;

-- name: lock_seats
-- Locks the seats of a request, or as many as are not locked, and waits for no lock. A request that does not get the
-- first of them leaves the others alone, so that of two for the same seats one gets all. Seats with a live claim are not locked:
-- the crowd that is refused them must not stand in the way of their owner.
WITH first AS MATERIALIZED (
    SELECT id
    FROM concerts_seat
    WHERE id = (
        SELECT min(id) FROM concerts_seat
        WHERE performance_id + 0 = %(performance_id)s AND id = ANY (%(seat_ids)s::bigint[])
    )
    AND NOT EXISTS (
        SELECT
        FROM reservations_seatclaim claim
        JOIN reservations_hold hold ON hold.id = claim.hold_id
        WHERE claim.seat_id = ANY (%(seat_ids)s::bigint[]) AND claim.ended_at IS NULL
          AND (hold.status = 'CONFIRMED' OR (hold.status = 'HELD' AND hold.expires_at > clock_timestamp()))
    )
    FOR NO KEY UPDATE SKIP LOCKED
), others AS MATERIALIZED (
    SELECT id
    FROM concerts_seat
    WHERE performance_id + 0 = %(performance_id)s AND id = ANY (%(seat_ids)s::bigint[])
      AND id > (SELECT id FROM first)
    ORDER BY id
    FOR NO KEY UPDATE SKIP LOCKED
)
SELECT id FROM first UNION ALL SELECT id FROM others;

-- name: read_seats
-- The seats of a request with the open claims on them, and the moment that decides about them. Comes after the last lock; has
-- one row without a seat if there are none.
SELECT clock.at, seat.id, seat.section, seat.row, seat.number, seat.grade, seat.price,
    seat.is_blocked, hold.id, hold.status, hold.expires_at
FROM (SELECT clock_timestamp() AS at OFFSET 0) clock
LEFT JOIN concerts_seat seat
    ON seat.performance_id + 0 = %(performance_id)s AND seat.id = ANY (%(seat_ids)s::bigint[])
LEFT JOIN reservations_seatclaim claim ON claim.seat_id = seat.id AND claim.ended_at IS NULL
LEFT JOIN reservations_hold hold ON hold.id = claim.hold_id
ORDER BY seat.id;

-- name: sellable_among
-- Those seats of a request that are kept back in one of the categories which the seller may sell. Only the box office asks.
SELECT seat_id
FROM concerts_seatallocation
WHERE seat_id = ANY (%(seat_ids)s::bigint[]) AND category_id = ANY (%(categories)s::bigint[]);

-- name: free_in_rows
-- Finds what is free in the rows of the seats of a request, for concerts that refuse choices which leave single seats. `OFFSET 0` asks for
-- the claim on each of them by key, where a join would read all claims. A statement of its own, because as a part of the one above
-- it would be planned for every request, refused or not, and that costs more than running either.
SELECT other.section, other.row, other.number, other.x
FROM (
    SELECT DISTINCT section, row
    FROM concerts_seat
    WHERE performance_id + 0 = %(performance_id)s AND id = ANY (%(seat_ids)s::bigint[])
) line
JOIN concerts_seat other
    ON other.performance_id = %(performance_id)s AND other.section = line.section AND other.row = line.row
WHERE NOT other.is_blocked AND NOT EXISTS (
    SELECT
    FROM reservations_seatclaim claim
    JOIN reservations_hold hold ON hold.id = claim.hold_id
    WHERE claim.seat_id = other.id AND claim.ended_at IS NULL
      AND (hold.status = 'CONFIRMED' OR (hold.status = 'HELD' AND hold.expires_at > clock_timestamp()))
    OFFSET 0
);

-- name: hold
-- Writes a hold with its claims on seats that are locked and were found free.
WITH hold AS (
    INSERT INTO reservations_hold (
        id, customer_id, performance_id, status, total_price, seat_limit, unpaid_limit, queue_slot, queue_generation, held_at,
        expires_at
    )
    VALUES (
        %(hold_id)s, %(customer_id)s, %(performance_id)s, 'HELD', %(total_price)s, %(seat_limit)s, %(unpaid_limit)s,
        %(queue_slot)s::bigint, %(queue_generation)s::integer, %(held_at)s, %(expires_at)s
    )
)
INSERT INTO reservations_seatclaim (hold_id, performance_id, seat_id, price)
SELECT %(hold_id)s, %(performance_id)s, seat.id, seat.price
FROM unnest(%(seat_ids)s::bigint[], %(prices)s::integer[]) AS seat (id, price);
