"""One customer's way through the public API, from registration to a ticket and back to a cancellation."""

import random
import secrets
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from uuid import uuid4

import httpx

from dev import api
from dev.api import Api, ApiRefused, Data, Request, data_of

TOP_UP = 500_000  # won
TOP_UP_MAX = 1_000_000
CANCELLABLE_FROM_NOW = timedelta(hours=25)
RANKING_PAUSE = 0.5  # seconds
HOLD_ATTEMPTS = 5
WORTH_WAITING_FOR = {HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE}


class JourneyFailed(Exception):
    """The message says at which step and why."""


class StepRefused(JourneyFailed):
    def __init__(self, step: str, refusal: ApiRefused) -> None:
        super().__init__(f"{step}: {refusal}")
        self.code = refusal.code


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
    caller: Api = field(init=False)
    balance: int = field(default=0, init=False)

    def __post_init__(self) -> None:
        self.caller = Api(self.client)

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
            api.pay(hold["hold_id"]),
            key=_new_key(),
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
            Request("POST", "/accounts/register", {**credentials, "name": "A Traveller"}),
            note=lambda data: str(data["email"]),
        )
        issued = self._call("Log in", Request("POST", "/accounts/login", credentials))
        self.caller.access_token = issued["access_token"]
        self._top_up("Top up", TOP_UP)

    def _top_up(self, title: str, amount: int) -> None:
        while amount > 0:
            charged = self._call(
                title,
                api.charge(min(amount, TOP_UP_MAX)),
                key=_new_key(),
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
                api.read(f"/concerts/{concert['concert_id']}/performances"),
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
            self._call("Leave the queue", api.LEAVE)
        raise JourneyFailed("Look at the dates: no seat is left that could be bought.")

    def _concerts(self) -> Iterator[Data]:
        if self.concert_id is not None:
            yield self._call(
                "Find the concert",
                api.read(f"/concerts/{self.concert_id}"),
                note=lambda data: str(data["title"]),
            )
            return
        found = self._call(
            "Find a concert",
            api.read("/concerts?page_size=100"),
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
            api.join(concert["concert_id"]),
            note=lambda data: f"{concert['title']}: {data['status']}, position {data['position']}",
        )
        self.caller.queue_token = joined["token"]

    def _wait_until_admitted(self) -> None:
        title, started_at = "Wait for the turn", time.monotonic()
        while True:
            response = self._request(title, api.STATUS)
            status, visit = response.status_code, self._data(title, response)
            self.caller.queue_token = visit["token"]
            waited = time.monotonic() - started_at
            if visit["status"] == "ACTIVE":
                until = datetime.fromisoformat(visit["expires_at"])
                note = f"admitted until {until:%H:%M:%S} UTC"
                self.on_step(Step(title, status, waited, note, succeeded=True))
                return
            if visit["status"] == "EXPIRED":
                raise self._failure(title, status, waited, f"lost it: {visit['expired_reason']}")
            if waited > self.patience:
                still = (
                    f"still at position {visit['position']} after {waited:.0f} s. "
                    "Does beat run, and is the waiting room open?"
                )
                raise self._failure(title, status, waited, still)
            self.on_wait(f"In the queue, position {visit['position']}")
            time.sleep(min(visit["poll_after_seconds"], max(self.patience - waited, 0.1)))

    def _hold_a_seat(self, performance: Data) -> Data:
        """Hold the cheapest seat, or another one if a faster customer has it."""
        performance_id = performance["performance_id"]
        listed = self._call(
            "Look at the seats",
            api.seats(performance_id),
            note=lambda data: f"{len(data['seats']):,} seats",
        )
        free = [seat for seat in listed["seats"] if seat["status"] == "AVAILABLE"]
        if not free:
            raise JourneyFailed("Look at the seats: none is free any more.")
        random.shuffle(free)
        free.sort(key=lambda seat: seat["price"])
        last: StepRefused | None = None
        for seat in free[:HOLD_ATTEMPTS]:
            try:
                return self._call(
                    "Hold a seat",
                    api.hold(performance_id, [seat["seat_id"]]),
                    note=lambda data: f"{_name(data['seats'][0])}, {data['total_price']:,} won",
                )
            except StepRefused as refusal:
                if refusal.code not in ("SEAT_ALREADY_HELD", "SEAT_ALREADY_RESERVED"):
                    raise
                last = refusal
        raise last or JourneyFailed("Hold a seat: none could be held.")

    def _ask_for_more_time(self, hold: Data) -> None:
        self._call(
            "Ask for more time",
            Request("POST", f"/holds/{hold['hold_id']}/extend"),
            key=_new_key(),
            note=lambda data: (
                f"held until {datetime.fromisoformat(data['expires_at']):%H:%M:%S} UTC"
            ),
        )

    def _show_ticket(self, ticket: Data) -> None:
        title = "Show the ticket"
        started_at = time.monotonic()
        response = self._request(title, api.read(f"/tickets/{ticket['ticket_id']}/qr.svg"))
        seconds = time.monotonic() - started_at
        if response.status_code != HTTPStatus.OK:
            self._data(title, response)
        if "<svg" not in response.text:
            raise self._failure(title, response.status_code, seconds, "the QR code is no picture")
        note = f"QR code of {ticket['code']}, {len(response.content):,} bytes"
        self.on_step(Step(title, response.status_code, seconds, note, succeeded=True))

    def _reservations_of(self, concert: Data) -> int:
        response = self._request("Ranking", api.read("/concerts/popular?window=all&limit=100"))
        ranked = self._data("Ranking", response)["items"]
        counts = {item["concert_id"]: item["reservations"] for item in ranked}
        return int(counts.get(concert["concert_id"], 0))

    def _see_ranking_grow(self, concert: Data, before: int) -> None:
        """Wait for the ranking, which follows the sale by a task, and whose answers may be two seconds old."""
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
            api.cancel(paid["reservation_id"]),
            key=_new_key(),
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
        request: Request,
        *,
        key: str | None = None,
        note: Callable[[Data], str] = lambda data: "",
    ) -> Data:
        """Make one step of one call; return the data of the answer."""
        started_at = time.monotonic()
        response = self._request(title, request, key)
        seconds = time.monotonic() - started_at
        data = self._data(title, response, seconds)
        self.on_step(Step(title, response.status_code, seconds, note(data), succeeded=True))
        return data

    def _request(self, title: str, request: Request, key: str | None = None) -> httpx.Response:
        """Return the answer, after as many attempts as a busy server asks for within `patience`."""
        give_up_at = time.monotonic() + self.patience
        while True:
            try:
                response = self.caller.send(request, key=key)
            except httpx.HTTPError as error:
                silence = (
                    f"no answer from {self.client.base_url} ({error or type(error).__name__}). "
                    "Is the stack running? `make run` starts it."
                )
                raise self._failure(title, None, 0.0, silence) from error
            wait = response.headers.get("Retry-After", "")
            if response.status_code not in WORTH_WAITING_FOR or not wait.isdecimal():
                return response
            if time.monotonic() + int(wait) > give_up_at:
                return response
            self.on_wait(f"{title}: the server asks to wait {wait} s")
            time.sleep(int(wait))

    def _data(self, title: str, response: httpx.Response, seconds: float = 0.0) -> Data:
        """
        :raises StepRefused: the answer is a refusal.
        :raises JourneyFailed: it is no envelope.
        """
        try:
            return data_of(response)
        except ApiRefused as refusal:
            note = f"{refusal.code}: {refusal.message}"
            self.on_step(Step(title, response.status_code, seconds, note, succeeded=False))
            raise StepRefused(title, refusal) from refusal
        except ValueError as error:
            nonsense = "this is no answer of Encore"
            raise self._failure(title, response.status_code, seconds, nonsense) from error

    def _failure(self, title: str, status: int | None, seconds: float, note: str) -> JourneyFailed:
        self.on_step(Step(title, status, seconds, note, succeeded=False))
        return JourneyFailed(f"{title}: {note}")


def _new_key() -> str:
    return str(uuid4())


def _is_cancellable(performance: Data) -> bool:
    starts_at = datetime.fromisoformat(performance["starts_at"])
    return starts_at > datetime.now(UTC) + CANCELLABLE_FROM_NOW


def _name(seat: Data) -> str:
    return f"{seat['section']} {seat['row']}-{seat['number']} ({seat['grade']})"
