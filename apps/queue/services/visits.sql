-- What a visitor's joining changes in the exit log.

-- name: forget_early_end
-- Back before the opening: the same place is drawn again, so that its end must not come up later.
DELETE FROM queue_queueexit
WHERE concert_id = %(concert_id)s AND customer_id = %(customer_id)s AND generation = %(generation)s
    AND slot = 0 AND reason IN ('LEFT', 'REMOVED');
