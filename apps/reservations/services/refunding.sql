-- name: find_sale
-- Says which hold anybody's reservation came from, and whose it is, before anything is locked: that never changes.
SELECT hold_id, customer_id FROM reservations_reservation WHERE id = %(reservation_id)s;

-- name: cancel_tickets
-- Notes that some seats of a reservation are cancelled, which stands, and ends the claims on them: they are free from then on.
WITH ticket AS (
    UPDATE reservations_ticket SET cancelled_at = %(at)s, cancel_reason = %(reason)s
    WHERE reservation_id = %(reservation_id)s AND seat_id = ANY (%(seat_ids)s::bigint[])
)
UPDATE reservations_seatclaim SET ended_at = %(at)s
WHERE hold_id = %(hold_id)s AND seat_id = ANY (%(seat_ids)s::bigint[]) AND ended_at IS NULL;
