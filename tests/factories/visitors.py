"""A customer at the API: logged in, with money, and admitted by a real waiting room."""

from typing import Any

from django.test import Client

from apps.accounts.models import User
from apps.queue.services import admit_visitors
from tests.factories.accounts import bearer
from tests.factories.payments import WalletFactory


class Visitor:
    """`visitor.post("/holds", {...}, key="k")`: paths below `/api/v1`, headers added, the response as it came."""

    def __init__(self, customer: User) -> None:
        self.customer = customer
        self.client = Client(raise_request_exception=False)
        self.headers = bearer(customer)

    def join(self, concert_id: int) -> str:
        """Join the queue and keep the token; being admitted is up to the next tick."""
        answer = self.post("/queue/tokens", {"concert_id": concert_id})
        assert answer.status_code in (200, 201), answer.content
        token: str = answer.json()["data"]["token"]
        self.headers["Queue-Token"] = token
        return token

    def get(self, path: str, **headers: str) -> Any:
        return self.client.get(f"/api/v1{path}", headers=self.headers | headers)

    def delete(self, path: str) -> Any:
        return self.client.delete(f"/api/v1{path}", headers=self.headers)

    def post(self, path: str, body: Any = None, *, key: str | None = None) -> Any:
        headers = self.headers | ({"Idempotency-Key": key} if key else {})
        return self.client.post(
            f"/api/v1{path}",
            {} if body is None else body,
            content_type="application/json",
            headers=headers,
        )


def admitted_visitor(concert_id: int, *, balance: int = 1_000_000) -> Visitor:
    """A new customer whom the waiting room of the concert has just admitted."""
    visitor = Visitor(WalletFactory(balance=balance).customer)
    visitor.join(concert_id)
    admit_visitors()
    return visitor
