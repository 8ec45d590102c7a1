"""Keep money right in the database itself, whichever program writes to it.

The services keep these rules politely and under a lock; the triggers refuse whatever gets past them. The deferred ones look
at the outcome of a transaction as it commits. All of them raise integrity errors.
"""

import pgtrigger

_UNBALANCED = """
    IF EXISTS (
        SELECT 1
        FROM payments_ledgerentry entry
        JOIN payments_ledgertransaction booked ON booked.id = entry.transaction_id
        WHERE entry.transaction_id = NEW.transaction_id
        GROUP BY booked.id
        HAVING SUM(entry.amount) <> 0
            OR SUM(entry.amount) FILTER (WHERE entry.account = 'CUSTOMER_LIABILITY')
                IS DISTINCT FROM booked.amount
            OR BOOL_OR(entry.customer_id <> booked.customer_id)
            OR ARRAY_AGG(entry.account::TEXT ORDER BY entry.account = 'CUSTOMER_LIABILITY') <> ARRAY[
                CASE booked.type
                    WHEN 'CHARGE' THEN 'CASH' WHEN 'PAYMENT' THEN 'SALES_REVENUE'
                    WHEN 'REFUND' THEN 'REFUNDS'
                    WHEN 'TILL_CASH' THEN 'TILL_CASH' WHEN 'TILL_CARD' THEN 'TILL_CARD'
                    WHEN 'COMP' THEN 'COMPS' WHEN 'COMP_BACK' THEN 'COMPS' ELSE 'ADJUSTMENTS'
                END,
                'CUSTOMER_LIABILITY'
            ]
    ) THEN
        RAISE EXCEPTION 'The entries of transaction % do not balance.', NEW.transaction_id
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NULL;
"""

# A payment may be refunded in parts. No two transactions can each count the parts without that of the other: both are movements of
# one customer, and the later one has just found the earlier one before it, so that is committed and is counted.
_UNACCOUNTED = """
    IF NOT EXISTS (SELECT 1 FROM payments_ledgerentry WHERE transaction_id = NEW.id) THEN
        RAISE EXCEPTION 'Transaction % has no entries.', NEW.id
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    IF NEW.balance_after - NEW.amount IS DISTINCT FROM (
        CASE NEW.sequence WHEN 1 THEN 0 ELSE (
            SELECT balance_after FROM payments_ledgertransaction
            WHERE customer_id = NEW.customer_id AND sequence = NEW.sequence - 1
        ) END
    ) THEN
        RAISE EXCEPTION 'Transaction % does not follow from the balance before it.', NEW.id
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    IF NOT EXISTS (
        SELECT 1 FROM payments_wallet
        WHERE customer_id = NEW.customer_id AND version >= NEW.sequence
    ) THEN
        RAISE EXCEPTION 'Transaction % did not reach the wallet.', NEW.id
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    IF NEW.type = 'REFUND' AND NOT EXISTS (
        SELECT 1 FROM payments_ledgertransaction
        WHERE type = 'PAYMENT' AND reference = NEW.reference AND customer_id = NEW.customer_id AND -amount >= (
            SELECT sum(amount) FROM payments_ledgertransaction
            WHERE type = 'REFUND' AND reference = NEW.reference
        )
    ) THEN
        RAISE EXCEPTION 'Transaction % refunds what was not paid.', NEW.id
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NULL;
"""

# What was given for a sale goes into that sale, and what the house gave comes back to it before the customer gets anything.
_UNSPENT = """
    IF NEW.type IN ('TILL_CASH', 'TILL_CARD', 'COMP') AND (
        SELECT SUM(amount) FROM payments_ledgertransaction
        WHERE type IN ('TILL_CASH', 'TILL_CARD', 'COMP') AND reference = NEW.reference
    ) > COALESCE((
        SELECT SUM(-amount) FROM payments_ledgertransaction
        WHERE type = 'PAYMENT' AND reference = NEW.reference AND customer_id = NEW.customer_id
    ), 0) THEN
        RAISE EXCEPTION 'Transaction % brings money that its sale did not take.', NEW.id
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    IF (
        SELECT COALESCE(-SUM(amount) FILTER (WHERE type = 'COMP_BACK'), 0) IS DISTINCT FROM LEAST(
            COALESCE(SUM(amount) FILTER (WHERE type = 'COMP'), 0),
            COALESCE((
                SELECT SUM(amount) FROM payments_ledgertransaction
                WHERE type = 'REFUND' AND reference = NEW.reference
            ), 0)
        )
        FROM payments_ledgertransaction
        WHERE type IN ('COMP', 'COMP_BACK') AND reference = NEW.reference
    ) THEN
        RAISE EXCEPTION 'What the house paid for % does not come back to it.', NEW.reference
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NULL;
"""

# Looks at the wallet as it is by then: it may have been updated several times.
_UNEXPLAINED = """
    IF EXISTS (
        SELECT 1
        FROM payments_wallet wallet
        LEFT JOIN LATERAL (
            SELECT sequence, balance_after FROM payments_ledgertransaction
            WHERE customer_id = wallet.customer_id
            ORDER BY sequence DESC LIMIT 1
        ) latest ON TRUE
        WHERE wallet.customer_id = NEW.customer_id
            AND (wallet.version, wallet.balance)
                IS DISTINCT FROM (COALESCE(latest.sequence, 0), COALESCE(latest.balance_after, 0))
    ) THEN
        RAISE EXCEPTION 'The ledger does not explain the balance of customer %.', NEW.customer_id
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NULL;
"""


def append_only() -> pgtrigger.Trigger:
    """Refuse UPDATE, DELETE and TRUNCATE, even those that would touch no row."""
    return pgtrigger.Trigger(
        name="append_only",
        level=pgtrigger.Statement,
        when=pgtrigger.Before,
        operation=pgtrigger.Update | pgtrigger.Delete | pgtrigger.Truncate,
        func="""
            RAISE EXCEPTION '% is append-only: % refused.', TG_TABLE_NAME, TG_OP
                USING ERRCODE = 'restrict_violation';
        """,
    )


def deny_delete() -> pgtrigger.Trigger:
    """Refuse DELETE: a wallet without its past would start again at zero."""
    return pgtrigger.Trigger(
        name="deny_delete",
        when=pgtrigger.Before,
        operation=pgtrigger.Delete,
        func="""
            RAISE EXCEPTION '% keeps its rows: % refused.', TG_TABLE_NAME, TG_OP
                USING ERRCODE = 'restrict_violation';
        """,
    )


def _at_commit(
    name: str,
    operation: pgtrigger.Operation,
    func: str,
    condition: pgtrigger.Condition | None = None,
) -> pgtrigger.Trigger:
    return pgtrigger.Trigger(
        name=name,
        when=pgtrigger.After,
        operation=operation,
        timing=pgtrigger.Deferred,
        condition=condition,
        func=func,
    )


def entries_balanced() -> pgtrigger.Trigger:
    """Require that a transaction has two entries, which sum to zero and move its amount between its customer and the account of its type."""
    return _at_commit("balanced", pgtrigger.Insert, _UNBALANCED)


def transaction_has_entries() -> pgtrigger.Trigger:
    """Require that a transaction has entries, continues the customer's balance and has reached the wallet."""
    return _at_commit("transaction_has_entries", pgtrigger.Insert, _UNACCOUNTED)


def balance_matches_ledger() -> pgtrigger.Trigger:
    """Require that a balance is the one that the customer's last transaction left."""
    return _at_commit("balance_matches_ledger", pgtrigger.Insert | pgtrigger.Update, _UNEXPLAINED)


def counter_money_is_spent() -> pgtrigger.Trigger:
    """Require that what was paid at the counter, or by the house, was for a sale, and that the house gets its part of a refund first.

    Not asked of top-ups and payments.
    """
    return _at_commit(
        "counter_money_is_spent",
        pgtrigger.Insert,
        _UNSPENT,
        pgtrigger.Condition(
            "NEW.type IN ('REFUND', 'TILL_CASH', 'TILL_CARD', 'COMP', 'COMP_BACK')"
        ),
    )
