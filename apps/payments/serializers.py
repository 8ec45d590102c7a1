from typing import Any

from django.conf import settings
from rest_framework import serializers

from apps.api.fields import StrictIntegerField
from apps.payments.models import LedgerTransaction


class ChargeSerializer(serializers.Serializer[Any]):
    amount = StrictIntegerField(min_value=1, max_value=settings.CHARGE_LIMIT)


class BalanceSerializer(serializers.Serializer[Any]):
    balance = serializers.IntegerField()


class ChargedSerializer(serializers.Serializer[LedgerTransaction]):
    transaction_id = serializers.UUIDField(source="pk")
    amount = serializers.IntegerField()
    balance = serializers.IntegerField(source="balance_after")


def charged_data(booked: LedgerTransaction) -> dict[str, Any]:
    """`ChargedSerializer` written out: going through the fields takes ten times as long."""
    return {
        "transaction_id": str(booked.pk),
        "amount": booked.amount,
        "balance": booked.balance_after,
    }


class TransactionSerializer(serializers.Serializer[LedgerTransaction]):
    transaction_id = serializers.UUIDField(source="pk")
    type = serializers.ChoiceField(choices=LedgerTransaction.Type.choices)
    amount = serializers.IntegerField()
    balance_after = serializers.IntegerField()
    reservation_id = serializers.UUIDField(source="reference", allow_null=True)
    created_at = serializers.DateTimeField()
