-- A year of a busy box office, for `dev/bench/explain.py`: every hot table has at least 100,000 rows.
--
-- 20,000 customers; 30 concerts with two dates of 5,000 seats; 20 dates are sold out, the seats of the others have been held and
-- given back; 2,000 holds are live and 300 are overdue; the relay has 200 deliveries to do. Constraints hold, triggers rest.

SET session_replication_role = replica;

INSERT INTO accounts_user (id, email, name, password, is_active, is_staff, is_superuser, joined_at)
SELECT n, 'customer' || n || '@example.com', 'Customer ' || n, '!', true, false, false, now()
FROM generate_series(1, 20000) n;

INSERT INTO accounts_accesstoken (id, user_id, token_hash, created_at, expires_at)
SELECT n, n % 20000 + 1, sha256(('token-' || n)::bytea), now() - interval '1 hour', now() + interval '11 hours'
FROM generate_series(1, 100000) n;

INSERT INTO concerts_concert (id, title, artist, venue, description, sales_open_at, seats_per_customer, is_published, created_at)
SELECT n, 'Concert ' || n, 'Artist ' || n, 'Hall ' || n, '', now() - interval '300 days', 10, true, now()
FROM generate_series(1, 30) n;

INSERT INTO concerts_performance (id, concert_id, starts_at, ends_at, seat_map_version, sold_out_at)
SELECT n, (n + 1) / 2, now() + n * interval '1 day' + interval '30 days',
    now() + n * interval '1 day' + interval '30 days 3 hours', 2,
    CASE WHEN n <= 20 THEN now() - interval '200 days' + n * interval '1 hour' END
FROM generate_series(1, 60) n;

INSERT INTO concerts_seat (id, performance_id, section, row, number, grade, price, x, y, is_blocked)
SELECT (date - 1) * 5000 + n, date, (n - 1) / 500 + 1, chr(65 + (n - 1) % 500 / 50), (n - 1) % 50 + 1,
    (ARRAY['VIP', 'R', 'S', 'A'])[LEAST((n - 1) / 1000 + 1, 4)], 200000 - LEAST((n - 1) / 1000, 3) * 40000,
    (n - 1) % 50, (n - 1) / 50, false
FROM generate_series(1, 60) date, generate_series(1, 5000) n;

-- Hold n is for seat n. 1 to 100,000 were paid, the next 2,000 are live, 300 overdue, 47,700 expired, 50,000 released.
INSERT INTO reservations_hold
    (id, customer_id, performance_id, status, total_price, seat_limit, held_at, expires_at, ended_at)
SELECT md5('hold ' || n)::uuid, n * 7919 % 20000 + 1, (n - 1) / 5000 + 1, status, 50000, 10, held_at,
    held_at + interval '5 minutes', CASE WHEN status <> 'HELD' THEN held_at + interval '1 minute' END
FROM (
    SELECT n,
        CASE WHEN n <= 100000 THEN 'CONFIRMED' WHEN n <= 102300 THEN 'HELD' WHEN n <= 150000 THEN 'EXPIRED' ELSE 'RELEASED' END
            AS status,
        CASE WHEN n > 100000 AND n <= 102000 THEN now() - interval '1 minute'
            WHEN n > 102000 AND n <= 102300 THEN now() - interval '6 minutes'
            ELSE now() - n * interval '2 minutes' - interval '1 day' END AS held_at
    FROM generate_series(1, 200000) n
) drawn;

INSERT INTO reservations_seatclaim (id, hold_id, performance_id, seat_id, price, ended_at)
SELECT n, md5('hold ' || n)::uuid, (n - 1) / 5000 + 1, n, 50000, CASE WHEN n > 102300 THEN now() - interval '1 day' END
FROM generate_series(1, 200000) n;

INSERT INTO reservations_reservation (id, hold_id, customer_id, performance_id, status, total_price, reserved_at)
SELECT md5('reservation ' || n)::uuid, md5('hold ' || n)::uuid, n * 7919 % 20000 + 1, (n - 1) / 5000 + 1, 'CONFIRMED', 50000,
    now() - n * interval '2 minutes' - interval '1 day' + interval '1 minute'
FROM generate_series(1, 100000) n;

INSERT INTO reservations_ticket (id, reservation_id, seat_id, price, code)
SELECT md5('ticket ' || n)::uuid, md5('reservation ' || n)::uuid, n, 50000, upper(left(md5('code ' || n), 16))
FROM generate_series(1, 100000) n;

-- Five top-ups and five payments of each customer.
INSERT INTO payments_wallet (customer_id, balance, version) SELECT n, 250000, 10 FROM generate_series(1, 20000) n;

INSERT INTO payments_ledgertransaction (id, customer_id, sequence, type, amount, balance_after, reference, reason)
SELECT md5('movement ' || n)::uuid, (n - 1) % 20000 + 1, (n - 1) / 20000 + 1,
    CASE WHEN n <= 100000 THEN 'CHARGE' ELSE 'PAYMENT' END, CASE WHEN n <= 100000 THEN 100000 ELSE -50000 END,
    CASE WHEN n <= 100000 THEN ((n - 1) / 20000 + 1) * 100000 ELSE 500000 - ((n - 1) / 20000 - 4) * 50000 END,
    CASE WHEN n > 100000 THEN md5('reservation ' || n - 100000)::uuid END, ''
FROM generate_series(1, 200000) n;

INSERT INTO payments_ledgerentry (id, transaction_id, account, customer_id, amount)
SELECT 2 * n + side, md5('movement ' || n)::uuid,
    CASE WHEN side = 0 THEN 'CUSTOMER_LIABILITY' WHEN n <= 100000 THEN 'CASH' ELSE 'SALES_REVENUE' END,
    CASE WHEN side = 0 THEN (n - 1) % 20000 + 1 END,
    CASE WHEN n <= 100000 THEN 100000 ELSE -50000 END * CASE side WHEN 0 THEN 1 ELSE -1 END
FROM generate_series(1, 200000) n, generate_series(0, 1) side;

INSERT INTO outbox_outboxevent (id, type, payload, occurred_at)
SELECT md5('event ' || n)::uuid, 'reservation.confirmed', jsonb_build_object('seat_count', 1), now() - n * interval '2 minutes'
FROM generate_series(1, 100000) n;

INSERT INTO outbox_eventdelivery (id, event_id, consumer, status, attempts, next_attempt_at, last_error, done_at)
SELECT (n - 1) * 3 + rank, md5('event ' || n)::uuid, consumer, CASE WHEN is_pending THEN 'PENDING' ELSE 'DONE' END, 1,
    now() - n * interval '2 minutes', '', CASE WHEN NOT is_pending THEN now() END
FROM generate_series(1, 100000) n,
    unnest(ARRAY['ranking', 'queue', 'external_sync']) WITH ORDINALITY AS one (consumer, rank),
    LATERAL (SELECT consumer = 'external_sync' AND n <= 200 AS is_pending) state;

INSERT INTO api_idempotencyrecord (customer_id, operation, key, fingerprint, status, body, created_at)
SELECT n % 20000 + 1, 'reservations.confirm', md5('key ' || n), md5('f' || n) || md5('g' || n), 201, repeat('x', 900)::bytea,
    now() - n * interval '1 second'
FROM generate_series(1, 100000) n;

INSERT INTO concerts_rankingentry
    (event_id, concert_id, performance_id, day, reservations, seats, occurred_at, recorded_at)
SELECT md5('event ' || n)::uuid, (date + 1) / 2, date, (now() - n * interval '2 minutes')::date, 1, 1,
    now() - n * interval '2 minutes', now() - n * interval '2 minutes'
FROM generate_series(1, 100000) n, LATERAL (SELECT (n - 1) / 5000 + 1 AS date) drawn;

INSERT INTO queue_queueexit (concert_id, customer_id, generation, slot, reason, joined_at, admitted_at, ended_at)
SELECT (n - 1) % 30 + 1, n * 7919 % 20000 + 1, 1, 1700000000000000 + n, 'COMPLETED', now() - n * interval '2 minutes',
    now() - n * interval '2 minutes', now() - n * interval '2 minutes'
FROM generate_series(1, 100000) n;

SET session_replication_role = origin;

UPDATE concerts_performance performance
SET seats_total = counted.seats, seats_unblocked = counted.unblocked, seats_sold = (
    SELECT coalesce(sum(seats), 0) FROM concerts_rankingentry WHERE performance_id = performance.id
)
FROM (
    SELECT performance_id, count(*) AS seats, count(*) FILTER (WHERE NOT is_blocked) AS unblocked
    FROM concerts_seat
    GROUP BY performance_id
) counted
WHERE counted.performance_id = performance.id;
