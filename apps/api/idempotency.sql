-- name: lock_key
-- Tries to be the only call with this key; never waits.
SELECT pg_try_advisory_xact_lock(hashtextextended(%(name)s, 0));

-- name: kept_answer
-- The answer that the first call with this key got. A statement of its own: it must see what was committed before the lock.
SELECT fingerprint, status, body
FROM api_idempotencyrecord
WHERE customer_id = %(customer_id)s AND operation = %(operation)s AND key = %(key)s;

-- name: keep_answer
-- Keeps an answer in the transaction of its effect.
INSERT INTO api_idempotencyrecord (customer_id, operation, key, fingerprint, status, body)
VALUES (%(customer_id)s, %(operation)s, %(key)s, %(fingerprint)s, %(status)s, %(body)s);
