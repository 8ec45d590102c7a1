"""Check admissions, and the effects of the keys that callers sent."""

from datetime import datetime

from apps.api.operations import Operation
from apps.ops.invariants.findings import Findings, breaches, listed
from apps.queue.selectors import admissions_above_capacity


def over_admissions(since: datetime | None) -> Findings:
    return listed(
        f"concert {excess.concert_id}, {excess.admitted_at:%Y-%m-%d %H:%M:%S.%f} UTC: {excess.active} active of {excess.capacity}"
        for excess in admissions_above_capacity(since=since)
    )


# By the answers that are kept: what a key did stands in its own answer, written in the transaction of the effect.
_KEYS_WITHOUT_ONE_EFFECT = """
    WITH named AS (
        SELECT record.customer_id, record.operation, record.key, encode(substring(
            record.body FROM nullif(position(wanted.name IN record.body), 0) + length(wanted.name) FOR 36
        ), 'escape') AS effect
        FROM api_idempotencyrecord record
        JOIN unnest(%(operations)s::text[], %(names)s::bytea[]) wanted (operation, name) ON wanted.operation = record.operation
        WHERE {records}
    ), answers AS MATERIALIZED (
        SELECT customer_id, operation, key, CASE
            WHEN effect ~ '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$' THEN effect::uuid
        END AS effect
        FROM named
    )
    SELECT format('customer %%s, %%s, key %%s: used %%s times', customer_id, operation, key, count(*))
    FROM api_idempotencyrecord
    WHERE {keys}
    GROUP BY customer_id, operation, key
    HAVING count(*) > 1
    UNION ALL
    SELECT format('%%s: several keys made %%s', operation, effect)
    FROM answers
    WHERE effect IS NOT NULL
    GROUP BY operation, effect
    HAVING min(key) <> max(key) OR min(customer_id) <> max(customer_id)
    UNION ALL
    SELECT format('customer %%s, %%s, key %%s: answered, but without effect', answer.customer_id, answer.operation, answer.key)
    FROM answers answer
    LEFT JOIN payments_ledgertransaction charge
        ON charge.id = answer.effect AND charge.customer_id = answer.customer_id AND charge.type = 'CHARGE'
    LEFT JOIN reservations_reservation sold ON sold.id = answer.effect AND sold.customer_id = answer.customer_id
    LEFT JOIN reservations_hold hold ON hold.id = answer.effect AND hold.customer_id = answer.customer_id
    WHERE NOT CASE answer.operation
        WHEN 'payments.charge' THEN charge.id IS NOT NULL
        WHEN 'reservations.confirm' THEN sold.id IS NOT NULL
        WHEN 'reservations.cancel' THEN coalesce(sold.status = 'CANCELLED', false)
        WHEN 'reservations.extend' THEN hold.extended_at IS NOT NULL
        ELSE hold.id IS NOT NULL
    END
"""


def keys_without_one_effect(since: datetime | None) -> Findings:
    return breaches(
        _KEYS_WITHOUT_ONE_EFFECT,
        {
            "operations": [operation.value for operation in Operation],
            "names": [
                f'"{name}":"'.encode() for name in (operation.effect for operation in Operation)
            ],
        },
        since=since,
        records="record.created_at >= %(since)s",
        keys=(
            "(customer_id, operation, key) IN"
            " (SELECT customer_id, operation, key FROM api_idempotencyrecord WHERE created_at >= %(since)s)"
        ),
    )
