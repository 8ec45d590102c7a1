-- The health of those outside who are told of events, as their answers show it.

-- name: take_probe
-- Lets one drain try one delivery on a receiver that is unhealthy, if any is due; a worker that dies gives it back by doing nothing.
UPDATE outbox_receiver SET next_probe_at = statement_timestamp() + make_interval(secs => %(claim_seconds)s)
WHERE consumer = %(consumer)s AND unhealthy_since IS NOT NULL AND next_probe_at <= statement_timestamp()
    AND EXISTS (
        SELECT FROM outbox_eventdelivery
        WHERE consumer = %(consumer)s AND status = 'PENDING' AND next_attempt_at <= statement_timestamp()
    )
RETURNING consumer;

-- name: note_failures
-- Counts attempts of which none succeeded. The longer it has been like this, the longer is the wait for the next probe.
INSERT INTO outbox_receiver AS receiver (consumer, failures, failing_since, unhealthy_since, next_probe_at, last_error)
VALUES (
    %(consumer)s, %(failures)s, statement_timestamp(),
    CASE WHEN %(failures)s >= %(unhealthy_failures)s THEN statement_timestamp() END,
    statement_timestamp() + make_interval(secs => greatest(%(retry_after)s::float8, %(first)s * %(jitter)s)), %(error)s
)
ON CONFLICT (consumer) DO UPDATE SET
    failures = receiver.failures + excluded.failures,
    failing_since = coalesce(receiver.failing_since, statement_timestamp()),
    unhealthy_since = CASE WHEN receiver.failures + excluded.failures >= %(unhealthy_failures)s
        THEN coalesce(receiver.unhealthy_since, statement_timestamp()) END,
    next_probe_at = statement_timestamp() + make_interval(secs => greatest(
        %(retry_after)s::float8,
        %(jitter)s * least(%(longest)s::float8, greatest(%(first)s::float8,
            extract(epoch FROM statement_timestamp() - receiver.failing_since)::float8 * %(share)s))
    )),
    last_error = excluded.last_error
RETURNING failures, coalesce(unhealthy_since = statement_timestamp(), FALSE);

-- name: note_success
-- One success ends all of it. Says for how long everything had failed, if the receiver was unhealthy.
UPDATE outbox_receiver receiver
SET failures = 0, failing_since = NULL, unhealthy_since = NULL, next_probe_at = NULL,
    recovered_at = CASE WHEN before.unhealthy_since IS NULL THEN receiver.recovered_at ELSE statement_timestamp() END
FROM (
    SELECT consumer, unhealthy_since, failing_since FROM outbox_receiver
    WHERE consumer = %(consumer)s AND failing_since IS NOT NULL
    FOR NO KEY UPDATE
) before
WHERE receiver.consumer = before.consumer
RETURNING CASE WHEN before.unhealthy_since IS NOT NULL
    THEN extract(epoch FROM statement_timestamp() - before.failing_since)::float8 END;

-- name: release_waiting
-- Makes due what has failed and waits, in the order of the events. The wait was not served, so the attempt before it does not count.
-- What is being tried at this moment has no error yet.
WITH waiting AS MATERIALIZED (
    SELECT delivery.id, event.occurred_at
    FROM outbox_eventdelivery delivery JOIN outbox_outboxevent event ON event.id = delivery.event_id
    WHERE delivery.consumer = %(consumer)s AND delivery.status = 'PENDING'
        AND delivery.next_attempt_at > statement_timestamp() AND delivery.last_error NOT IN ('', %(lost_alone)s)
    ORDER BY delivery.next_attempt_at
    LIMIT %(limit)s
    FOR NO KEY UPDATE OF delivery SKIP LOCKED
)
UPDATE outbox_eventdelivery delivery
SET next_attempt_at = least(waiting.occurred_at, statement_timestamp()), attempts = greatest(delivery.attempts - 1, 0)
FROM waiting
WHERE delivery.id = waiting.id
RETURNING delivery.id;
