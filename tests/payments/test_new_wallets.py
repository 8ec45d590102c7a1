"""Wallets that are opened many at a time: within both limits, and each with books of its own."""

import pytest
from django.conf import LazySettings
from django.db import transaction

from apps.payments.models import LedgerEntry, LedgerTransaction, Wallet
from apps.payments.services import charge_new_wallets, charge_wallet
from tests.factories.accounts import CustomerFactory

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize(
    ("charge_limit", "balance_limit", "amount", "is_allowed"),
    [
        *((10, 5, 5, True), (10, 5, 6, False), (5, 10, 5, True), (5, 10, 6, False)),
        *((10, 10, 1, True), (10, 10, 0, False), (10, 10, -1, False)),
    ],
)
def test_take_no_more_than_either_limit(
    settings: LazySettings, charge_limit: int, balance_limit: int, amount: int, is_allowed: bool
) -> None:
    settings.CHARGE_LIMIT, settings.BALANCE_LIMIT = charge_limit, balance_limit
    customers = CustomerFactory.create_batch(2)

    with transaction.atomic():
        if is_allowed:
            charge_new_wallets(customer_ids=[customer.pk for customer in customers], amount=amount)
        else:
            with pytest.raises(ValueError, match="out of bounds"):
                charge_new_wallets(
                    customer_ids=[customer.pk for customer in customers], amount=amount
                )

    assert Wallet.objects.count() == (2 if is_allowed else 0)


def test_look_like_those_that_were_charged_one_by_one() -> None:
    *many, alone = CustomerFactory.create_batch(3)
    with transaction.atomic():
        charge_new_wallets(customer_ids=[customer.pk for customer in many], amount=7_000)
    charge_wallet(customer_id=alone.pk, amount=7_000)

    def books(customer_id: int) -> list[object]:
        booked = LedgerTransaction.objects.filter(customer=customer_id)
        entries = LedgerEntry.objects.filter(transaction__in=booked).order_by("account")
        return [
            *Wallet.objects.filter(pk=customer_id).values_list("balance", "version"),
            *booked.values_list(
                *("sequence", "type", "amount", "balance_after", "reference", "reason"),
                "adjusted_by",
            ),
            *entries.values_list("account", "amount"),
            [entry.customer_id in (None, customer_id) for entry in entries],
        ]

    assert books(many[0].pk) == books(many[1].pk) == books(alone.pk)
    assert len(books(alone.pk)) == 5
