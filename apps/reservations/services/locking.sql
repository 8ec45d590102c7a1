-- The locks that paying for a hold, extending, releasing and cancelling it take, in the order of docs/locking.md. A hold's seats
-- never change, so each statement finds for itself what it has to lock. A stranger's hold is not found, and nothing is locked.

-- name: lock_customer_of_hold
-- Waits for other requests of the same customer. Without it a hold request could count the seats of a hold that is overdue for it
-- and paid, or extended, in time for this transaction.
SELECT pg_advisory_xact_lock(hashtextextended('hold ' || customer_id, 0))
FROM reservations_hold
WHERE id = %(hold_id)s AND customer_id = %(customer_id)s;

-- name: lock_seats_of_hold
SELECT seat.id, seat.section, seat.row, seat.number, seat.grade, claim.price
FROM reservations_hold hold
JOIN reservations_seatclaim claim ON claim.hold_id = hold.id
JOIN concerts_seat seat ON seat.id = claim.seat_id
WHERE hold.id = %(hold_id)s AND hold.customer_id = %(customer_id)s
ORDER BY seat.id
FOR NO KEY UPDATE OF seat;

-- name: lock_hold
-- The hold as it is once the lock is there, with what an answer tells of its performance. It is over at once when that is called off.
SELECT hold.id, hold.status, hold.total_price, hold.seat_limit, hold.queue_slot, hold.queue_generation,
    hold.held_at, least(hold.expires_at, performance.called_off_at), hold.extended_at, hold.performance_id, performance.concert_id, performance.starts_at,
    performance.ends_at, concert.title, concert.venue
FROM reservations_hold hold
JOIN concerts_performance performance ON performance.id = hold.performance_id
JOIN concerts_concert concert ON concert.id = performance.concert_id
WHERE hold.id = %(hold_id)s AND hold.customer_id = %(customer_id)s
FOR NO KEY UPDATE OF hold;
