"""Wallets, filled the only way there is: by booked movements."""

from typing import Any

import factory
from django.conf import settings
from django.db import transaction

from apps.payments.models import Wallet
from apps.payments.services import charge_wallet, locked_wallet
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
            return locked_wallet(customer_id=customer_id)
