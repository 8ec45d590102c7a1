-- The locks of corrections and deletions of seats, in the order of docs/locking.md.

-- name: lock_halls
-- Every seat of some performances.
SELECT id, performance_id
FROM concerts_seat
WHERE performance_id = ANY (%(performance_ids)s::bigint[])
ORDER BY id
FOR NO KEY UPDATE;

-- name: lock_chosen_seats
SELECT id, performance_id
FROM concerts_seat
WHERE id = ANY (%(seat_ids)s::bigint[])
ORDER BY id
FOR NO KEY UPDATE;
