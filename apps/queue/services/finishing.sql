-- The ends of visits, many at a time.

-- name: record
-- Returns those that were not on record.
INSERT INTO queue_queueexit (concert_id, customer_id, slot, generation, reason, joined_at, ended_at)
SELECT concert_id, customer_id, slot, generation, %(reason)s::text,
    CASE %(reason)s::text WHEN 'LEFT' THEN least(joined_at, statement_timestamp()) ELSE joined_at END,
    statement_timestamp()
FROM unnest(
    %(concerts)s::bigint[], %(customers)s::bigint[], %(slots)s::bigint[], %(generations)s::int[],
    %(joined)s::timestamptz[]
) visit (concert_id, customer_id, slot, generation, joined_at)
ON CONFLICT (concert_id, customer_id, generation, slot) DO NOTHING
RETURNING concert_id, customer_id, slot, generation, id;

-- name: correct
-- By the store's clock, as places and the ends that the room finds itself: what overlaps is then beyond doubt.
UPDATE queue_queueexit exit
SET ended_at = told.ended_at, admitted_at = told.admitted_at
FROM unnest(%(ids)s::bigint[], %(ended)s::timestamptz[], %(admitted)s::timestamptz[])
    told (id, ended_at, admitted_at)
WHERE exit.id = told.id;
