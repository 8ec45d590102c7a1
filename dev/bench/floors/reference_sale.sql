-- One sale as pgbench plays it: two transactions, ten statements, the same guarantees as Encore's.
--
-- What a sale must do, and nothing else: locks in the written order, seats without waiting, the clock read after the last lock,
-- hold, money by double entry, reservation with its ticket, event with a delivery for each of three consumers, and the
-- answers that a repeated call would get. Each client sells seats of its own, so none is ever refused. :number counts the
-- sales of a client; :first is where the seats of this run begin.

\set number :number + 1
\set seat :first + :number * :clients + :client_id
\set customer random(1, :customers)

-- Hold
BEGIN;
SELECT pg_advisory_xact_lock(hashtextextended('hold ' || :customer, 0));
SELECT seat.price, seat.is_blocked, claim.hold_id
FROM concerts_seat seat
LEFT JOIN reservations_seatclaim claim ON claim.seat_id = seat.id AND claim.ended_at IS NULL
WHERE seat.id = :seat AND seat.performance_id = 1
FOR NO KEY UPDATE OF seat NOWAIT;
WITH clock AS (
    SELECT clock_timestamp() AS at
), hold AS (
    INSERT INTO reservations_hold (id, status, total_price, seat_limit, queue_place, queue_generation, held_at, expires_at, customer_id, performance_id)
    SELECT md5('hold' || :seat)::uuid, 'HELD', 50000, 10, 1763800000000000, 1, at, at + interval '5 minutes', :customer, 1 FROM clock
    RETURNING id, held_at
), claim AS (
    INSERT INTO reservations_seatclaim (price, hold_id, performance_id, seat_id)
    SELECT 50000, id, 1, :seat FROM hold
)
INSERT INTO shared_idempotencyrecord (endpoint, key, fingerprint, status, body, customer_id)
SELECT 'HoldsView', 'hold-' || :seat, encode(sha256('hold'), 'hex'), 201, convert_to(
    '{"code":"SUCCESS","message":"The seats are yours for five minutes.","data":{"hold_id":"' || id || '","expires_at":"' || held_at
    || '","seats":[{"seat_id":912,"section":"A","row":"4","number":12,"grade":"R","price":50000}],"total_price":50000}}', 'UTF8'
), :customer FROM hold;
COMMIT;

-- Pay
BEGIN;
SELECT pg_advisory_xact_lock(hashtextextended('hold ' || :customer, 0));
SELECT hold.status, hold.expires_at, hold.total_price, seat.section, seat."row", seat.number
FROM reservations_hold hold
JOIN reservations_seatclaim claim ON claim.hold_id = hold.id
JOIN concerts_seat seat ON seat.id = claim.seat_id
WHERE hold.id = md5('hold' || :seat)::uuid AND hold.customer_id = :customer
FOR NO KEY UPDATE OF seat, hold;
SELECT balance, movements, clock_timestamp() FROM payments_wallet WHERE customer_id = :customer FOR NO KEY UPDATE;
WITH wallet AS (
    UPDATE payments_wallet SET balance = balance - 50000, movements = movements + 1
    WHERE customer_id = :customer
    RETURNING customer_id, balance, movements
), booked AS (
    INSERT INTO payments_ledgertransaction (id, number, type, amount, balance_after, reference, reason, customer_id)
    SELECT md5('payment' || :seat)::uuid, movements, 'PAYMENT', -50000, balance, md5('reservation' || :seat)::uuid, '', customer_id FROM wallet
    RETURNING id, customer_id
)
INSERT INTO payments_ledgerentry (account, amount, customer_id, transaction_id)
SELECT side.account, side.amount, side.customer, booked.id
FROM booked, LATERAL (VALUES ('CUSTOMER_LIABILITY', -50000, customer_id), ('SALES_REVENUE', 50000, NULL)) side (account, amount, customer);
WITH sold AS (
    INSERT INTO reservations_reservation (id, status, total_price, reserved_at, customer_id, hold_id, performance_id)
    VALUES (md5('reservation' || :seat)::uuid, 'CONFIRMED', 50000, clock_timestamp(), :customer, md5('hold' || :seat)::uuid, 1)
    RETURNING id, reserved_at
), ended AS (
    UPDATE reservations_hold SET status = 'CONFIRMED', ended_at = clock_timestamp() WHERE id = md5('hold' || :seat)::uuid
)
INSERT INTO reservations_ticket (id, price, code, reservation_id, seat_id)
SELECT md5('ticket' || :seat)::uuid, 50000, upper(left(md5('code' || :seat), 16)), id, :seat FROM sold;
WITH event AS (
    INSERT INTO shared_outboxevent (id, type, payload, occurred_at)
    SELECT md5('event' || :seat)::uuid, 'reservation.confirmed', jsonb_build_object(
        'reservation_id', md5('reservation' || :seat)::uuid, 'concert_id', 1, 'performance_id', 1, 'customer_id', :customer::bigint,
        'seats', jsonb_build_array(jsonb_build_object('seat_id', :seat::bigint, 'section', '1', 'row', '1', 'number', 1, 'grade', 'R', 'price', 50000)),
        'seat_count', 1, 'total_price', 50000, 'occurred_at', now(), 'queue_place', 1763800000000000, 'queue_generation', 1
    ), now()
    RETURNING id, occurred_at
)
INSERT INTO shared_eventdelivery (consumer, status, attempts, next_attempt_at, last_error, event_id)
SELECT consumer, 'PENDING', 0, occurred_at + interval '10 seconds', '', id
FROM event, unnest(ARRAY['ranking', 'queue', 'external_sync']) consumer;
INSERT INTO shared_idempotencyrecord (endpoint, key, fingerprint, status, body, customer_id)
SELECT 'ReservationsView', 'pay-' || :seat, encode(sha256('pay'), 'hex'), 201, convert_to(
    '{"code":"SUCCESS","message":"Your seats are reserved.","data":{"reservation_id":"' || md5('reservation' || :seat)::uuid
    || '","concert_id":1,"performance_id":1,"status":"CONFIRMED","tickets":[{"ticket_id":"' || md5('ticket' || :seat)::uuid
    || '","code":"0123456789ABCDEF","seat_id":912,"section":"A","row":"4","number":12,"grade":"R","price":50000}]'
    || ',"total_price":50000,"balance":950000,"reserved_at":"' || now() || '"}}', 'UTF8'
), :customer;
COMMIT;
