"""Balances, the ledger, and what was paid for reservations."""

from datetime import datetime

from apps.ops.invariants.findings import Findings, breaches, listed
from apps.payments import selectors as payments


def wrong_balances(since: datetime | None) -> Findings:
    differences = payments.wallet_differences(since=since)
    negative = payments.negative_wallets(since=since)
    named = {difference.customer_id for difference in differences}.union(negative)
    return listed(
        [
            *map(str, differences),
            *(f"customer {pk}: balance below zero" for pk in negative),
            *(
                f"customer {pk}: the movements do not follow from each other up to the balance"
                for pk in payments.broken_histories(since=since)
                if pk not in named
            ),
        ]
    )


def unbalanced_books(since: datetime | None) -> Findings:
    totals = payments.ledger_totals(since=since)
    wrong = [
        f"transaction {pk}: unbalanced" for pk in payments.unbalanced_transactions(since=since)
    ]
    if totals.difference:
        wrong.insert(0, f"the ledger as a whole: {totals.difference:,} won too much on one side")
    return listed(wrong, counts={"owed to customers": totals.owed} if since is None else None)


# What is refunded lies between the price of the seats that were given up and that of all: staff may also refund without them.
_WRONG_PAYMENTS = """
    SELECT format('reservation %%s: %%s', coalesce(sold.id, booked.reference), CASE
        WHEN sold.id IS NULL THEN 'does not exist, but was paid for or refunded'
        WHEN booked.payments IS DISTINCT FROM 1 THEN format('%%s payments', coalesce(booked.payments, 0))
        WHEN booked.paid <> sold.total_price THEN format('paid %%s of %%s won', booked.paid, sold.total_price)
        WHEN booked.refunded > sold.total_price THEN format('refunded %%s of %%s won', booked.refunded, sold.total_price)
        WHEN booked.refunded < sold.given_up THEN format('gave up seats for %%s won, refunded %%s', sold.given_up, booked.refunded)
        ELSE 'paid by or refunded to another customer'
    END)
    FROM (
        SELECT reservation.*, CASE reservation.status
            WHEN 'CANCELLED' THEN reservation.total_price
            ELSE coalesce(tickets.given_up, 0)
        END AS given_up
        FROM reservations_reservation reservation
        LEFT JOIN (
            SELECT reservation_id, sum(price) AS given_up
            FROM reservations_ticket
            WHERE cancelled_at IS NOT NULL AND {tickets}
            GROUP BY reservation_id
        ) tickets ON tickets.reservation_id = reservation.id
        WHERE {reservations}
    ) sold
    FULL JOIN (
        SELECT reference,
            count(*) FILTER (WHERE type = 'PAYMENT') AS payments,
            -sum(amount::float8) FILTER (WHERE type = 'PAYMENT') AS paid,
            coalesce(sum(amount::float8) FILTER (WHERE type = 'REFUND'), 0) AS refunded,
            min(customer_id) AS customer_id,
            max(customer_id) AS last_customer_id
        FROM payments_ledgertransaction
        WHERE (type = 'PAYMENT' OR type = 'REFUND') AND {movements}
        GROUP BY reference
    ) booked ON booked.reference = sold.id
    WHERE sold.id IS NULL OR booked.reference IS NULL
        OR booked.payments <> 1 OR booked.paid <> sold.total_price
        OR booked.refunded > sold.total_price OR booked.refunded < sold.given_up
        OR booked.customer_id <> sold.customer_id OR booked.last_customer_id <> sold.customer_id
"""


_CHANGED_RESERVATIONS = """
    SELECT id FROM reservations_reservation WHERE reserved_at >= %(since)s OR cancelled_at >= %(since)s
    UNION ALL
    SELECT reservation_id FROM reservations_ticket WHERE cancelled_at >= %(since)s
    UNION ALL
    SELECT reference FROM payments_ledgertransaction
    WHERE created_at >= %(since)s AND type IN ('PAYMENT', 'REFUND')
"""


def wrong_payments(since: datetime | None) -> Findings:
    return breaches(
        _WRONG_PAYMENTS,
        since=since,
        reservations="reservation.id IN {changed}",
        tickets="reservation_id IN {changed}",
        # An array, so that the partial indexes of payments and of refunds find them.
        movements="reference = ANY (ARRAY{changed})",
        changed=_CHANGED_RESERVATIONS,
    )


_UNSPENT_COUNTER_MONEY = """
    SELECT format('reservation %%s: %%s', reference, CASE
        WHEN brought > coalesce(paid, 0) THEN format('%%s won brought for a price of %%s', brought, coalesce(paid, 0))
        WHEN by_customers > 1 THEN 'paid for by one customer, bought by another'
        ELSE format('%%s of %%s won back to the house, refunded %%s', came_back, house, refunded)
    END)
    FROM (
        SELECT reference,
            sum(amount) FILTER (WHERE type IN ('TILL_CASH', 'TILL_CARD', 'COMP')) AS brought,
            coalesce(sum(amount) FILTER (WHERE type = 'COMP'), 0) AS house,
            coalesce(-sum(amount) FILTER (WHERE type = 'COMP_BACK'), 0) AS came_back,
            -sum(amount) FILTER (WHERE type = 'PAYMENT') AS paid,
            coalesce(sum(amount) FILTER (WHERE type = 'REFUND'), 0) AS refunded,
            count(DISTINCT customer_id) AS by_customers
        FROM payments_ledgertransaction
        WHERE (type = 'PAYMENT' OR type = 'REFUND' OR type IN ('TILL_CASH', 'TILL_CARD', 'COMP', 'COMP_BACK'))
            AND {movements}
        GROUP BY reference
        HAVING bool_or(type IN ('TILL_CASH', 'TILL_CARD', 'COMP', 'COMP_BACK'))
    ) sale
    WHERE brought IS NULL OR brought > coalesce(paid, 0) OR by_customers > 1
        OR came_back <> least(house, refunded)
"""


def unspent_counter_money(since: datetime | None) -> Findings:
    return breaches(
        _UNSPENT_COUNTER_MONEY,
        since=since,
        movements="reference = ANY (ARRAY{changed})",
        changed="SELECT reference FROM payments_ledgertransaction WHERE created_at >= %(since)s AND reference IS NOT NULL",
    )
