"""Calls that may be repeated without a second effect.

The stored answer is written in the transaction of the effect, so a crash leaves both or neither. Semantics follow the IETF
draft "The Idempotency-Key HTTP Header Field": same key and same request replays, same key and another request is refused.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from django.db import connection

from apps.shared.errors import IdempotencyKeyInUse, IdempotencyKeyReused
from apps.shared.models import IdempotencyRecord
from apps.shared.transactions import run_in_transaction

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class StoredAnswer:
    status: int
    body: bytes
    is_replay: bool = False


def run_once(
    *,
    customer_id: int,
    endpoint: str,
    key: str | None,
    fingerprint: str,
    effect: Callable[[], T],
    render: Callable[[T], tuple[int, bytes]],
) -> StoredAnswer:
    """Run `effect` and keep its rendered answer under (customer, endpoint, key), in one durable transaction.

    Without a key the effect simply runs in the transaction. Refusals are not stored.

    :raises IdempotencyKeyInUse: a call with this key is under way.
    :raises IdempotencyKeyReused: the key was used with another fingerprint.
    """

    def work() -> StoredAnswer:
        if key is None:
            return StoredAnswer(*render(effect()))
        _lock_key(f"{customer_id}\n{endpoint}\n{key}")
        kept = stored_answer(
            customer_id=customer_id, endpoint=endpoint, key=key, fingerprint=fingerprint
        )
        if kept is not None:
            return kept
        status, body = render(effect())
        IdempotencyRecord.objects.create(
            customer_id=customer_id,
            endpoint=endpoint,
            key=key,
            fingerprint=fingerprint,
            status=status,
            body=body,
        )
        return StoredAnswer(status, body)

    return run_in_transaction(work)


def stored_answer(
    *, customer_id: int, endpoint: str, key: str, fingerprint: str
) -> StoredAnswer | None:
    """What the first call with this key was answered; None if there was none, or it is under way.

    :raises IdempotencyKeyReused: the key was used with another fingerprint.
    """
    record = IdempotencyRecord.objects.filter(
        customer_id=customer_id, endpoint=endpoint, key=key
    ).first()
    if record is None:
        return None
    if record.fingerprint != fingerprint:
        raise IdempotencyKeyReused
    return StoredAnswer(record.status, bytes(record.body), is_replay=True)


def _lock_key(name: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_xact_lock(hashtextextended(%s, 0))", [name])
        if not cursor.fetchone()[0]:
            raise IdempotencyKeyInUse
