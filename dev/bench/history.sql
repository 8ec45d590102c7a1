-- What a service leaves behind in years: `dev/bench/filling.py` fills in the words that begin with a colon.
--
-- :concerts past concerts in a thousand days, each of one date, a hall that was sold out and a waiting room; :reservations
-- reservations, half of them of two seats, a twentieth of them cancelled; before each sale the same customer had held a seat and
-- let it go. Events and exits from before :kept_from and unpaid holds from before :holds_kept_from are left out, as if the retention
-- had taken them. All of it is sound: no check of the invariants finds anything. Constraints hold, triggers rest. Whatever was there
-- before stays.

SET session_replication_role = replica;
SET synchronous_commit = off;
SET statement_timeout = 0;
SET work_mem = '256MB';
SET maintenance_work_mem = '512MB';

CREATE TEMP TABLE base AS SELECT
    coalesce((SELECT max(id) FROM accounts_user), 0) AS last_customer,
    coalesce((SELECT max(id) FROM concerts_concert), 0) AS last_concert,
    coalesce((SELECT max(id) FROM concerts_performance), 0) AS last_performance,
    coalesce((SELECT max(id) FROM concerts_seat), 0) AS last_seat,
    coalesce((SELECT max(id) FROM reservations_seatclaim), 0) AS last_claim,
    coalesce((SELECT max(id) FROM payments_ledgerentry), 0) AS last_entry,
    coalesce((SELECT max(id) FROM outbox_eventdelivery), 0) AS last_delivery;

CREATE TEMP TABLE hall AS
SELECT number, base.last_concert + number AS concert, base.last_performance + number AS performance,
    now() - interval '2 days' - (:concerts - number) * interval '1000 days' / :concerts AS starts_at
FROM base, generate_series(1, :concerts) number;

CREATE TEMP TABLE sale AS
SELECT n, base.last_customer + n * 7919::bigint % :accounts + 1 AS customer, hall.performance, hall.concert,
    n % 20 = 7 AS is_cancelled, CASE WHEN n % 2 = 0 THEN 2 ELSE 1 END AS seats,
    base.last_seat + n / 2 * 3 + CASE WHEN n % 2 = 0 THEN 1 ELSE 3 END AS first_seat, md5('history hold ' || n)::uuid AS hold,
    md5('history reservation ' || n)::uuid AS reservation,
    hall.starts_at - interval '20 days' + n % :per_concert * interval '1 second' AS at
FROM base, generate_series(0, :reservations - 1) n JOIN hall ON hall.number = n / :per_concert + 1;

INSERT INTO accounts_user (id, email, name, password, is_active, is_staff, is_superuser, joined_at)
SELECT base.last_customer + n, 'history' || base.last_customer + n || '@example.com', 'Customer ' || n, '!', true, false, false,
    now() - interval '1100 days'
FROM base, generate_series(1, :accounts) n;

INSERT INTO concerts_concert (id, title, artist, venue, description, sales_open_at, seats_per_customer, is_published, created_at)
SELECT concert, 'Concert ' || number, 'Artist ' || number, 'Hall ' || number, '', starts_at - interval '21 days', 2, true, starts_at - interval '30 days'
FROM hall;

INSERT INTO concerts_performance (id, concert_id, starts_at, ends_at, seat_map_version)
SELECT performance, concert, starts_at, starts_at + interval '3 hours', 2 FROM hall;

INSERT INTO concerts_seat (id, performance_id, section, row, number, grade, price, x, y, is_blocked)
SELECT base.last_seat + (hall.number - 1) * (:per_concert / 2 * 3) + n, performance, (n - 1) / 600 + 1, (n - 1) % 600 / 50, (n - 1) % 50 + 1,
    'R', 50000, (n - 1) % 50, (n - 1) / 50, false
FROM base, hall, generate_series(1, :per_concert / 2 * 3) n;

INSERT INTO reservations_hold (id, customer_id, performance_id, status, total_price, seat_limit, held_at, expires_at, ended_at)
SELECT hold, customer, performance, 'CONFIRMED', seats * 50000, 2, at, at + interval '5 minutes', at + interval '1 minute' FROM sale
UNION ALL
SELECT md5('history try ' || n)::uuid, customer, performance, CASE WHEN n % 3 = 0 THEN 'EXPIRED' ELSE 'RELEASED' END, 50000, 2,
    at - interval '6 minutes', at - interval '1 minute', at - interval '1 minute' FROM sale WHERE at > :holds_kept_from;

INSERT INTO reservations_seatclaim (id, hold_id, performance_id, seat_id, price, ended_at)
SELECT base.last_claim + row_number() OVER (), claims.* FROM base, (
    SELECT hold, performance, first_seat + i, 50000, CASE WHEN is_cancelled THEN at + interval '1 hour' END
    FROM sale, generate_series(0, 1) i WHERE i < seats
    UNION ALL
    SELECT md5('history try ' || n)::uuid, performance, first_seat, 50000, at - interval '1 minute' FROM sale WHERE at > :holds_kept_from
) claims;

INSERT INTO reservations_reservation (id, hold_id, customer_id, performance_id, status, total_price, reserved_at, cancelled_at)
SELECT reservation, hold, customer, performance, CASE WHEN is_cancelled THEN 'CANCELLED' ELSE 'CONFIRMED' END, seats * 50000,
    at + interval '1 minute', CASE WHEN is_cancelled THEN at + interval '1 hour' END
FROM sale;

INSERT INTO reservations_ticket (id, reservation_id, seat_id, price, code)
SELECT md5('history ticket ' || n || ' ' || i)::uuid, reservation, first_seat + i, 50000,
    upper(left(md5('history code ' || n || ' ' || i), 16))
FROM sale, generate_series(0, 1) i WHERE i < seats;

-- A top-up before each payment, a refund for each cancelled one.
CREATE TEMP TABLE movement AS
SELECT md5('history movement ' || type || n)::uuid AS id, *,
    row_number() OVER history AS number, sum(amount) OVER history AS balance_after
FROM (
    SELECT n, customer, 'CHARGE' AS type, 200000 AS amount, 'CASH' AS account, NULL::uuid AS reference, at FROM sale
    UNION ALL
    SELECT n, customer, 'PAYMENT', seats * -50000, 'SALES_REVENUE', reservation, at + interval '1 minute' FROM sale
    UNION ALL
    SELECT n, customer, 'REFUND', seats * 50000, 'REFUNDS', reservation, at + interval '1 hour' FROM sale WHERE is_cancelled
) movements
WINDOW history AS (PARTITION BY customer ORDER BY at, type, n ROWS UNBOUNDED PRECEDING);

INSERT INTO payments_wallet (customer_id, balance, version) SELECT customer, sum(amount), count(*) FROM movement GROUP BY customer;

INSERT INTO payments_ledgertransaction (id, customer_id, sequence, type, amount, balance_after, reference, reason, created_at)
SELECT id, customer, number, type, amount, balance_after, reference, '', at FROM movement ORDER BY at;

INSERT INTO payments_ledgerentry (id, transaction_id, account, customer_id, amount)
SELECT base.last_entry + row_number() OVER (), entries.* FROM base, (
    SELECT id, CASE side WHEN 1 THEN 'CUSTOMER_LIABILITY' ELSE account END, CASE side WHEN 1 THEN customer END, amount * side
    FROM movement, unnest(ARRAY[1, -1]) side ORDER BY at
) entries;

CREATE TEMP TABLE event AS
SELECT md5('history event ' || type || n)::uuid AS id, * FROM (
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
        'seat_count', seats, 'total_price', seats * 50000, 'occurred_at', at, 'queue_slot', 1790000000000000 + n,
        'queue_generation', 1
    ) AS payload FROM sale
) facts USING (n);

INSERT INTO outbox_outboxevent (id, type, payload, occurred_at)
SELECT id, type, payload, occurred_at FROM event WHERE occurred_at > :kept_from ORDER BY occurred_at;

INSERT INTO outbox_eventdelivery (id, event_id, consumer, status, attempts, next_attempt_at, last_error, done_at)
SELECT base.last_delivery + row_number() OVER (), deliveries.* FROM base, (
    SELECT id, consumer, CASE WHEN is_pending THEN 'PENDING' ELSE 'DONE' END, 1, occurred_at, '', CASE WHEN NOT is_pending THEN occurred_at END
    FROM event, unnest(ARRAY['ranking', 'token_expiry', 'external_sync']) consumer,
        LATERAL (SELECT consumer = 'external_sync' AND n >= :reservations - :pending AS is_pending) state
    WHERE (consumer <> 'token_expiry' OR type = 'reservation.confirmed') AND occurred_at > :kept_from ORDER BY occurred_at
) deliveries;

INSERT INTO ops_jobprogress (name, reached_at, rows)
SELECT 'purge events', :kept_from, 0 WHERE :kept_from > '-infinity'
ON CONFLICT (name) DO UPDATE SET reached_at = EXCLUDED.reached_at;

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
    (concert_id, state, capacity, lease, patience, lottery_window, generation, version, lottery_key, epoch, activity, next_tick_at)
SELECT concert, 'OPEN', 400, interval '5 minutes', interval '5 minutes', interval '1 hour', 2, 2, md5(number::text) || md5(number::text), md5(number::text),
    :activity, now()
FROM hall;

INSERT INTO queue_policychange (room_id, field, old_value, new_value, changed_at)
SELECT room.id, 'capacity', '400', '400', hall.starts_at - n * interval '1 day'
FROM hall JOIN queue_waitingroom room ON room.concert_id = hall.concert, generate_series(1, 5) n;

INSERT INTO queue_queueexit (concert_id, customer_id, generation, slot, reason, joined_at, admitted_at, ended_at)
SELECT concert, customer, 1, 1790000000000000 + n, 'COMPLETED', at - interval '2 minutes', at - interval '1 minute', at + interval '1 minute'
FROM sale WHERE at > :kept_from;

-- Answers of today.
INSERT INTO api_idempotencyrecord (customer_id, operation, key, fingerprint, status, body, created_at)
SELECT customer, operation, md5(operation || n), md5('f' || n) || md5('g' || n), 201, convert_to(
    '{"code":"SUCCESS","message":"Done.","data":{"' || name || '":"' || effect || '","padding":"' || repeat('x', 700) || '"}}', 'UTF8'
), now() - interval '12 hours'
FROM sale, LATERAL (VALUES
    ('payments.charge', 'transaction_id', md5('history movement CHARGE' || n)::uuid),
    ('reservations.confirm', 'reservation_id', reservation),
    ('reservations.cancel', 'reservation_id', CASE WHEN is_cancelled THEN reservation END)
) answer (operation, name, effect)
WHERE n >= :reservations - :answers AND effect IS NOT NULL;

SELECT setval(pg_get_serial_sequence(name, 'id'), highest) FROM (VALUES
    ('accounts_user', (SELECT max(id) FROM accounts_user)),
    ('concerts_concert', (SELECT max(id) FROM concerts_concert)),
    ('concerts_performance', (SELECT max(id) FROM concerts_performance)),
    ('concerts_seat', (SELECT max(id) FROM concerts_seat)),
    ('reservations_seatclaim', (SELECT max(id) FROM reservations_seatclaim)),
    ('payments_ledgerentry', (SELECT max(id) FROM payments_ledgerentry)),
    ('outbox_eventdelivery', (SELECT max(id) FROM outbox_eventdelivery))
) numbered (name, highest);

DROP TABLE base, hall, sale, movement, event;
SET session_replication_role = origin;
