from functools import partial
from typing import ClassVar

from django.http import HttpResponse
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _
from rest_framework.request import Request
from rest_framework.response import Response

from apps.api.operations import Operation
from apps.api.schema import operation
from apps.api.views import ApiView, IdempotentView
from apps.payments.errors import BalanceLimitExceeded
from apps.payments.models import LedgerTransaction
from apps.payments.selectors import transactions_of_customer, wallet_balance
from apps.payments.serializers import (
    BalanceSerializer,
    ChargedSerializer,
    ChargeSerializer,
    TransactionSerializer,
    charged_data,
)
from apps.payments.services import charge_wallet


class BalanceView(ApiView):
    @operation(
        summary="Your balance",
        description="In won; 0 before the first top-up.",
        response=BalanceSerializer,
        message=_("Your balance."),
        examples={"response": {"balance": 150_000}},
    )
    def get(self, request: Request) -> Response:
        balance = wallet_balance(customer_id=self.customer_id)
        return self.success({"balance": balance}, headers={"Cache-Control": "no-store"})


class ChargesView(IdempotentView):
    idempotent_as = Operation.CHARGE
    rate_limits: ClassVar = {"POST": "charge"}

    @operation(
        summary="Top up",
        description="Adds `amount` won to the balance. A repeated `Idempotency-Key` gets the first answer again.",
        request=ChargeSerializer,
        response=ChargedSerializer,
        status=201,
        errors=[BalanceLimitExceeded],
        message=_("Balance topped up."),
        examples={
            "request": {"amount": 100_000},
            "response": {
                "transaction_id": "7f0c9a52-1f3e-4c0b-9a57-0d5f5a3c8e11",
                "amount": 100_000,
                "balance": 150_000,
            },
        },
        idempotency_key="required",
    )
    def post(self, request: Request) -> HttpResponse:
        asked = self.validated(ChargeSerializer)
        charge = partial(charge_wallet.decide, customer_id=self.customer_id, amount=asked["amount"])
        return self.once(charge, render=_charged)


def _charged(booked: LedgerTransaction) -> tuple[int, str | Promise, object]:
    return 201, _("Balance topped up."), charged_data(booked)


class TransactionsView(ApiView):
    @operation(
        summary="Your transactions",
        description="Every movement of your balance, newest first; `amount` is negative for payments.",
        response=TransactionSerializer,
        paginated=True,
        message=_("Your transactions."),
        examples={
            "response": {
                "items": [
                    {
                        "transaction_id": "a4c1e7d0-52b8-4b4e-8d0e-6c2b9f1a7d35",
                        "type": "PAYMENT",
                        "amount": -50_000,
                        "balance_after": 100_000,
                        "reservation_id": "e2b7c6f4-0d1a-4f53-b3a8-9c5d7e8f1a20",
                        "created_at": "2026-11-22T09:00:00.000000Z",
                    }
                ],
                "page": 1,
                "page_size": 20,
                "total": 1,
            }
        },
    )
    def get(self, request: Request) -> Response:
        found = transactions_of_customer(customer_id=self.customer_id)
        return self.page_of(found, TransactionSerializer)
