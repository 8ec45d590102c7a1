-- The ranking's record of events, many at a time.

-- name: record
-- Returns the new ones. Under the locks of their performances, so that what is counted of them is counted once.
INSERT INTO concerts_rankingentry
    (event_id, concert_id, performance_id, day, reservations, seats, seat_ids, occurred_at)
SELECT event_id, concert_id, performance_id, day, reservations, seats, seat_ids::bigint[], occurred_at
FROM unnest(
    %(events)s::uuid[], %(concerts)s::bigint[], %(performances)s::bigint[], %(days)s::date[],
    %(reservations)s::int[], %(seats)s::int[], %(seat_ids)s::text[], %(occurred)s::timestamptz[]
) entry (event_id, concert_id, performance_id, day, reservations, seats, seat_ids, occurred_at)
ON CONFLICT (event_id) DO NOTHING
RETURNING event_id, recorded_at;
