-- name: find_reservation
-- Says which hold the reservation of a customer came from, before anything is locked: that never changes.
SELECT hold_id FROM reservations_reservation WHERE id = %(reservation_id)s AND customer_id = %(customer_id)s;

-- name: read_reservation
-- The reservation under the lock on its hold, which is also the lock on it, and what says until when it may be cancelled.
SELECT reservation.status, reservation.total_price, reservation.reserved_at, hold.held_at, performance.starts_at,
    performance.rescheduled_at
FROM reservations_reservation reservation
JOIN reservations_hold hold ON hold.id = reservation.hold_id
JOIN concerts_performance performance ON performance.id = reservation.performance_id
WHERE reservation.id = %(reservation_id)s;

-- name: cancel
-- Notes the cancellation and ends the claims on the seats, which are free from then on.
WITH reservation AS (
    UPDATE reservations_reservation SET status = 'CANCELLED', cancelled_at = %(at)s WHERE id = %(reservation_id)s
)
UPDATE reservations_seatclaim SET ended_at = %(at)s WHERE hold_id = %(hold_id)s;
