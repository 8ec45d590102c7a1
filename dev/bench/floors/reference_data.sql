-- Customers with a wallet and a first top-up, and seats to sell. :customers and :seats say how many. In one transaction: triggers compare wallets with the ledger when it ends.

BEGIN;

INSERT INTO accounts_user (id, password, is_superuser, email, name, is_active, is_staff, joined_at)
SELECT n, '!', false, 'customer-' || n || '@reference.example', 'Customer ' || n, true, false, now()
FROM generate_series(1, :customers) n;

INSERT INTO payments_wallet (customer_id, balance, movements)
SELECT n, 1000000, 1 FROM generate_series(1, :customers) n;

INSERT INTO payments_ledgertransaction (id, number, type, amount, balance_after, reason, customer_id)
SELECT md5('top-up' || n)::uuid, 1, 'CHARGE', 1000000, 1000000, '', n FROM generate_series(1, :customers) n;

INSERT INTO payments_ledgerentry (account, amount, customer_id, transaction_id)
SELECT side.account, side.sign * 1000000, side.customer, md5('top-up' || n)::uuid
FROM generate_series(1, :customers) n,
    LATERAL (VALUES ('CUSTOMER_LIABILITY', 1, n), ('CASH', -1, NULL)) side (account, sign, customer);

INSERT INTO concerts_concert (id, title, artist, venue, description, sales_open_at, seats_per_customer, is_published, created_at)
VALUES (1, 'Reference', 'Nobody', 'Nowhere', '', now(), 10, true, now());

INSERT INTO concerts_performance (id, starts_at, seat_map_version, concert_id) VALUES (1, now() + interval '30 days', 1, 1);

INSERT INTO concerts_seat (id, section, "row", number, grade, price, x, y, is_blocked, performance_id)
SELECT n, n / 1000 + 1, n % 1000 / 50 + 1, n % 50 + 1, 'R', 50000, n % 50, n % 1000 / 50, false, 1
FROM generate_series(1, :seats) n;

COMMIT;

ANALYZE;
