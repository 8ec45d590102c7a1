-- name: find_reservation
-- Says which hold the reservation of a customer came from, before anything is locked: that never changes.
SELECT hold_id FROM reservations_reservation WHERE id = %(reservation_id)s AND customer_id = %(customer_id)s;

-- name: read_reservation
-- The reservation under the lock on its hold, which is also the lock on it, what says until when it may be cancelled, what has been
-- refunded of it, and which of its seats were given up before. Comes after the last lock. Of what the house paid as much is left as it has not got back.
SELECT reservation.number, reservation.status, reservation.total_price, reservation.reserved_at,
    (
        SELECT coalesce(sum(amount), 0)::bigint FROM payments_ledgertransaction
        WHERE type = 'REFUND' AND reference = reservation.id
    ),
    (
        SELECT coalesce(sum(amount), 0)::bigint FROM payments_ledgertransaction
        WHERE type IN ('COMP', 'COMP_BACK') AND reference = reservation.id
    ),
    ARRAY(
        SELECT seat_id FROM reservations_ticket
        WHERE reservation_id = reservation.id AND cancelled_at IS NOT NULL
    ),
    performance.starts_at, performance.rescheduled_at, performance.free_cancellation_until
FROM reservations_reservation reservation
JOIN concerts_performance performance ON performance.id = reservation.performance_id
WHERE reservation.id = %(reservation_id)s;

-- name: cancel
-- Notes the cancellation and ends the claims on the seats that are left, which are free from then on.
WITH reservation AS (
    UPDATE reservations_reservation SET status = 'CANCELLED', cancelled_at = %(at)s, cancel_reason = %(reason)s
    WHERE id = %(reservation_id)s
)
UPDATE reservations_seatclaim SET ended_at = %(at)s WHERE hold_id = %(hold_id)s AND ended_at IS NULL;
