-- name: lock_performance
-- Waits for staff who call the performance off, or lets them wait. There is no unpaid hold that they could end: what is sold without one must
-- be committed before they look for what is sold. Sales do not wait for each other.
SELECT called_off_at IS NOT NULL FROM concerts_performance WHERE id = %(performance_id)s FOR SHARE;

-- name: note_contact
-- Notes how to reach a customer of the counter, in the transaction of the sale.
UPDATE reservations_reservation SET contact = %(contact)s WHERE id = %(reservation_id)s;
