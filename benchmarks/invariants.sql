-- What a service has after :reservations reservations, for `benchmarks/invariants.py`. All of it is sound: no check finds anything.
--
-- A customer has made five reservations, half of them of two seats, a twentieth of them cancelled; before each sale the same
-- customer had held a seat and let it go. Halls have 6,000 seats. Constraints hold, triggers rest.

SET session_replication_role = replica;
SET synchronous_commit = off;
SET work_mem = '256MB';
SET maintenance_work_mem = '512MB';

CREATE TEMP TABLE sale AS
SELECT n, n * 7919::bigint % (:reservations / 5) + 1 AS customer, n / 4000 + 1 AS performance, n / 8000 + 1 AS concert,
    n % 20 = 7 AS is_cancelled, CASE WHEN n % 2 = 0 THEN 2 ELSE 1 END AS seats,
    n / 2 * 3 + CASE WHEN n % 2 = 0 THEN 1 ELSE 3 END AS first_seat, md5('hold ' || n)::uuid AS hold,
    md5('reservation ' || n)::uuid AS reservation, now() - (:reservations - n) * interval '30 seconds' - interval '2 days' AS at
FROM generate_series(0, :reservations - 1) n;

-- And one hall in which seats are held at this moment.
CREATE TEMP TABLE hall AS
SELECT performance, (performance + 1) / 2 AS concert FROM generate_series(1, :reservations / 4000 + 1) performance;

INSERT INTO accounts_user (id, email, name, password, is_active, is_staff, is_superuser, joined_at)
SELECT n, 'customer' || n || '@example.com', 'Customer ' || n, '!', true, false, false, now()
FROM generate_series(1, :reservations / 5) n;

INSERT INTO concerts_concert (id, title, artist, venue, description, sales_open_at, seats_per_customer, is_published, created_at)
SELECT n, 'Concert ' || n, 'Artist ' || n, 'Hall ' || n, '', now() - interval '1000 days', 2, true, now()
FROM (SELECT DISTINCT concert AS n FROM hall) concerts;

INSERT INTO concerts_performance (id, concert_id, starts_at, seat_map_version)
SELECT performance, concert, now() + performance * interval '1 hour' + interval '30 days', 2
FROM hall;

INSERT INTO concerts_seat (id, performance_id, section, row, number, grade, price, x, y, is_blocked)
SELECT (performance - 1) * 6000 + n, performance, (n - 1) / 600 + 1, (n - 1) % 600 / 50, (n - 1) % 50 + 1, 'R', 50000,
    (n - 1) % 50, (n - 1) / 50, false
FROM hall, generate_series(1, 6000) n;

INSERT INTO reservations_hold (id, customer_id, performance_id, status, total_price, seat_limit, held_at, expires_at, ended_at)
SELECT hold, customer, performance, 'CONFIRMED', seats * 50000, 2, at, at + interval '5 minutes', at + interval '1 minute' FROM sale
UNION ALL
SELECT md5('try ' || n)::uuid, customer, performance, CASE WHEN n % 3 = 0 THEN 'EXPIRED' ELSE 'RELEASED' END, 50000, 2,
    at - interval '6 minutes', at - interval '1 minute', at - interval '1 minute' FROM sale
UNION ALL
SELECT md5('live ' || n)::uuid, n, :reservations / 4000 + 1, 'HELD', 50000, 2, now(), now() + interval '1 day', NULL
FROM generate_series(1, 1000) n;

INSERT INTO reservations_seatclaim (id, hold_id, performance_id, seat_id, price, ended_at)
SELECT row_number() OVER (), * FROM (
    SELECT hold, performance, first_seat + i, 50000, CASE WHEN is_cancelled THEN at + interval '1 hour' END
    FROM sale, generate_series(0, 1) i WHERE i < seats
    UNION ALL
    SELECT md5('try ' || n)::uuid, performance, first_seat, 50000, at - interval '1 minute' FROM sale
    UNION ALL
    SELECT md5('live ' || n)::uuid, :reservations / 4000 + 1, :reservations / 4000 * 6000 + n, 50000, NULL FROM generate_series(1, 1000) n
) claims;

INSERT INTO reservations_reservation (id, hold_id, customer_id, performance_id, status, total_price, reserved_at, cancelled_at)
SELECT reservation, hold, customer, performance, CASE WHEN is_cancelled THEN 'CANCELLED' ELSE 'CONFIRMED' END, seats * 50000,
    at + interval '1 minute', CASE WHEN is_cancelled THEN at + interval '1 hour' END
FROM sale;

INSERT INTO reservations_ticket (id, reservation_id, seat_id, price, code)
SELECT md5('ticket ' || n || ' ' || i)::uuid, reservation, first_seat + i, 50000, upper(left(md5('code ' || n || ' ' || i), 16))
FROM sale, generate_series(0, 1) i WHERE i < seats;

-- Five top-ups of each customer, a payment for each reservation, a refund for each cancelled one.
CREATE TEMP TABLE movement AS
SELECT md5('movement ' || type || n)::uuid AS id, *,
    row_number() OVER history AS number, sum(amount) OVER history AS balance_after
FROM (
    SELECT n, customer, 'CHARGE' AS type, 200000 AS amount, 'CASH' AS account, NULL::uuid AS reference, at FROM sale
    UNION ALL
    SELECT n, customer, 'PAYMENT', seats * -50000, 'SALES_REVENUE', reservation, at + interval '1 minute' FROM sale
    UNION ALL
    SELECT n, customer, 'REFUND', seats * 50000, 'REFUNDS', reservation, at + interval '1 hour' FROM sale WHERE is_cancelled
) movements
WINDOW history AS (PARTITION BY customer ORDER BY at, type ROWS UNBOUNDED PRECEDING);

INSERT INTO payments_wallet (customer_id, balance, movements) SELECT customer, sum(amount), count(*) FROM movement GROUP BY customer;

INSERT INTO payments_ledgertransaction (id, customer_id, number, type, amount, balance_after, reference, reason, created_at)
SELECT id, customer, number, type, amount, balance_after, reference, '', at FROM movement ORDER BY at;

INSERT INTO payments_ledgerentry (id, transaction_id, account, customer_id, amount)
SELECT row_number() OVER (), * FROM (
    SELECT id, CASE side WHEN 1 THEN 'CUSTOMER_LIABILITY' ELSE account END, CASE side WHEN 1 THEN customer END, amount * side
    FROM movement, unnest(ARRAY[1, -1]) side ORDER BY at
) entries;

CREATE TEMP TABLE event AS
SELECT md5('event ' || type || n)::uuid AS id, * FROM (
    SELECT n, 'reservation.confirmed' AS type, at + interval '1 minute' AS occurred_at, 1 AS sign FROM sale
    UNION ALL
    SELECT n, 'reservation.cancelled', at + interval '1 hour', -1 FROM sale WHERE is_cancelled
) events JOIN (
    SELECT n, concert, performance, seats, jsonb_build_object(
        'reservation_id', reservation, 'concert_id', concert, 'performance_id', performance, 'customer_id', customer,
        'seats', (
            SELECT jsonb_agg(jsonb_build_object(
                'seat_id', first_seat + i, 'section', '1', 'row', 'A', 'number', i, 'grade', 'R', 'price', 50000
            )) FROM generate_series(0, 1) i WHERE i < seats
        ),
        'seat_count', seats, 'total_price', seats * 50000, 'occurred_at', at, 'queue_place', 1790000000000000 + n,
        'queue_generation', 1
    ) AS payload FROM sale
) facts USING (n);

INSERT INTO shared_outboxevent (id, type, payload, occurred_at) SELECT id, type, payload, occurred_at FROM event ORDER BY occurred_at;

INSERT INTO shared_eventdelivery (id, event_id, consumer, status, attempts, next_attempt_at, last_error, done_at)
SELECT row_number() OVER (), * FROM (
    SELECT id, consumer, CASE WHEN is_pending THEN 'PENDING' ELSE 'DONE' END, 1, occurred_at, '', CASE WHEN NOT is_pending THEN occurred_at END
    FROM event, unnest(ARRAY['ranking', 'queue', 'external_sync']) consumer,
        LATERAL (SELECT consumer = 'external_sync' AND n >= :reservations - 500 AS is_pending) state
    WHERE consumer <> 'queue' OR type = 'reservation.confirmed' ORDER BY occurred_at
) deliveries;

INSERT INTO concerts_rankingentry (event_id, concert_id, performance_id, day, reservations, seats, occurred_at, recorded_at)
SELECT id, concert, performance, (occurred_at AT TIME ZONE 'Asia/Seoul')::date, sign, sign * seats, occurred_at, occurred_at FROM event;

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

-- A visitor a second, each inside for two minutes.
INSERT INTO queue_waitingroom
    (concert_id, state, capacity, lease, patience, lottery_window, generation, version, lottery_key, epoch)
SELECT id, 'OPEN', 400, interval '5 minutes', interval '5 minutes', interval '1 hour', 1, 2, md5(id::text) || md5(id::text), md5(id::text)
FROM concerts_concert;

INSERT INTO queue_policychange (room_id, field, old_value, new_value, changed_at)
SELECT room.id, 'capacity', '400', '400', now() - n * interval '1 day' FROM queue_waitingroom room, generate_series(1, 5) n;

INSERT INTO queue_queueexit (concert_id, customer_id, generation, place, reason, joined_at, admitted_at, ended_at)
SELECT concert, customer, 1, 1790000000000000 + n, 'COMPLETED', began, began + interval '1 minute', began + interval '3 minutes'
FROM sale, LATERAL (SELECT now() - interval '900 days' + n * interval '1 second' AS began) visit;

-- One day's answers: a tenth of everything.
INSERT INTO shared_idempotencyrecord (customer_id, endpoint, key, fingerprint, status, body, created_at)
SELECT customer, endpoint, md5(endpoint || n), md5('f' || n) || md5('g' || n), 201, convert_to(
    '{"code":"SUCCESS","message":"Done.","data":{"' || name || '":"' || effect || '","padding":"' || repeat('x', 700) || '"}}', 'UTF8'
), now()
FROM sale, LATERAL (VALUES
    ('ChargesView', 'transaction_id', md5('movement CHARGE' || n)::uuid),
    ('ReservationsView', 'reservation_id', reservation),
    ('CancellationView', 'reservation_id', CASE WHEN is_cancelled THEN reservation END)
) answer (endpoint, name, effect)
WHERE n >= :reservations / 10 * 9 AND effect IS NOT NULL;

DROP TABLE sale, hall, movement, event;
SET session_replication_role = origin;
