from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

from django.conf import settings

from apps.core.database import Call, Row, load_statements
from apps.core.transactions import (
    Decision,
    RoundTrips,
    Steps,
    decide_then_write,
    requires_transaction,
)
from apps.payments.errors import BalanceLimitExceeded, InsufficientBalance, RefundExceedsPayment
from apps.payments.models import LedgerEntry, LedgerTransaction, Wallet

SQL = load_statements(Path(__file__).with_suffix(".sql"))

Account = LedgerEntry.Account
Type = LedgerTransaction.Type

BULK_BATCH = 1_000
COUNTER_ACCOUNTS = {
    Type.CHARGE: Account.CASH,
    Type.PAYMENT: Account.SALES_REVENUE,
    Type.REFUND: Account.REFUNDS,
    Type.ADJUSTMENT: Account.ADJUSTMENTS,
    Type.TILL_CASH: Account.TILL_CASH,
    Type.TILL_CARD: Account.TILL_CARD,
    Type.COMP: Account.COMPS,
    Type.COMP_BACK: Account.COMPS,
}


@dataclass(frozen=True, slots=True)
class Booking:
    """A movement of money that was allowed, and the statement that makes it true."""

    transaction: LedgerTransaction
    call: Call


def wallet_lock(*, customer_id: int) -> Call:
    """Return the statement that locks a customer's wallet, for the pipeline of a use case; `wallet_in` reads its rows."""
    return SQL["lock_wallet"], {"customer_id": customer_id}


def wallet_in(rows: Sequence[Row], *, customer_id: int) -> Wallet:
    """Return the wallet that was locked; one that was never opened is empty, and nothing can be taken from it."""
    if not rows:
        return Wallet(customer_id=customer_id)
    _, balance, version = rows[0]
    return Wallet(customer_id=customer_id, balance=balance, version=version)


@requires_transaction
def lock_or_open_wallet(
    *, customer_id: int, refuse: Callable[[Wallet], None] = lambda wallet: None
) -> RoundTrips[Wallet]:
    """Return the customer's wallet, locked until the transaction ends; opened empty if there is none yet.

    A part of a use case: `yield from` it. `refuse` may raise; it sees the wallet before it is opened, so that a refusal leaves none behind.
    """
    lock = wallet_lock(customer_id=customer_id)
    [rows] = yield [lock]
    if not rows:
        refuse(Wallet(customer_id=customer_id))
        [_, rows] = yield [(SQL["open_wallet"], {"customer_id": customer_id}), lock]
    wallet = wallet_in(rows, customer_id=customer_id)
    refuse(wallet)
    return wallet


@decide_then_write
def charge_wallet(*, customer_id: int, amount: int) -> Steps[LedgerTransaction]:
    """Top up by `amount` won, 1 to `CHARGE_LIMIT`.

    :raises BalanceLimitExceeded: the balance would be above `BALANCE_LIMIT`.
    """
    return (yield from top_up_wallet(customer_id=customer_id, amount=amount))


@requires_transaction
def top_up_wallet(
    *, customer_id: int, amount: int, refuse: Callable[[Wallet], None] = lambda wallet: None
) -> Steps[LedgerTransaction]:
    """Decide to top up by `amount` won as `charge_wallet` does: the last part of a use case, which may `refuse` what the wallet has.

    :raises BalanceLimitExceeded: the balance would be above `BALANCE_LIMIT`.
    """
    if not 1 <= amount <= settings.CHARGE_LIMIT:
        raise ValueError(f"A top-up of {amount} won is out of bounds.")

    def refuse_first(wallet: Wallet) -> None:
        refuse(wallet)
        _refuse_above_limit(wallet, amount)

    wallet = yield from lock_or_open_wallet(customer_id=customer_id, refuse=refuse_first)
    return _decided(_booking(wallet, Type.CHARGE, amount))


def debit_wallet(wallet: Wallet, *, amount: int, reference: UUID) -> Booking:
    """Pay `amount` won from a locked wallet for `reference`, which is paid for once only.

    :raises InsufficientBalance: the customer has less than that.
    """
    _refuse_unless_positive(amount)
    _refuse_overdraft(wallet, amount)
    return _booking(wallet, Type.PAYMENT, -amount, reference=reference)


def refund_to_wallet(
    wallet: Wallet,
    *,
    amount: int,
    reference: UUID,
    refundable: int,
    reason: str = "",
    staff_id: int | None = None,
) -> Booking:
    """Give back `amount` won of what this customer paid for `reference`; by staff with a reason, which the customer reads.

    `refundable` is what is left of the payment, read under the lock of the wallet: what was paid, less what has been refunded. The
    balance may go above `BALANCE_LIMIT`: a refund is owed.

    :raises RefundExceedsPayment: that is more than is left.
    """
    _refuse_unless_positive(amount)
    if amount > refundable:
        raise RefundExceedsPayment(amount=amount, refundable=refundable)
    return _booking(
        wallet,
        Type.REFUND,
        amount,
        reference=reference,
        reason=reason,
        adjusted_by_id=staff_id,
    )


@decide_then_write
def adjust_wallet(
    *,
    customer_id: int,
    amount: int,
    reason: str,
    staff_id: int,
    refuse: Callable[[], None] = lambda: None,
) -> Steps[LedgerTransaction]:
    """Correct a balance by `amount` won, positive or negative; who did it and why is kept.

    `refuse` may raise; what it reads of the customer's movements is what they are, because the wallet is locked by then.

    :raises InsufficientBalance: the balance would be negative.
    :raises BalanceLimitExceeded: the balance would rise above `BALANCE_LIMIT`.
    """
    if not amount or not reason.strip():
        raise ValueError("An adjustment needs an amount and a reason.")

    def refuse_first(wallet: Wallet) -> None:
        refuse_adjustment(wallet, amount)
        refuse()

    wallet = yield from lock_or_open_wallet(customer_id=customer_id, refuse=refuse_first)
    return _decided(
        _booking(wallet, Type.ADJUSTMENT, amount, reason=reason.strip(), adjusted_by_id=staff_id)
    )


def refuse_adjustment(wallet: Wallet, amount: int) -> None:
    """
    :raises InsufficientBalance, BalanceLimitExceeded: as `adjust_wallet` would.
    """
    if amount > 0:
        _refuse_above_limit(wallet, amount)
    else:
        _refuse_overdraft(wallet, -amount)


@requires_transaction
def charge_new_wallets(*, customer_ids: Sequence[int], amount: int) -> None:
    """Open the wallets of customers who have none yet with a first top-up: for load tests and demo data."""
    if not 1 <= amount <= min(settings.CHARGE_LIMIT, settings.BALANCE_LIMIT):
        raise ValueError(f"A top-up of {amount} won is out of bounds.")
    booked = [
        LedgerTransaction(
            customer_id=customer_id,
            sequence=1,
            type=Type.CHARGE,
            amount=amount,
            balance_after=amount,
        )
        for customer_id in customer_ids
    ]
    Wallet.objects.bulk_create(
        [
            Wallet(customer_id=customer_id, balance=amount, version=1)
            for customer_id in customer_ids
        ],
        batch_size=BULK_BATCH,
    )
    _book(booked)


def _booking(
    wallet: Wallet,
    type: LedgerTransaction.Type,
    amount: int,
    *,
    reference: UUID | None = None,
    reason: str = "",
    adjusted_by_id: int | None = None,
) -> Booking:
    booked = LedgerTransaction(
        customer_id=wallet.pk,
        sequence=wallet.version + 1,
        type=type,
        amount=amount,
        balance_after=wallet.balance + amount,
        reference=reference,
        reason=reason,
        adjusted_by_id=adjusted_by_id,
    )
    call = (
        SQL["book"],
        {
            "transaction_id": booked.pk,
            "customer_id": wallet.pk,
            "sequence": booked.sequence,
            "type": type.value,
            "amount": amount,
            "balance_after": booked.balance_after,
            "reference": reference,
            "reason": reason,
            "adjusted_by_id": adjusted_by_id,
            "counter_account": COUNTER_ACCOUNTS[type].value,
        },
    )
    return Booking(booked, call)


def _decided(booking: Booking) -> Decision[LedgerTransaction]:
    return Decision(booking.transaction, writes=[booking.call])


def _book(transactions: list[LedgerTransaction]) -> list[LedgerTransaction]:
    """Insert transactions with both of their entries: one statement for each table."""
    booked = LedgerTransaction.objects.bulk_create(transactions, batch_size=BULK_BATCH)
    LedgerEntry.objects.bulk_create(
        [
            entry
            for transaction in booked
            for entry in (
                LedgerEntry(
                    transaction=transaction,
                    account=Account.CUSTOMER_LIABILITY,
                    customer_id=transaction.customer_id,
                    amount=transaction.amount,
                ),
                LedgerEntry(
                    transaction=transaction,
                    account=COUNTER_ACCOUNTS[Type(transaction.type)],
                    amount=-transaction.amount,
                ),
            )
        ],
        batch_size=BULK_BATCH,
    )
    return booked


def _refuse_unless_positive(amount: int) -> None:
    if amount <= 0:
        raise ValueError(f"{amount} won cannot be moved.")


def _refuse_overdraft(wallet: Wallet, amount: int) -> None:
    if wallet.balance < amount:
        raise InsufficientBalance(balance=wallet.balance, required=amount)


def _refuse_above_limit(wallet: Wallet, amount: int) -> None:
    if wallet.balance + amount > settings.BALANCE_LIMIT:
        raise BalanceLimitExceeded(balance=wallet.balance, limit=settings.BALANCE_LIMIT)
