-- name: paid_by_house
-- Adds up what the house has paid of a sale and not got back. Comes after the lock on the sale.
SELECT coalesce(sum(amount), 0)::bigint
FROM payments_ledgertransaction
WHERE type IN ('COMP', 'COMP_BACK') AND reference = %(reference)s;

-- name: refunded_of
-- Adds up what was refunded of a sale. Comes after the lock on the sale.
SELECT coalesce(sum(amount), 0)::bigint
FROM payments_ledgertransaction
WHERE type = 'REFUND' AND reference = %(reference)s;
