-- name: live_hold
-- A row if the customer holds seats at this moment.
SELECT 1
FROM reservations_hold
WHERE customer_id = %(customer_id)s AND status = 'HELD' AND expires_at > statement_timestamp()
LIMIT 1;
