from collections.abc import Sequence
from uuid import UUID

from django.conf import settings

from apps.payments.errors import BalanceLimitExceeded, InsufficientBalance
from apps.payments.models import LedgerEntry, LedgerTransaction, Wallet
from apps.shared.transactions import requires_transaction

Account = LedgerEntry.Account
Type = LedgerTransaction.Type

BULK_BATCH = 1_000
COUNTER_ACCOUNTS = {
    Type.CHARGE: Account.CASH,
    Type.PAYMENT: Account.SALES_REVENUE,
    Type.REFUND: Account.REFUNDS,
    Type.ADJUSTMENT: Account.ADJUSTMENTS,
}


@requires_transaction
def locked_wallet(*, customer_id: int) -> Wallet:
    """The customer's wallet, locked until the transaction ends; opened empty if there is none yet."""
    wallet = Wallet.objects.lock().filter(pk=customer_id).first()
    if wallet is None:
        Wallet.objects.bulk_create([Wallet(customer_id=customer_id)], ignore_conflicts=True)
        wallet = Wallet.objects.lock().get(pk=customer_id)
    return wallet


@requires_transaction
def charge_wallet(*, customer_id: int, amount: int) -> LedgerTransaction:
    """Top up by `amount` won, 1 to `CHARGE_LIMIT`.

    :raises BalanceLimitExceeded: the balance would be above `BALANCE_LIMIT`.
    """
    if not 1 <= amount <= settings.CHARGE_LIMIT:
        raise ValueError(f"A top-up of {amount} won is out of bounds.")
    wallet = locked_wallet(customer_id=customer_id)
    _refuse_above_limit(wallet, amount)
    return _move(wallet, Type.CHARGE, amount)


@requires_transaction
def debit_wallet(*, customer_id: int, amount: int, reference: UUID) -> LedgerTransaction:
    """Pay `amount` won for `reference`, which is paid for once only.

    :raises InsufficientBalance: the customer has less than that.
    """
    _refuse_unless_positive(amount)
    wallet = locked_wallet(customer_id=customer_id)
    _refuse_overdraft(wallet, amount)
    return _move(wallet, Type.PAYMENT, -amount, reference=reference)


@requires_transaction
def refund_to_wallet(*, customer_id: int, amount: int, reference: UUID) -> LedgerTransaction:
    """Give back `amount` won that this customer paid for `reference`, which is refunded once only.

    The balance may go above `BALANCE_LIMIT`: a refund is owed.
    """
    _refuse_unless_positive(amount)
    wallet = locked_wallet(customer_id=customer_id)
    return _move(wallet, Type.REFUND, amount, reference=reference)


@requires_transaction
def adjust_wallet(
    *, customer_id: int, amount: int, reason: str, staff_id: int
) -> LedgerTransaction:
    """Correct a balance by `amount` won, positive or negative; who did it and why is kept.

    :raises InsufficientBalance: the balance would be negative.
    :raises BalanceLimitExceeded: the balance would rise above `BALANCE_LIMIT`.
    """
    if not amount or not reason.strip():
        raise ValueError("An adjustment needs an amount and a reason.")
    wallet = locked_wallet(customer_id=customer_id)
    if amount > 0:
        _refuse_above_limit(wallet, amount)
    else:
        _refuse_overdraft(wallet, -amount)
    return _move(wallet, Type.ADJUSTMENT, amount, reason=reason.strip(), adjusted_by_id=staff_id)


@requires_transaction
def charge_new_wallets(*, customer_ids: Sequence[int], amount: int) -> None:
    """Open the wallets of customers who have none yet with a first top-up: for load tests and demo data."""
    if not 1 <= amount <= min(settings.CHARGE_LIMIT, settings.BALANCE_LIMIT):
        raise ValueError(f"A top-up of {amount} won is out of bounds.")
    booked = [
        LedgerTransaction(
            customer_id=customer_id,
            number=1,
            type=Type.CHARGE,
            amount=amount,
            balance_after=amount,
        )
        for customer_id in customer_ids
    ]
    Wallet.objects.bulk_create(
        [
            Wallet(customer_id=customer_id, balance=amount, movements=1)
            for customer_id in customer_ids
        ],
        batch_size=BULK_BATCH,
    )
    _book(booked)


def _move(
    wallet: Wallet,
    type: LedgerTransaction.Type,
    amount: int,
    *,
    reference: UUID | None = None,
    reason: str = "",
    adjusted_by_id: int | None = None,
) -> LedgerTransaction:
    wallet.balance += amount
    wallet.movements += 1
    wallet.save(update_fields=["balance", "movements"])
    [booked] = _book(
        [
            LedgerTransaction(
                customer_id=wallet.pk,
                number=wallet.movements,
                type=type,
                amount=amount,
                balance_after=wallet.balance,
                reference=reference,
                reason=reason,
                adjusted_by_id=adjusted_by_id,
            )
        ]
    )
    return booked


def _book(transactions: list[LedgerTransaction]) -> list[LedgerTransaction]:
    """Insert transactions with both of their entries: one statement for each table."""
    booked = LedgerTransaction.objects.bulk_create(transactions, batch_size=BULK_BATCH)
    LedgerEntry.objects.bulk_create(
        [
            entry
            for one in booked
            for entry in (
                LedgerEntry(
                    transaction=one,
                    account=Account.CUSTOMER_LIABILITY,
                    customer_id=one.customer_id,
                    amount=one.amount,
                ),
                LedgerEntry(
                    transaction=one,
                    account=COUNTER_ACCOUNTS[Type(one.type)],
                    amount=-one.amount,
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
