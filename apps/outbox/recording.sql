-- name: record_event
-- Writes an event, and a pending delivery for each of its consumers.
WITH event AS (
    INSERT INTO outbox_outboxevent (id, type, payload, occurred_at)
    VALUES (%(event_id)s, %(type)s, %(payload)s::jsonb, %(occurred_at)s)
)
INSERT INTO outbox_eventdelivery (event_id, consumer, status, attempts, next_attempt_at, last_error)
SELECT %(event_id)s, consumer, 'PENDING', 0, %(next_attempt_at)s, ''
FROM unnest(%(consumers)s::text[]) AS consumer;
