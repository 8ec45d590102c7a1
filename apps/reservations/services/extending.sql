-- name: end_of_sales
-- The moment that decides; of a locked hold when the sales of its performance end, null if its concert is offline; and whether a
-- payment has ended its visit, see holding.sql. Comes after the last lock.
SELECT clock.at, CASE WHEN concert.is_published THEN least(concert.sales_close_at, performance.starts_at, performance.called_off_at) END, EXISTS (
    SELECT
    FROM reservations_hold paid
    WHERE paid.customer_id = hold.customer_id AND paid.status = 'CONFIRMED'
      AND paid.queue_generation = hold.queue_generation AND paid.queue_slot = hold.queue_slot
      AND (
          SELECT date.concert_id FROM concerts_performance date WHERE date.id = paid.performance_id
      ) = concert.id
)
FROM (SELECT clock_timestamp() AS at OFFSET 0) clock
LEFT JOIN reservations_hold hold ON hold.id = %(hold_id)s
LEFT JOIN concerts_performance performance ON performance.id = hold.performance_id
LEFT JOIN concerts_concert concert ON concert.id = performance.concert_id;

-- name: extend
-- Gives a locked hold its new end.
UPDATE reservations_hold
SET extended_at = %(at)s, extended_from = expires_at, expires_at = %(expires_at)s
WHERE id = %(hold_id)s;
