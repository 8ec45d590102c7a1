-- Changes the exit log for a visitor who joins.

-- name: forget_early_end
-- Back before the opening: the same place is drawn again, so that its end must not come up later.
DELETE FROM queue_queueexit
WHERE concert_id = %(concert_id)s AND customer_id = %(customer_id)s AND generation = %(generation)s
    AND slot = 0 AND reason IN ('LEFT', 'REMOVED');
