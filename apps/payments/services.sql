-- name: lock_wallet
-- Locks the wallet of a customer; no row if there is none yet. Wallets come last in the lock order.
SELECT customer_id, balance, version
FROM payments_wallet
WHERE customer_id = %(customer_id)s
FOR NO KEY UPDATE;

-- name: open_wallet
-- Opens an empty wallet, unless another transaction has done so meanwhile.
INSERT INTO payments_wallet (customer_id, balance, version)
VALUES (%(customer_id)s, 0, 0)
ON CONFLICT DO NOTHING;

-- name: book
-- Moves money of a locked wallet: its new balance, the ledger transaction and both of its entries.
WITH wallet AS (
    UPDATE payments_wallet
    SET balance = %(balance_after)s, version = %(sequence)s
    WHERE customer_id = %(customer_id)s
), booked AS (
    INSERT INTO payments_ledgertransaction
        (id, customer_id, sequence, type, amount, balance_after, reference, reason, adjusted_by_id)
    VALUES (
        %(transaction_id)s, %(customer_id)s, %(sequence)s, %(type)s, %(amount)s::bigint, %(balance_after)s,
        %(reference)s, %(reason)s, %(adjusted_by_id)s
    )
)
INSERT INTO payments_ledgerentry (transaction_id, account, customer_id, amount)
VALUES
    (%(transaction_id)s, 'CUSTOMER_LIABILITY', %(customer_id)s, %(amount)s::bigint),
    (%(transaction_id)s, %(counter_account)s, NULL, -%(amount)s::bigint);
