-- Seats that staff keep back. What is sold or held at a moment is told by the claims of the reservations, as everywhere.

-- name: lock_seats_without_claims
-- Locks those of some seats that are neither claimed nor locked, and waits for no lock: staff who paint a hall stand in no customer's way,
-- and what customers are at work on is left alone. `+ 0`: see holding.sql.
SELECT seat.id
FROM concerts_seat seat
WHERE seat.performance_id + 0 = %(performance_id)s AND seat.id = ANY (%(seat_ids)s::bigint[])
  AND NOT EXISTS (
      SELECT
      FROM reservations_seatclaim claim
      JOIN reservations_hold hold ON hold.id = claim.hold_id
      WHERE claim.seat_id = seat.id AND claim.ended_at IS NULL
        AND (hold.status = 'CONFIRMED' OR (hold.status = 'HELD' AND hold.expires_at > clock_timestamp()))
  )
ORDER BY seat.id
FOR NO KEY UPDATE SKIP LOCKED;

-- name: unclaimed_among
-- Those of some locked seats that have no live claim: one may have been committed between the look at the claims above and the lock.
SELECT locked.id
FROM unnest(%(seat_ids)s::bigint[]) locked (id)
WHERE NOT EXISTS (
    SELECT
    FROM reservations_seatclaim claim
    JOIN reservations_hold hold ON hold.id = claim.hold_id
    WHERE claim.seat_id = locked.id AND claim.ended_at IS NULL
      AND (hold.status = 'CONFIRMED' OR (hold.status = 'HELD' AND hold.expires_at > clock_timestamp()))
);

-- name: allocate
-- Puts locked seats into a category, from wherever they were; says from where. What is there already, with the same reason until the same
-- time, is left as it is.
INSERT INTO concerts_seatallocation AS allocation
    (seat_id, performance_id, category_id, reason, allocated_by_id, allocated_at, released_at, returns_on_refund)
SELECT locked.id, %(performance_id)s, category.id, %(reason)s, %(staff_id)s::bigint, clock_timestamp(), %(released_at)s::timestamptz,
    category.returns_on_refund
FROM unnest(%(seat_ids)s::bigint[]) locked (id), concerts_inventorycategory category
WHERE category.id = %(category_id)s
ON CONFLICT (seat_id) DO UPDATE
SET category_id = excluded.category_id, reason = excluded.reason, allocated_by_id = excluded.allocated_by_id,
    allocated_at = excluded.allocated_at, released_at = excluded.released_at, returns_on_refund = excluded.returns_on_refund
WHERE (allocation.category_id, allocation.reason, allocation.released_at, allocation.returns_on_refund)
    IS DISTINCT FROM (excluded.category_id, excluded.reason, excluded.released_at, excluded.returns_on_refund)
RETURNING seat_id, OLD.category_id;

-- name: release_allocations
DELETE FROM concerts_seatallocation WHERE seat_id = ANY (%(seat_ids)s::bigint[]) RETURNING seat_id, category_id;

-- name: set_kind
UPDATE concerts_seat SET kind = %(kind)s
WHERE id = ANY (%(seat_ids)s::bigint[]) AND kind <> %(kind)s
RETURNING id, OLD.kind;

-- name: why_refused
-- Tells for seats that could not be changed why: sold, held, or being claimed or paid for at this moment.
SELECT asked.id, CASE
    WHEN seat.id IS NULL THEN 'UNKNOWN'
    WHEN claimed.status = 'CONFIRMED' THEN 'SOLD'
    WHEN claimed.status = 'HELD' THEN 'HELD'
    ELSE 'BUSY'
END
FROM unnest(%(seat_ids)s::bigint[]) asked (id)
LEFT JOIN concerts_seat seat ON seat.id = asked.id AND seat.performance_id + 0 = %(performance_id)s
LEFT JOIN LATERAL (
    SELECT hold.status
    FROM reservations_seatclaim claim
    JOIN reservations_hold hold ON hold.id = claim.hold_id
    WHERE claim.seat_id = seat.id AND claim.ended_at IS NULL
      AND (hold.status = 'CONFIRMED' OR (hold.status = 'HELD' AND hold.expires_at > clock_timestamp()))
) claimed ON true;

-- name: lock_seats_to_release
-- Seats whose allocation is over by the clock, sold ones, too: their allocation says only where they go when they are refunded. Found by
-- an index that has none but allocations with an end.
SELECT seat.id
FROM concerts_seatallocation allocation
JOIN concerts_seat seat ON seat.id = allocation.seat_id
WHERE allocation.released_at <= clock_timestamp()
ORDER BY allocation.released_at, seat.id
LIMIT %(batch)s
FOR NO KEY UPDATE OF seat SKIP LOCKED;

-- name: release_due
DELETE FROM concerts_seatallocation
WHERE seat_id = ANY (%(seat_ids)s::bigint[]) AND released_at <= clock_timestamp()
RETURNING seat_id, performance_id, category_id, allocated_by_id;

-- name: painted
-- A hall as staff see it, in the order of the seat map: a letter for what has become of each seat, and its category.
SELECT string_agg(CASE
        WHEN claimed.status = 'CONFIRMED' THEN 'R'
        WHEN claimed.status = 'HELD' AND claimed.expires_at > clock_timestamp() THEN 'H'
        ELSE 'A'
    END, '' ORDER BY seat.id),
    array_agg(coalesce(allocation.category_id, 0) ORDER BY seat.id)
FROM concerts_seat seat
LEFT JOIN concerts_seatallocation allocation ON allocation.seat_id = seat.id AND allocation.performance_id = %(performance_id)s
LEFT JOIN (
    SELECT claim.seat_id, hold.status, hold.expires_at
    FROM reservations_seatclaim claim
    JOIN reservations_hold hold ON hold.id = claim.hold_id AND hold.performance_id = %(performance_id)s
    WHERE claim.performance_id = %(performance_id)s AND claim.ended_at IS NULL
) claimed ON claimed.seat_id = seat.id
WHERE seat.performance_id = %(performance_id)s;
