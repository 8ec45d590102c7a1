"""Wallets, filled the only way there is: by booked movements."""

from typing import Any
from uuid import UUID

import factory
from django.conf import settings
from django.db import transaction

from apps.core.database import fetch_pipelined
from apps.core.transactions import run_steps
from apps.payments.models import LedgerTransaction, Wallet
from apps.payments.services import (
    Booking,
    charge_wallet,
    debit_wallet,
    lock_or_open_wallet,
    refund_to_wallet,
    wallet_in,
    wallet_lock,
)
from tests.factories.accounts import CustomerFactory


class WalletFactory(factory.django.DjangoModelFactory[Wallet]):
    """`WalletFactory(balance=50_000)` tops up a new customer; `customer=` names one."""

    class Meta:
        model = Wallet

    customer = factory.SubFactory(CustomerFactory)
    balance = 0

    @classmethod
    def _create(cls, model_class: type[Wallet], *args: Any, **kwargs: Any) -> Wallet:
        customer_id, missing = kwargs["customer"].pk, kwargs["balance"]
        with transaction.atomic():
            while missing > 0:
                amount = min(missing, settings.CHARGE_LIMIT)
                charge_wallet(customer_id=customer_id, amount=amount)
                missing -= amount
            return run_steps(lock_or_open_wallet(customer_id=customer_id))


def pay(*, customer_id: int, amount: int, reference: UUID) -> LedgerTransaction:
    """Pay for something that is no hold."""
    with transaction.atomic():
        return _booked(debit_wallet(_locked(customer_id), amount=amount, reference=reference))


def refund(*, customer_id: int, amount: int, reference: UUID) -> LedgerTransaction:
    """Give back what was paid so, or a part of it; past the polite check, so that only the database may refuse."""
    with transaction.atomic():
        refund = refund_to_wallet(
            _locked(customer_id), amount=amount, reference=reference, refundable=amount
        )
        return _booked(refund)


def _locked(customer_id: int) -> Wallet:
    [rows] = fetch_pipelined([wallet_lock(customer_id=customer_id)])
    return wallet_in(rows, customer_id=customer_id)


def _booked(booking: Booking) -> LedgerTransaction:
    fetch_pipelined([booking.call])
    return booking.transaction
