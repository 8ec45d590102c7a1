"""The answer that was kept for a key names an effect: of this customer, of this kind, and no other call's."""

from datetime import timedelta
from uuid import UUID

import pytest
from django.utils import timezone

from apps.api.models import IdempotencyRecord
from apps.api.operations import Operation
from apps.ops.invariants import calls
from apps.payments.models import LedgerTransaction
from apps.payments.services import adjust_wallet
from apps.reservations.services import cancel_reservation, extend_hold
from tests.factories.accounts import CustomerFactory
from tests.factories.concerts import PerformanceFactory
from tests.factories.payments import WalletFactory
from tests.factories.reservations import hold, reservation

pytestmark = pytest.mark.django_db


@pytest.fixture
def customers():
    return [WalletFactory(balance=1_000_000).customer for _ in range(2)]


@pytest.fixture
def effects(customers) -> dict[str, dict[str, UUID]]:
    """One of each kind for the first customer."""
    customer = customers[0]
    seats = list(PerformanceFactory(seats=8, concert__seats_per_customer=8).seats.order_by("pk"))
    held, extended = hold(customer, seats[:1]), hold(customer, seats[1:2])
    extend_hold(customer_id=customer.pk, hold_id=extended.pk)
    sold, cancelled = reservation(customer, seats[2:3]), reservation(customer, seats[3:4])
    cancel_reservation(customer_id=customer.pk, reservation_id=cancelled.pk)
    charge = LedgerTransaction.objects.get(customer=customer, type="CHARGE")
    payment = LedgerTransaction.objects.get(reference=sold.pk)
    adjusted = adjust_wallet(
        customer_id=customer.pk, amount=5, reason="x", staff_id=CustomerFactory(staff=True).pk
    )
    return {
        "payments.charge": {"right": charge.pk, "payment": payment.pk, "adjusted": adjusted.pk},
        "reservations.hold": {"right": held.pk, "sold": sold.pk},
        "reservations.hold_best_available": {"right": held.pk, "charge": charge.pk},
        "reservations.extend": {"right": extended.pk, "held": held.pk},
        "reservations.confirm": {"right": sold.pk, "held": held.pk},
        "reservations.cancel": {"right": cancelled.pk, "sold": sold.pk, "held": held.pk},
    }


def keep(customer, operation: str, effect: UUID, key: str = "k") -> IdempotencyRecord:
    body = f'{{"data":{{"{Operation(operation).effect}":"{effect}"}}}}'.encode()
    return IdempotencyRecord.objects.create(
        customer=customer, operation=operation, key=key, fingerprint="f", status=201, body=body
    )


def found(since=None) -> list[str]:
    return list(calls.keys_without_one_effect(since).examples)


@pytest.mark.parametrize("operation", [operation.value for operation in Operation])
def test_of_the_right_kind_is_no_breach_and_any_other_is(customers, effects, operation):
    right, *wrong = effects[operation].values()
    keep(customers[0], operation, right)
    assert found() == []

    for effect in wrong:
        record = keep(customers[0], operation, effect, key="other")
        said = f"customer {customers[0].pk}, {operation}, key other: answered, but without effect"
        assert found() == [said]
        record.delete()


@pytest.mark.parametrize("operation", [operation.value for operation in Operation])
def test_of_somebody_else_is_a_breach(customers, effects, operation):
    keep(customers[1], operation, effects[operation]["right"])

    assert found() == [
        f"customer {customers[1].pk}, {operation}, key k: answered, but without effect"
    ]


def test_that_one_operation_has_twice_is_a_breach_for_each_key_and_customer(customers, effects):
    right = effects["reservations.hold"]["right"]
    keep(customers[0], "reservations.hold", right, key="a")
    keep(customers[0], "reservations.hold_best_available", right, key="b")
    assert found() == []

    keep(customers[0], "reservations.hold", right, key="c")

    assert found() == [f"reservations.hold: several keys made {right}"]


def test_of_the_same_key_of_two_customers_is_a_breach(customers, effects):
    right = effects["payments.charge"]["right"]
    for customer in customers:
        keep(customer, "payments.charge", right)

    assert sorted(found()) == [
        f"customer {customers[1].pk}, payments.charge, key k: answered, but without effect",
        f"payments.charge: several keys made {right}",
    ]


def test_of_long_ago_is_left_out_when_asked_for_what_is_recent(customers, effects):
    now = timezone.now()
    record = keep(customers[1], "payments.charge", effects["payments.charge"]["right"])
    IdempotencyRecord.objects.filter(pk=record.pk).update(created_at=now - timedelta(hours=2))

    assert found(now - timedelta(hours=1)) == []
    assert len(found(now - timedelta(hours=3))) == len(found()) == 1
