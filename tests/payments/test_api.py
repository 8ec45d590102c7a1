from collections.abc import Callable
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.test import Client

from apps.accounts.models import User
from apps.api.models import IdempotencyRecord
from apps.payments.models import LedgerTransaction, Wallet
from apps.payments.selectors import wallet_balance
from tests.factories.accounts import CustomerFactory, bearer
from tests.factories.payments import WalletFactory, pay, refund

pytestmark = pytest.mark.django_db

BALANCE = "/api/v1/balance"
CHARGES = "/api/v1/balance/charges"
TRANSACTIONS = "/api/v1/balance/transactions"

Charge = Callable[..., Any]


@pytest.fixture
def customer() -> User:
    return CustomerFactory()


@pytest.fixture
def api(customer) -> Client:
    return Client(headers=bearer(customer))


@pytest.fixture
def charge(api) -> Charge:
    """POST a top-up; every call has a key of its own unless it is given one."""

    def post(body: Any, *, key: str | None = "", **options: Any) -> Any:
        headers = {"Idempotency-Key": key or str(uuid4())} if key is not None else {}
        return api.post(
            CHARGES, body, **{"content_type": "application/json", "headers": headers} | options
        )

    return post


def assert_nothing_charged() -> None:
    assert not Wallet.objects.filter(balance__gt=0).exists()
    assert not LedgerTransaction.objects.exists()
    assert not IdempotencyRecord.objects.exists()


class TestBalance:
    def test_is_nothing_before_the_first_top_up(self, api):
        response = api.get(BALANCE)

        assert response.status_code == 200
        assert response.json()["code"] == "SUCCESS"
        assert response.json()["data"] == {"balance": 0}

    def test_is_what_the_wallet_holds(self, api, customer):
        WalletFactory(customer=customer, balance=30_000)
        WalletFactory(balance=99_000)

        assert api.get(BALANCE).json()["data"] == {"balance": 30_000}

    def test_is_not_stored_anywhere(self, api):
        assert api.get(BALANCE).headers["Cache-Control"] == "no-store"

    def test_takes_two_queries(self, api, django_assert_num_queries):
        with django_assert_num_queries(2):
            api.get(BALANCE)


class TestCharges:
    def test_top_up_the_balance(self, charge, customer):
        response = charge({"amount": 30_000})

        assert response.status_code == 201
        assert response.json()["code"] == "SUCCESS"
        data = response.json()["data"]
        assert data == {
            "transaction_id": str(LedgerTransaction.objects.get().pk),
            "amount": 30_000,
            "balance": 30_000,
        }
        assert wallet_balance(customer_id=customer.pk) == 30_000

    def test_speak_korean(self, charge):
        english = charge({"amount": 1_000}).json()["message"]
        korean = charge({"amount": 1_000}, HTTP_ACCEPT_LANGUAGE="ko").headers["Content-Language"]

        assert english == "Balance topped up."
        assert korean == "ko"

    @pytest.mark.parametrize("amount", [0, -1, 1_000_001, 2**63, True, None, "1000", 1000.0, []])
    def test_refuse_any_other_amount(self, charge, amount):
        response = charge({"amount": amount})

        assert response.status_code == 400
        assert response.json()["code"] == "VALIDATION_ERROR"
        assert list(response.json()["data"]["errors"]) == ["amount"]
        assert_nothing_charged()

    def test_refuse_to_go_above_the_limit(self, charge, customer):
        WalletFactory(customer=customer, balance=9_500_000)

        response = charge({"amount": 500_001})

        assert response.status_code == 409
        assert response.json()["code"] == "BALANCE_LIMIT_EXCEEDED"
        data = response.json()["data"]
        assert (data["retryable"], data["balance"], data["limit"]) == (
            False,
            9_500_000,
            10_000_000,
        )
        assert wallet_balance(customer_id=customer.pk) == 9_500_000


class TestChargesOfOneKey:
    def test_happen_once_and_answer_the_same_bytes(self, charge, customer):
        first = charge({"amount": 30_000}, key="one")
        charge({"amount": 5_000}, key="other")

        second = charge({"amount": 30_000}, key="one")

        assert (second.status_code, second.content) == (201, first.content)
        assert second.headers["Content-Type"] == first.headers["Content-Type"]
        assert second.headers["Idempotent-Replayed"] == "true"
        assert "Idempotent-Replayed" not in first.headers
        assert wallet_balance(customer_id=customer.pk) == 35_000

    def test_may_be_tried_again_after_a_refusal(self, charge, customer):
        WalletFactory(customer=customer, balance=10_000_000)
        refused = charge({"amount": 1_000}, key="one")
        pay(customer_id=customer.pk, amount=5_000, reference=uuid4())

        response = charge({"amount": 1_000}, key="one")

        assert (refused.status_code, response.status_code) == (409, 201)
        assert wallet_balance(customer_id=customer.pk) == 9_996_000

    @pytest.mark.django_db(transaction=True)
    def test_happen_once_however_many_come_at_once(self, charge, customer, race):
        responses = race([lambda: charge({"amount": 30_000}, key="one")] * 24)

        done = [response for response in responses if response.status_code == 201]
        assert {response.status_code for response in responses} <= {201, 409}
        assert len({answer.content for answer in done}) == 1
        assert sum("Idempotent-Replayed" not in answer.headers for answer in done) == 1
        assert wallet_balance(customer_id=customer.pk) == 30_000
        assert LedgerTransaction.objects.count() == 1

    @pytest.mark.django_db(transaction=True)
    def test_happen_as_often_as_they_come_with_other_keys(self, charge, customer, race):
        """The twin: without a common key nothing holds the calls together."""
        responses = race([lambda: charge({"amount": 30_000})] * 24)

        assert [response.status_code for response in responses] == [201] * 24
        assert wallet_balance(customer_id=customer.pk) == 24 * 30_000


class TestTransactions:
    def test_tell_every_movement_newest_first(self, api, customer):
        reservation_id = uuid4()
        WalletFactory(customer=customer, balance=50_000)
        WalletFactory(balance=99_000)
        pay(customer_id=customer.pk, amount=20_000, reference=reservation_id)
        refund(customer_id=customer.pk, amount=20_000, reference=reservation_id)

        page = api.get(TRANSACTIONS).json()["data"]

        assert page["total"] == 3
        assert [
            (item["type"], item["amount"], item["balance_after"], item["reservation_id"])
            for item in page["items"]
        ] == [
            ("REFUND", 20_000, 50_000, str(reservation_id)),
            ("PAYMENT", -20_000, 30_000, str(reservation_id)),
            ("CHARGE", 50_000, 50_000, None),
        ]
        newest = page["items"][0]
        assert set(newest) == {
            "transaction_id",
            "type",
            "amount",
            "balance_after",
            "reservation_id",
            "created_at",
        }
        assert UUID(newest["transaction_id"])
        assert newest["created_at"].endswith("Z")

    def test_come_in_pages(self, api, customer):
        WalletFactory(customer=customer, balance=5_000_000)

        page = api.get(TRANSACTIONS, {"page": 2, "page_size": 2}).json()["data"]

        assert (page["page"], page["page_size"], page["total"]) == (2, 2, 5)
        assert [item["balance_after"] for item in page["items"]] == [3_000_000, 2_000_000]
