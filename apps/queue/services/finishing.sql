-- The ends of visits, many at a time.

-- name: record
-- Returns those that were not on record, by their number in the arrays.
WITH ended AS (
    SELECT number, concert_id, customer_id, generation, place, joined_at
    FROM unnest(
        %(concerts)s::bigint[], %(customers)s::bigint[], %(generations)s::int[], %(places)s::bigint[],
        %(joined)s::timestamptz[]
    ) WITH ORDINALITY visit (concert_id, customer_id, generation, place, joined_at, number)
), recorded AS (
    INSERT INTO queue_queueexit (concert_id, customer_id, generation, place, reason, joined_at, ended_at)
    SELECT concert_id, customer_id, generation, place, %(reason)s::text,
        CASE %(reason)s::text WHEN 'LEFT' THEN least(joined_at, statement_timestamp()) ELSE joined_at END,
        statement_timestamp()
    FROM ended
    ON CONFLICT (concert_id, customer_id, generation, place) DO NOTHING
    RETURNING id, concert_id, customer_id, generation, place
)
SELECT ended.number, recorded.id
FROM recorded JOIN ended USING (concert_id, customer_id, generation, place);

-- name: correct
-- By the store's clock, as places and the ends that the room finds itself: what overlaps is then beyond doubt.
UPDATE queue_queueexit exit
SET ended_at = told.ended_at, admitted_at = told.admitted_at
FROM unnest(%(ids)s::bigint[], %(ended)s::timestamptz[], %(admitted)s::timestamptz[])
    told (id, ended_at, admitted_at)
WHERE exit.id = told.id;
