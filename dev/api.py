"""The HTTP API as customers of `dev` call it: the journey, the drill and the benchmarks say each call once, here."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import httpx

Data = dict[str, Any]


class Kind(StrEnum):
    """Kinds of calls. Those above `JOIN` change the database, and each must settle to one effect."""

    CHARGE = "charge"
    HOLD = "hold"
    CONFIRM = "confirm"
    CANCEL = "cancel"
    RELEASE = "release"
    STAFF = "staff"  # a form of the administration: see `dev/drill/acts.py`
    JOIN = "join"
    OTHER = "other"

    @property
    def is_durable(self) -> bool:
        return self not in (Kind.JOIN, Kind.OTHER)


@dataclass(frozen=True, slots=True)
class Request:
    """One call without what every call of its customer carries."""

    method: str
    path: str
    body: Mapping[str, Any] | None = None
    kind: Kind = Kind.OTHER

    @property
    def url(self) -> str:
        return f"/api/v1{self.path}"


def read(path: str) -> Request:
    return Request("GET", path)


def charge(amount: int) -> Request:
    return Request("POST", "/balance/charges", {"amount": amount}, kind=Kind.CHARGE)


def join(concert_id: int) -> Request:
    return Request("POST", "/queue/tokens", {"concert_id": concert_id}, kind=Kind.JOIN)


STATUS = read("/queue/tokens/me")
LEAVE = Request("DELETE", "/queue/tokens/me")


def seats(performance_id: int) -> Request:
    return read(f"/performances/{performance_id}/seats")


def hold(performance_id: int, seat_ids: Sequence[int]) -> Request:
    body = {"performance_id": performance_id, "seat_ids": list(seat_ids)}
    return Request("POST", "/holds", body, kind=Kind.HOLD)


def hold_best_available(performance_id: int, quantity: int) -> Request:
    body = {"performance_id": performance_id, "quantity": quantity}
    return Request("POST", "/holds/best-available", body, kind=Kind.HOLD)


def release(hold_id: str) -> Request:
    return Request("DELETE", f"/holds/{hold_id}", kind=Kind.RELEASE)


def pay(hold_id: str) -> Request:
    return Request("POST", "/reservations", {"hold_id": hold_id}, kind=Kind.CONFIRM)


def cancel(reservation_id: str) -> Request:
    return Request("POST", f"/reservations/{reservation_id}/cancel", kind=Kind.CANCEL)


class ApiRefused(Exception):
    """The API has refused a call."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(f"{message} (HTTP {status}, {code})")
        self.code, self.message = code, message


class Api:
    """Calls of one customer: the access token and the latest queue token go with each of them.

    `http` knows the address of the service.
    """

    def __init__(
        self, http: httpx.Client, *, access_token: str = "", queue_token: str = ""
    ) -> None:
        self.http = http
        self.access_token = access_token
        self.queue_token = queue_token

    def send(self, request: Request, *, key: str | None = None) -> httpx.Response:
        """:raises httpx.HTTPError: no answer came."""
        headers = {
            "Authorization": f"Bearer {self.access_token}" if self.access_token else "",
            "Queue-Token": self.queue_token,
            "Idempotency-Key": key or "",
        }
        return self.http.request(
            request.method,
            request.url,
            json=request.body,
            headers={"Accept-Language": "en"}
            | {name: text for name, text in headers.items() if text},
        )

    def call(self, request: Request, *, key: str | None = None) -> Data:
        """Return the data of the answer.

        :raises httpx.HTTPError: no answer came.
        :raises ApiRefused, ValueError: as `data_of`.
        """
        return data_of(self.send(request, key=key))


def data_of(response: httpx.Response) -> Data:
    """
    :raises ApiRefused: the answer is a refusal.
    :raises ValueError: it is none of Encore.
    """
    try:
        envelope = response.json()
        code, message = str(envelope["code"]), str(envelope["message"])
        data: Data = envelope["data"]
    except (KeyError, TypeError) as error:
        raise ValueError("this is no answer of Encore") from error
    if code != "SUCCESS":
        raise ApiRefused(response.status_code, code, message)
    return data
