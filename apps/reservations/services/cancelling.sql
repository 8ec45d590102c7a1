-- name: find_reservation
-- Says which hold the reservation of a customer came from, before anything is locked: that never changes.
SELECT hold_id FROM reservations_reservation WHERE id = %(reservation_id)s AND customer_id = %(customer_id)s;

-- name: read_reservation
-- The reservation under the lock on its hold, which is also the lock on it.
SELECT status, total_price, reserved_at FROM reservations_reservation WHERE id = %(reservation_id)s;

-- name: cancel
-- Notes the cancellation and ends the claims on the seats, which are free from then on.
WITH reservation AS (
    UPDATE reservations_reservation SET status = 'CANCELLED', cancelled_at = %(at)s WHERE id = %(reservation_id)s
)
UPDATE reservations_seatclaim SET ended_at = %(at)s WHERE hold_id = %(hold_id)s;
