"""Customers who queue, hold, pay, cancel and change their minds, through the public API only."""

import random
import threading
import time
from collections.abc import Sequence

import httpx

from dev import api
from dev.api import Api, Data, Request
from dev.drill.history import Call, History, Outcome

ANSWER_TIMEOUT = 10.0  # seconds; what the service itself waits for is shorter
PAUSE = 0.15  # seconds between two questions whether it is one's turn, and after a failure
TOP_UP = 500_000  # won
RETRIES = 2
LOOKED_AT = 25  # free seats among which a customer chooses, so that customers want the same ones
NOT_ADMITTED = ("QUEUE_TOKEN_NOT_ACTIVE", "QUEUE_TOKEN_EXPIRED")


class Customer:
    """One login. What it does next is drawn from `dice`; what it did is in `history`.

    `client` knows the address of the service. It is closed with the customer.
    """

    def __init__(
        self,
        *,
        user_id: int,
        access_token: str,
        concert_id: int,
        client: httpx.Client,
        history: History,
    ) -> None:
        self.user_id = user_id
        self.dice = random.Random(user_id)
        self._concert_id = concert_id
        self._history = history
        self._api = Api(client, access_token=access_token)
        self._is_admitted = False
        self._keys = 0
        self._phase = ""
        self._reservations: list[str] = []

    def close(self) -> None:
        self._api.http.close()

    def enter(self, phase: str, seed: int) -> None:
        """Let what follows belong to `phase`."""
        self._phase = phase
        self.dice = random.Random(f"{seed} {self.user_id}")
        self._reservations = []

    # --- What customers do ------------------------------------------------------------------------

    def shop(self, performance_ids: Sequence[int], stop: threading.Event) -> None:
        """Go on buying, cancelling and topping up until `stop`."""
        while not stop.is_set():
            if not (self.be_admitted(stop) and self._buy(self.dice.choice(performance_ids))):
                stop.wait(PAUSE)
            if self._reservations and self.dice.random() < 0.3:
                self._cancel_one()
            if self.dice.random() < 0.1:
                self._write(api.charge(self.dice.randrange(1_000, 50_000, 1_000)))

    def buy_one(self, performance_id: int, stop: threading.Event) -> bool:
        """Go the whole way once, from the queue to a ticket; return whether it led there."""
        if not self.be_admitted(stop):
            return False
        hold = self._write(api.hold_best_available(performance_id, 1))
        self._note_admission(hold)
        return hold.outcome is Outcome.DONE and self._pay(hold)

    def be_admitted(self, stop: threading.Event) -> bool:
        """Queue, unless it is one's turn already; False when that did not work out until `stop`."""
        if self._is_admitted:
            return True
        visit = self._visit(self._ask(api.join(self._concert_id)))
        while visit.get("status") == "WAITING" and not stop.wait(PAUSE):
            visit = self._visit(self._ask(api.STATUS))
        self._is_admitted = visit.get("status") == "ACTIVE"
        return self._is_admitted

    def repeat(self, call: Call) -> None:
        """Send a call again as it was, with its key."""
        self._send(call)
        self._note_admission(call)

    def _buy(self, performance_id: int) -> bool:
        hold = self._hold(performance_id)
        if hold is None:
            return False
        self._note_admission(hold)
        if hold.outcome is not Outcome.DONE:
            if hold.refusal == "SEAT_LIMIT_EXCEEDED" and self._reservations:
                self._cancel_one()
            return False
        choice = self.dice.random()
        if choice < 0.1:
            self._ask(api.release(hold.data["hold_id"]))
            return True
        # The others walk away, and the hold ends by itself.
        return choice < 0.2 or self._pay(hold)

    def _hold(self, performance_id: int) -> Call | None:
        if self.dice.random() < 0.4:
            quantity = self.dice.choice((1, 2, 3))
            return self._write(api.hold_best_available(performance_id, quantity))
        listed = self._ask(api.seats(performance_id))
        self._note_admission(listed)
        if listed.outcome is not Outcome.DONE:
            return None
        free = [seat["seat_id"] for seat in listed.data["seats"] if seat["status"] == "AVAILABLE"]
        listed.forget_data()
        if not free:
            return None
        wanted = self.dice.sample(
            free[:LOOKED_AT], k=min(self.dice.choice((1, 1, 2, 4)), len(free))
        )
        return self._write(api.hold(performance_id, wanted))

    def _pay(self, hold: Call) -> bool:
        request = api.pay(hold.data["hold_id"])
        paid = self._write(request)
        if paid.refusal == "INSUFFICIENT_BALANCE":
            self._write(api.charge(TOP_UP))
            paid = self._write(request)
        if paid.outcome is not Outcome.DONE:
            return False
        self._reservations.append(paid.data["reservation_id"])
        self._is_admitted = False  # paying ends the visit
        if self.dice.random() < 0.1:
            self._send(paid)  # as a reload of the page would
        return True

    def _cancel_one(self) -> None:
        reservation_id = self._reservations.pop(self.dice.randrange(len(self._reservations)))
        self._write(api.cancel(reservation_id))

    # --- How calls are made -----------------------------------------------------------------------

    def _write(self, request: Request) -> Call:
        """Make a call with a key of its own; half of the customers try again when no answer comes."""
        self._keys += 1
        call = self._ask(request, key=f"{self._phase}-{self.user_id}-{self._keys}")
        for _ in range(RETRIES):
            if call.outcome is not Outcome.UNKNOWN or self.dice.random() < 0.5:
                break
            time.sleep(PAUSE)
            self._send(call)
        return call

    def _ask(self, request: Request, *, key: str | None = None) -> Call:
        return self._send(Call(phase=self._phase, user_id=self.user_id, request=request, key=key))

    def _send(self, call: Call) -> Call:
        attempt = self._history.send(call, self._api)
        if attempt.outcome in (Outcome.UNKNOWN, Outcome.NOT_SENT):
            time.sleep(PAUSE)
        return call

    def _visit(self, call: Call) -> Data:
        """Return the customer's visit by this answer; the token in it is used from now on."""
        if call.outcome is not Outcome.DONE:
            return {}
        self._api.queue_token = call.data["token"]
        return call.data

    def _note_admission(self, call: Call) -> None:
        if call.refusal in NOT_ADMITTED:
            self._is_admitted = False
