from functools import partial
from uuid import UUID

from apps.core.transactions import CLOCK, Steps, decide_then_write
from apps.payments.models import LedgerTransaction, Wallet
from apps.payments.services import top_up_wallet
from apps.reservations.errors import TopUpNotNeeded
from apps.reservations.services.locking import hold_locks, locked_hold_in


@decide_then_write
def top_up_for_hold(*, customer_id: int, hold_id: UUID, amount: int) -> Steps[LedgerTransaction]:
    """Top up by what the wallet lacks for a hold, or a part of it: for nothing else, and only while the hold can be paid for.

    :raises HoldNotFound: there is none, or it is another customer's.
    :raises HoldNotLive: it was paid or released before.
    :raises HoldExpired: its time is over.
    :raises TopUpNotNeeded: the wallet lacks less than `amount`.
    :raises BalanceLimitExceeded: the balance would be above `BALANCE_LIMIT`.
    """
    *locked, [(now,)] = yield [
        *hold_locks(customer_id=customer_id, hold_id=hold_id),
        (CLOCK, {}),
    ]
    found = locked_hold_in(locked, customer_id=customer_id)
    found.refuse_unless_live(at=now)
    refuse = partial(_refuse_more_than_is_missing, price=found.hold.total_price, amount=amount)
    return (yield from top_up_wallet(customer_id=customer_id, amount=amount, refuse=refuse))


def _refuse_more_than_is_missing(wallet: Wallet, *, price: int, amount: int) -> None:
    if wallet.balance + amount > price:
        raise TopUpNotNeeded
