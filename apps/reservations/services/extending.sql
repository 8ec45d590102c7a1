-- name: end_of_sales
-- The moment that decides, and when the sales of a locked hold's performance end; null if its concert is not published any more.
-- Comes after the last lock.
SELECT clock.at, (
    SELECT CASE WHEN concert.is_published THEN least(concert.sales_close_at, performance.starts_at) END
    FROM reservations_hold hold
    JOIN concerts_performance performance ON performance.id = hold.performance_id
    JOIN concerts_concert concert ON concert.id = performance.concert_id
    WHERE hold.id = %(hold_id)s
)
FROM (SELECT clock_timestamp() AS at OFFSET 0) clock;

-- name: extend
-- Gives a locked hold its new end.
UPDATE reservations_hold
SET extended_at = %(at)s, extended_from = expires_at, expires_at = %(expires_at)s
WHERE id = %(hold_id)s;
