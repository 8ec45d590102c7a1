-- name: lock_best_seats
-- Waits for the other requests for the best seats of the performance, so that each chooses among what the ones before it left.
SELECT pg_advisory_xact_lock(hashtextextended('best available ' || %(performance_id)s::bigint, 0));

-- name: claimed_among
-- Those of some seats that were claimed since they were chosen.
SELECT claim.seat_id
FROM reservations_seatclaim claim
JOIN reservations_hold hold ON hold.id = claim.hold_id
WHERE claim.seat_id = ANY (%(seat_ids)s::bigint[]) AND claim.ended_at IS NULL
  AND (hold.status = 'CONFIRMED' OR (hold.status = 'HELD' AND hold.expires_at > clock_timestamp()));

-- name: lock_free_seats
-- Locks those of some seats that are neither claimed nor locked, and waits for no lock. For `+ 0` see holding.sql.
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
