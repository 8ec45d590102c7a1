-- name: lock_overdue_holds
-- Waits for transactions at work on holds that are in the way, a sweep for example.
SELECT id
FROM reservations_hold
WHERE id = ANY (%(hold_ids)s::uuid[]) AND status = 'HELD'
ORDER BY id
FOR NO KEY UPDATE;

-- name: end_overdue_holds
-- Notes the end of holds that are locked and over, at the moment at which they ended; says how many there were.
WITH ended AS (
    UPDATE reservations_hold
    SET status = 'EXPIRED', ended_at = expires_at
    WHERE id = ANY (%(hold_ids)s::uuid[]) AND status = 'HELD' AND expires_at <= %(at)s
    RETURNING id, expires_at
), freed AS (
    UPDATE reservations_seatclaim claim
    SET ended_at = ended.expires_at
    FROM ended
    WHERE claim.hold_id = ended.id AND claim.ended_at IS NULL
)
SELECT count(*) FROM ended;
