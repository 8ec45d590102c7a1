-- What `dev/bench/explain.py` adds to a history: logins, and a hall of 5,000 seats on sale, with 2,000 live holds and 300 overdue ones.
--
-- It is concert and date 21, after the 20 of the history. Hold n is for seat n of the hall. Constraints hold, triggers rest.

SET session_replication_role = replica;

INSERT INTO accounts_accesstoken (id, user_id, token_hash, created_at, expires_at)
SELECT n, n % 20000 + 1, sha256(('token-' || n)::bytea), now() - interval '1 hour', now() + interval '11 hours'
FROM generate_series(1, 100000) n;

INSERT INTO concerts_concert (id, title, artist, venue, description, sales_open_at, seats_per_customer, is_published, created_at)
VALUES (21, 'Concert 21', 'Artist 21', 'Hall 21', '', now() - interval '1 day', 10, true, now());

INSERT INTO concerts_performance (id, concert_id, starts_at, ends_at, seat_map_version, seats_total, seats_unblocked)
VALUES (21, 21, now() + interval '30 days', now() + interval '30 days 3 hours', 2, 5000, 5000);

INSERT INTO concerts_seat (id, performance_id, section, row, number, grade, price, x, y, is_blocked)
SELECT 1000000 + n, 21, (n - 1) / 500 + 1, chr(65 + (n - 1) % 500 / 50), (n - 1) % 50 + 1,
    (ARRAY['VIP', 'R', 'S', 'A'])[LEAST((n - 1) / 1000 + 1, 4)], 200000 - LEAST((n - 1) / 1000, 3) * 40000,
    (n - 1) % 50, (n - 1) / 50, false
FROM generate_series(1, 5000) n;

INSERT INTO reservations_hold (id, customer_id, performance_id, status, total_price, seat_limit, held_at, expires_at)
SELECT md5('hold ' || n)::uuid, n, 21, 'HELD', 50000, 10, held_at, held_at + interval '5 minutes'
FROM generate_series(1, 2300) n, LATERAL (SELECT now() - CASE WHEN n <= 2000 THEN 1 ELSE 6 END * interval '1 minute' AS held_at) drawn;

INSERT INTO reservations_seatclaim (id, hold_id, performance_id, seat_id, price)
SELECT 1000000 + n, md5('hold ' || n)::uuid, 21, 1000000 + n, 50000 FROM generate_series(1, 2300) n;

-- What was sold within the last days, and the visits in which it was bought.
INSERT INTO concerts_rankingentry (event_id, concert_id, performance_id, day, reservations, seats, occurred_at, recorded_at)
SELECT md5('event ' || n)::uuid, 21, 21, (now() - n * interval '2 minutes')::date, 1, 1, now() - n * interval '2 minutes', now()
FROM generate_series(1, 2000) n;

INSERT INTO queue_queueexit (concert_id, customer_id, generation, slot, reason, joined_at, admitted_at, ended_at)
SELECT 21, n, 1, 1790000000000000 - n, 'COMPLETED', now() - n * interval '2 minutes', now() - n * interval '2 minutes',
    now() - n * interval '2 minutes'
FROM generate_series(1, 5000) n;

SET session_replication_role = origin;
