-- Deliveries: claimed, finished and failed for a whole batch at a time.

-- name: claim
-- Takes what is due for one consumer, the oldest first. A statement of its own transaction: no lock outlives it.
-- The error goes to the claimer: a claim that lapses without one was of a worker that is lost. A receiver that is unhealthy gets
-- probes only. Both looks at it are made once for the statement, whatever is due.
WITH due AS MATERIALIZED (
    SELECT id, last_error FROM outbox_eventdelivery
    WHERE consumer = %(consumer)s AND status = 'PENDING' AND next_attempt_at <= statement_timestamp()
        AND NOT EXISTS (
            SELECT FROM outbox_receiver WHERE consumer = %(consumer)s AND unhealthy_since IS NOT NULL
        )
    ORDER BY next_attempt_at, id
    LIMIT %(limit)s
    FOR NO KEY UPDATE SKIP LOCKED
)
UPDATE outbox_eventdelivery delivery
SET attempts = delivery.attempts + 1,
    last_error = '',
    next_attempt_at = statement_timestamp() + make_interval(secs => %(claim_seconds)s)
FROM due, outbox_outboxevent event
WHERE delivery.id = due.id AND event.id = delivery.event_id
RETURNING delivery.id, delivery.attempts, due.last_error,
    coalesce((SELECT failing_since IS NOT NULL FROM outbox_receiver WHERE consumer = %(consumer)s), FALSE),
    event.id, event.type, event.payload::text, event.occurred_at;

-- name: claim_probe
-- Takes one delivery to try an unhealthy receiver with: of the latest that are due the one that was tried least. What this receiver
-- never takes is due again and again, and would hide that it takes other messages.
WITH due AS MATERIALIZED (
    SELECT id, last_error
    FROM (
        SELECT id, last_error, attempts, next_attempt_at FROM outbox_eventdelivery
        WHERE consumer = %(consumer)s AND status = 'PENDING' AND next_attempt_at <= statement_timestamp()
        ORDER BY next_attempt_at DESC, id DESC
        LIMIT %(limit)s
    ) latest
    ORDER BY attempts, next_attempt_at, id
    LIMIT 1
)
UPDATE outbox_eventdelivery delivery
SET attempts = delivery.attempts + 1,
    last_error = '',
    next_attempt_at = statement_timestamp() + make_interval(secs => %(claim_seconds)s)
FROM due, outbox_outboxevent event
WHERE delivery.id = due.id AND event.id = delivery.event_id
    AND delivery.status = 'PENDING' AND delivery.next_attempt_at <= statement_timestamp()
RETURNING delivery.id, delivery.attempts, due.last_error, TRUE, event.id, event.type, event.payload::text, event.occurred_at;

-- name: finish
UPDATE outbox_eventdelivery
SET status = 'DONE', done_at = statement_timestamp(), last_error = ''
WHERE id = ANY(%(ids)s::bigint[]) AND status = 'PENDING';

-- name: fail
-- Touches none that another attempt has finished meanwhile.
UPDATE outbox_eventdelivery delivery
SET status = failed.status,
    next_attempt_at = statement_timestamp() + make_interval(secs => failed.wait_seconds),
    last_error = failed.error
FROM unnest(%(ids)s::bigint[], %(statuses)s::text[], %(waits)s::float8[], %(errors)s::text[])
    failed (id, status, wait_seconds, error)
WHERE delivery.id = failed.id AND delivery.status = 'PENDING';

-- name: give_back
-- Undoes claims whose effect has not begun, unless they have lapsed and been taken again. They are next again, the oldest event first.
UPDATE outbox_eventdelivery delivery
SET attempts = delivery.attempts - 1, next_attempt_at = least(event.occurred_at, statement_timestamp()), last_error = claimed.error
FROM unnest(%(ids)s::bigint[], %(attempts)s::int[], %(errors)s::text[]) claimed (id, attempts, error), outbox_outboxevent event
WHERE event.id = delivery.event_id AND delivery.id = claimed.id AND delivery.attempts = claimed.attempts AND delivery.status = 'PENDING';

-- name: take_alone
-- Notes what is left behind if this attempt, too, loses its worker.
UPDATE outbox_eventdelivery SET last_error = %(error)s
WHERE id = %(id)s AND attempts = %(attempts)s AND status = 'PENDING';

-- name: due_consumers
-- One look at the index for each, however much is pending.
SELECT wanted.consumer FROM unnest(%(consumers)s::text[]) wanted (consumer)
WHERE EXISTS (
    SELECT FROM outbox_eventdelivery delivery
    WHERE delivery.consumer = wanted.consumer AND delivery.status = 'PENDING'
        AND delivery.next_attempt_at <= statement_timestamp()
);
