import time
from collections.abc import Collection
from uuid import UUID

import structlog
from django.db.models import F, OuterRef, Subquery

from apps.reservations.models import Hold, SeatClaim
from apps.shared.transactions import database_now, requires_transaction, run_in_transaction

logger = structlog.get_logger(__name__)

BATCH = 500
SECONDS = 4.0  # below the time between two sweeps


def expire_holds() -> int:
    """Tidy up holds whose time is over; returns how many.

    Nothing depends on it: an overdue hold claims nothing, swept or not. Holds that somebody else is at work on are left, and so
    is what the time does not suffice for: beat calls again.
    """
    total = 0
    stop_at = time.monotonic() + SECONDS
    while expired := run_in_transaction(_expire_batch):
        total += expired
        if expired < BATCH or time.monotonic() > stop_at:
            break
    if total:
        logger.info("holds_expired", count=total)
    return total


def _expire_batch() -> int:
    overdue = Hold.objects.overdue(at=database_now()).order_by("expires_at", "pk")
    locked = overdue.select_for_update(skip_locked=True, no_key=True)
    return end_as_expired(locked.values_list("pk", flat=True)[:BATCH])


@requires_transaction
def end_as_expired(hold_ids: Collection[UUID]) -> int:
    """Note the end of overdue holds, which the caller has locked, at the moment at which they ended."""
    ids = list(hold_ids)
    if not ids:
        return 0
    SeatClaim.objects.open().filter(hold__in=ids).update(
        ended_at=Subquery(Hold.objects.filter(pk=OuterRef("hold_id")).values("expires_at"))
    )
    return Hold.objects.filter(pk__in=ids).update(
        status=Hold.Status.EXPIRED, ended_at=F("expires_at")
    )
