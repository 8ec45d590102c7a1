-- name: find_customer_of_hold
-- Says whose hold it is, before anything is locked: that never changes.
SELECT customer_id FROM reservations_hold WHERE id = %(hold_id)s;

-- name: end_of_other_holds
-- The moment that decides, and when the last other live hold of the customer at the same concert ends. Comes after the last lock.
SELECT clock.at, (
    SELECT max(other.expires_at)
    FROM reservations_hold hold
    JOIN concerts_performance performance ON performance.id = hold.performance_id
    JOIN concerts_performance date ON date.concert_id = performance.concert_id
    JOIN reservations_hold other ON other.performance_id = date.id AND other.customer_id = hold.customer_id
    WHERE hold.id = %(hold_id)s AND other.id <> hold.id AND other.status = 'HELD' AND other.expires_at > clock.at
)
FROM (SELECT clock_timestamp() AS at OFFSET 0) clock;

-- name: release
-- Ends a locked hold and the claims on its seats, which are free from then on.
WITH hold AS (
    UPDATE reservations_hold SET status = 'RELEASED', ended_at = %(at)s, release_reason = %(reason)s WHERE id = %(hold_id)s
)
UPDATE reservations_seatclaim SET ended_at = %(at)s WHERE hold_id = %(hold_id)s;

-- name: lock_holds_of_performance
-- Waits for transactions at work on them, payments for example.
SELECT id
FROM reservations_hold
WHERE performance_id = %(performance_id)s AND status = 'HELD'
ORDER BY id
FOR NO KEY UPDATE;

-- name: release_holds
-- Ends holds that are locked, and the claims on their seats; those that are over as the sweep would.
WITH ended AS (
    UPDATE reservations_hold
    SET status = CASE WHEN expires_at > %(at)s THEN 'RELEASED' ELSE 'EXPIRED' END, ended_at = least(expires_at, %(at)s)
    WHERE id = ANY (%(hold_ids)s::uuid[]) AND status = 'HELD'
    RETURNING id, ended_at
)
UPDATE reservations_seatclaim claim
SET ended_at = ended.ended_at
FROM ended
WHERE claim.hold_id = ended.id AND claim.ended_at IS NULL;
