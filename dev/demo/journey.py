"""One customer's way through the public API, from registration to a ticket and back to a cancellation."""

import random
import secrets
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from typing import Any
from uuid import uuid4

import httpx

TOP_UP = 500_000  # won
TOP_UP_MAX = 1_000_000
CANCELLABLE_FROM_NOW = timedelta(hours=25)
RANKING_PAUSE = 0.5  # seconds
HOLD_ATTEMPTS = 5
WORTH_WAITING_FOR = {HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE}

Data = dict[str, Any]


class JourneyFailed(Exception):
    """The message says at which step and why."""


class ApiError(JourneyFailed):
    def __init__(self, step: str, status: int, code: str, message: str) -> None:
        super().__init__(f"{step}: {message} (HTTP {status}, {code})")
        self.code = code


@dataclass(frozen=True, slots=True)
class Step:
    """`status` is that of the last answer; None when there was none."""

    title: str
    status: int | None
    seconds: float
    note: str
    succeeded: bool


@dataclass(kw_only=True)
class Journey:
    """`client` knows the address of the server; `on_step` is told of every step, `on_wait` what is being waited for.

    `patience` is how many seconds to wait for admission, and for a server that asks for patience; `ranking_patience`, until
    the ranking shows the sale.
    """

    client: httpx.Client
    on_step: Callable[[Step], None]
    on_wait: Callable[[str], None] = lambda text: None
    concert_id: int | None = None
    keep: bool = False
    patience: float = 120.0
    ranking_patience: float = 30.0
    login: dict[str, str] = field(default_factory=dict, init=False)
    queue: dict[str, str] = field(default_factory=dict, init=False)
    balance: int = field(default=0, init=False)

    def run(self) -> None:
        """
        :raises JourneyFailed: a step was refused, took too long or did not do what it should.
        """
        self._open_account()
        concert, performance = self._find_performance()
        before = self._reservations_of(concert)
        hold = self._hold_a_seat(performance)
        if hold["extendable"]:
            self._ask_for_more_time(hold)
        self._top_up("Top up again", hold["total_price"] - self.balance)
        paid = self._call(
            "Pay",
            "POST",
            "/reservations",
            body={"hold_id": hold["hold_id"]},
            headers=self.queue | _new_key(),
            note=lambda data: f"{data['total_price']:,} won, {data['balance']:,} left",
        )
        self._show_ticket(paid["tickets"][0])
        self._see_ranking_grow(concert, before)
        if not self.keep:
            self._cancel(paid)

    # --- The steps ----------------------------------------------------------------------------------------------------

    def _open_account(self) -> None:
        email = f"journey-{secrets.token_hex(6)}@demo.example"
        credentials = {"email": email, "password": secrets.token_urlsafe(16)}
        self._call(
            "Register",
            "POST",
            "/accounts/register",
            body={**credentials, "name": "A Traveller"},
            note=lambda data: str(data["email"]),
        )
        issued = self._call("Log in", "POST", "/accounts/login", body=credentials)
        self.login = {"Authorization": f"Bearer {issued['access_token']}"}
        self._top_up("Top up", TOP_UP)

    def _top_up(self, title: str, amount: int) -> None:
        while amount > 0:
            charged = self._call(
                title,
                "POST",
                "/balance/charges",
                body={"amount": min(amount, TOP_UP_MAX)},
                headers=_new_key(),
                note=lambda data: f"balance {data['balance']:,} won",
            )
            self.balance = charged["balance"]
            amount -= charged["amount"]

    def _find_performance(self) -> tuple[Data, Data]:
        """Queue for one concert after the other until one has a seat left."""
        for concert in self._concerts():
            self._join(concert)
            self._wait_until_admitted()
            dates = self._call(
                "Look at the dates",
                "GET",
                f"/concerts/{concert['concert_id']}/performances",
                headers=self.queue,
                note=lambda data: (
                    ", ".join(
                        f"{item['seats_available']:,} of {item['seats_total']:,}"
                        for item in data["items"]
                    )
                    + " free"
                ),
            )
            for performance in dates["items"]:
                if performance["reservable"] and (self.keep or _is_cancellable(performance)):
                    return concert, performance
            self._call("Leave the queue", "DELETE", "/queue/tokens/me", headers=self.queue)
        raise JourneyFailed("Look at the dates: no seat is left that could be bought.")

    def _concerts(self) -> Iterator[Data]:
        if self.concert_id is not None:
            yield self._call(
                "Find the concert",
                "GET",
                f"/concerts/{self.concert_id}",
                note=lambda data: str(data["title"]),
            )
            return
        found = self._call(
            "Find a concert",
            "GET",
            "/concerts?page_size=100",
            note=lambda data: f"{data['total']} concerts",
        )
        on_sale = [item for item in found["items"] if item["on_sale"]]
        if not on_sale:
            raise JourneyFailed(
                "Find a concert: none is on sale. `manage.py load_demo` makes some."
            )
        yield from on_sale

    def _join(self, concert: Data) -> None:
        joined = self._call(
            "Join the queue",
            "POST",
            "/queue/tokens",
            body={"concert_id": concert["concert_id"]},
            note=lambda data: f"{concert['title']}: {data['status']}, position {data['position']}",
        )
        self.queue = {"Queue-Token": joined["token"]}

    def _wait_until_admitted(self) -> None:
        started_at = time.monotonic()
        status: int | None = None
        while True:
            response = self._request("Wait for the turn", "GET", "/queue/tokens/me", self.queue)
            status, place = response.status_code, self._data("Wait for the turn", response)
            self.queue = {"Queue-Token": place["token"]}
            waited = time.monotonic() - started_at
            if place["status"] == "ACTIVE":
                until = datetime.fromisoformat(place["expires_at"])
                note = f"admitted until {until:%H:%M:%S} UTC"
                self.on_step(Step("Wait for the turn", status, waited, note, succeeded=True))
                return
            if place["status"] == "EXPIRED":
                raise self._failure(
                    "Wait for the turn", status, waited, f"lost it: {place['expired_reason']}"
                )
            if waited > self.patience:
                raise self._failure(
                    "Wait for the turn",
                    status,
                    waited,
                    f"still at position {place['position']} after {waited:.0f} s. "
                    "Does beat run, and is the waiting room open?",
                )
            self.on_wait(f"In the queue, position {place['position']}")
            time.sleep(min(place["poll_after_seconds"], max(self.patience - waited, 0.1)))

    def _hold_a_seat(self, performance: Data) -> Data:
        """The cheapest seat; another one if somebody was faster."""
        performance_id = performance["performance_id"]
        listed = self._call(
            "Look at the seats",
            "GET",
            f"/performances/{performance_id}/seats",
            headers=self.queue,
            note=lambda data: f"{len(data['seats']):,} seats",
        )
        free = [seat for seat in listed["seats"] if seat["status"] == "AVAILABLE"]
        if not free:
            raise JourneyFailed("Look at the seats: none is free any more.")
        random.shuffle(free)
        free.sort(key=lambda seat: seat["price"])
        last: ApiError | None = None
        for seat in free[:HOLD_ATTEMPTS]:
            try:
                return self._call(
                    "Hold a seat",
                    "POST",
                    "/holds",
                    body={"performance_id": performance_id, "seat_ids": [seat["seat_id"]]},
                    headers=self.queue,
                    note=lambda data: f"{_name(data['seats'][0])}, {data['total_price']:,} won",
                )
            except ApiError as refusal:
                if refusal.code not in ("SEAT_ALREADY_HELD", "SEAT_ALREADY_RESERVED"):
                    raise
                last = refusal
        raise last or JourneyFailed("Hold a seat: none could be held.")

    def _ask_for_more_time(self, hold: Data) -> None:
        self._call(
            "Ask for more time",
            "POST",
            f"/holds/{hold['hold_id']}/extend",
            headers=_new_key(),
            note=lambda data: (
                f"held until {datetime.fromisoformat(data['expires_at']):%H:%M:%S} UTC"
            ),
        )

    def _show_ticket(self, ticket: Data) -> None:
        title = "Show the ticket"
        started_at = time.monotonic()
        response = self._request(title, "GET", f"/tickets/{ticket['ticket_id']}/qr.svg")
        seconds = time.monotonic() - started_at
        if response.status_code != HTTPStatus.OK:
            self._data(title, response)
        if "<svg" not in response.text:
            raise self._failure(title, response.status_code, seconds, "the QR code is no picture")
        note = f"QR code of {ticket['code']}, {len(response.content):,} bytes"
        self.on_step(Step(title, response.status_code, seconds, note, succeeded=True))

    def _reservations_of(self, concert: Data) -> int:
        response = self._request("Ranking", "GET", "/concerts/popular?window=all&limit=100")
        ranked = self._data("Ranking", response)["items"]
        counts = {item["concert_id"]: item["reservations"] for item in ranked}
        return int(counts.get(concert["concert_id"], 0))

    def _see_ranking_grow(self, concert: Data, before: int) -> None:
        """The ranking follows the sale by a task, and its answers may be two seconds old."""
        title = "See it in the ranking"
        started_at = time.monotonic()
        self.on_wait("Waiting for the ranking")
        while (now := self._reservations_of(concert)) <= before:
            waited = time.monotonic() - started_at
            if waited > self.ranking_patience:
                raise self._failure(
                    title, None, waited, f"still {now} reservations. Does the worker run?"
                )
            time.sleep(RANKING_PAUSE)
        seconds = time.monotonic() - started_at
        note = f"{concert['title']}: {before:,} → {now:,} reservations"
        self.on_step(Step(title, HTTPStatus.OK, seconds, note, succeeded=True))

    def _cancel(self, paid: Data) -> None:
        title = "Cancel"
        cancelled = self._call(
            title,
            "POST",
            f"/reservations/{paid['reservation_id']}/cancel",
            headers=_new_key(),
            note=lambda data: f"{data['refunded_amount']:,} won back, balance {data['balance']:,}",
        )
        if cancelled["balance"] != self.balance:
            raise JourneyFailed(
                f"{title}: {cancelled['balance']:,} won on the wallet, not {self.balance:,}."
            )

    # --- HTTP ---------------------------------------------------------------------------------------------------------

    def _call(
        self,
        title: str,
        method: str,
        path: str,
        *,
        body: Data | None = None,
        headers: Mapping[str, str] | None = None,
        note: Callable[[Data], str] = lambda data: "",
    ) -> Data:
        """One step of one call; returns the `data` of the answer."""
        started_at = time.monotonic()
        response = self._request(title, method, path, headers, body)
        seconds = time.monotonic() - started_at
        data = self._data(title, response, seconds)
        self.on_step(Step(title, response.status_code, seconds, note(data), succeeded=True))
        return data

    def _request(
        self,
        title: str,
        method: str,
        path: str,
        headers: Mapping[str, str] | None = None,
        body: Data | None = None,
    ) -> httpx.Response:
        """The answer, after as many attempts as a busy server asks for within `patience`."""
        give_up_at = time.monotonic() + self.patience
        while True:
            try:
                response = self.client.request(
                    method,
                    f"/api/v1{path}",
                    json=body,
                    headers={"Accept-Language": "en", **self.login, **(headers or {})},
                )
            except httpx.HTTPError as error:
                raise self._failure(
                    title,
                    None,
                    0.0,
                    f"no answer from {self.client.base_url} ({error or type(error).__name__}). "
                    "Is the stack running? `make run` starts it.",
                ) from error
            wait = response.headers.get("Retry-After", "")
            if response.status_code not in WORTH_WAITING_FOR or not wait.isdecimal():
                return response
            if time.monotonic() + int(wait) > give_up_at:
                return response
            self.on_wait(f"{title}: the server asks to wait {wait} s")
            time.sleep(int(wait))

    def _data(self, title: str, response: httpx.Response, seconds: float = 0.0) -> Data:
        """
        :raises Refused: the answer is a refusal.
        :raises JourneyFailed: it is no envelope.
        """
        try:
            envelope = response.json()
            code, message = str(envelope["code"]), str(envelope["message"])
            data: Data = envelope["data"]
        except (ValueError, KeyError, TypeError) as error:
            raise self._failure(
                title, response.status_code, seconds, "this is no answer of Encore"
            ) from error
        if code != "SUCCESS":
            self.on_step(
                Step(title, response.status_code, seconds, f"{code}: {message}", succeeded=False)
            )
            raise ApiError(title, response.status_code, code, message)
        return data

    def _failure(self, title: str, status: int | None, seconds: float, note: str) -> JourneyFailed:
        self.on_step(Step(title, status, seconds, note, succeeded=False))
        return JourneyFailed(f"{title}: {note}")


def _new_key() -> dict[str, str]:
    return {"Idempotency-Key": str(uuid4())}


def _is_cancellable(performance: Data) -> bool:
    starts_at = datetime.fromisoformat(performance["starts_at"])
    return starts_at > datetime.now(UTC) + CANCELLABLE_FROM_NOW


def _name(seat: Data) -> str:
    return f"{seat['section']} {seat['row']}-{seat['number']} ({seat['grade']})"
