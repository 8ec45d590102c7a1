"""Members of staff who sell at the counter and mend orders while customers shop. Importing this needs Django to be set up."""

import json
import random
import re
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from django.urls import reverse

from apps.payments.counter import PaidBy
from dev.api import Kind
from dev.drill.acts import BUSY, Act, Form, What, has_exceptions, made_by
from dev.drill.customers import LOOKED_AT, PAUSE, RETRIES
from dev.drill.desk import Desk, FormOnPage, form_on
from dev.drill.history import Call, History, Outcome
from dev.drill.house import Hall

REMEMBERED = 20  # calls of customers, the latest ones, one of whom comes to the counter
TIDY_SECONDS = 30.0
CORRECTIONS = [amount for amount in range(-900, 1_000, 100) if amount]  # won
EXTRA = 1_000  # won


@dataclass(frozen=True)
class Order:
    """A sale that somebody comes to the counter with."""

    reservation_id: str
    seats: tuple[int, ...]
    customer_id: int | None


class Clerk:
    """One account of staff. What it does next is drawn from `dice`; what it did is in `history`.

    `number` of `clerks` says which seats are its own to paint, `aside` is the category for them. `accounts` are addresses of customers by id.
    """

    def __init__(
        self,
        *,
        user_id: int,
        desk: Desk,
        history: History,
        room_id: int,
        accounts: Mapping[int, str],
        aside: int,
        number: int = 0,
        clerks: int = 1,
    ) -> None:
        self.user_id = user_id
        self.dice = random.Random(user_id)
        self.desk = desk
        self._history = history
        self._room_id = room_id
        self._accounts = accounts
        self._aside = aside
        self._own = slice(number, None, clerks)
        self._phase = ""
        self._acts = 0
        self._sold: list[Order] = []
        # What is to be undone: seats that may be kept back, with their performance, and a room that may be paused.
        self._kept: list[tuple[int, tuple[int, ...]]] = []
        self._has_paused = False

    def close(self) -> None:
        self.desk.http.close()

    def enter(self, phase: str, seed: int) -> None:
        """Let what follows belong to `phase`."""
        self._phase = phase
        self.dice = random.Random(f"{seed} {self.user_id}")
        self._sold = []

    # --- What staff do ----------------------------------------------------------------------------

    def work(self, halls: Sequence[Hall], stop: threading.Event) -> None:
        """Go on selling and mending until `stop`, and leave everything as customers need it."""
        while not stop.is_set():
            if self._has_paused:
                self.resume()
            [what] = self.dice.choices(list(What), weights=[_OFTEN[what] for what in What])
            match what:
                case What.SELL:
                    self.sell(self.dice.choice(halls))
                case What.GIVE_BACK | What.CANCEL:
                    self.give_back(what)
                case What.MOVE:
                    self.move(halls)
                case What.KEEP:
                    hall = self.dice.choice(halls)
                    self.keep(hall, self.dice.sample(hall.painted[self._own], k=3))
                case What.OPEN:
                    self.open_all()
                case What.RELEASE:
                    self.release()
                case What.PAUSE:
                    self.pause()
                case What.CORRECT:
                    self.correct()
            stop.wait(PAUSE * self.dice.random())
        self.tidy()

    def tidy(self) -> None:
        """Leave the room open and no painted seat behind, also where an act of before was settled only now."""
        give_up_at = time.monotonic() + TIDY_SECONDS
        while (self._has_paused or self._kept) and time.monotonic() < give_up_at:
            if self._has_paused:
                self.resume()
            self.open_all()

    def repeat(self, call: Call) -> None:
        """Send a form again as it was."""
        self._send(call)

    def sell(self, hall: Hall) -> None:
        """Sell one seat or two that are free or kept back, in any way, to a customer or a walk-up."""
        is_kept = self.dice.random() < 0.5
        seats = self._free(hall, self.dice.choice((1, 2)), is_kept=is_kept)
        paid_by = self.dice.choice(list(PaidBy))
        customer_id = None
        buyer = {"buyer": "WALK_UP", "name": f"Walk-up {self._acts}"}
        if paid_by == PaidBy.WALLET or self.dice.random() < 0.3:
            customer_id = self.dice.choice(list(self._accounts))
            buyer = {"buyer": "ACCOUNT", "account": self._accounts[customer_id]}
        if not seats:
            return
        page = _page("reservations_sell", hall.performance_id, seat=list(seats))
        if form := self._load(page):
            call = self._act(
                page,
                form.values | buyer | {"paid_by": paid_by.value},
                What.SELL,
                subject=str(hall.performance_id),
                customer_id=customer_id,
                seats=seats,
                amount=_won(form.values["price"]),
                paid_by=paid_by.value,
            )
            self._remember(call)

    def give_back(self, what: What) -> None:
        """Cancel one seat of an order or all that are left, or refund a little and leave the seats."""
        order = self._order()
        is_money = self.dice.random() < 0.3
        if order is None:
            return
        page = _page("reservations_reservation_refund", order.reservation_id)
        form = self._load(page)
        left = [int(seat_id) for seat_id in form.choices.get("seats", ())] if form else []
        if form is None or not left:
            return
        seats = tuple(left) if what is What.CANCEL else (self.dice.choice(left),)
        amount = 0
        if what is What.GIVE_BACK and is_money:
            seats, amount = (), EXTRA
        reason = self._next_reason()
        chosen = {"seats": list(map(str, seats)), "extra": str(amount or ""), "reason": reason}
        if shown := self._load(page, form.values | chosen):
            self._act(
                page,
                shown.values,
                what,
                reason=reason,
                subject=order.reservation_id,
                customer_id=order.customer_id,
                seats=seats,
                amount=amount,
            )

    def move(self, halls: Sequence[Hall]) -> None:
        """Move somebody to as many other seats, of the same date or of the other one."""
        order = self._order()
        hall = self.dice.choice(halls)
        paid_by = self.dice.choice((PaidBy.CASH, PaidBy.CARD, PaidBy.HOUSE))
        if order is None:
            return
        seats = self._free(hall, len(order.seats), is_kept=False)
        if len(seats) != len(order.seats):
            return
        page = _page(
            "reservations_move",
            order.reservation_id,
            performance=[hall.performance_id],
            seat=list(seats),
        )
        if form := self._load(page):
            call = self._act(
                page,
                form.values | {"paid_by": paid_by.value},
                What.MOVE,
                subject=order.reservation_id,
                customer_id=order.customer_id,
                seats=seats,
                amount=_won(form.values["difference"]),
                paid_by=paid_by.value,
            )
            self._remember(call)

    def keep(self, hall: Hall, seats: Sequence[int]) -> Call | None:
        """Keep seats back."""
        category = f"category:{self._aside}"
        return self._paint(What.KEEP, hall.performance_id, tuple(seats), category)

    def open_all(self) -> None:
        """Put what was kept back on sale again, but for what was sold or held before. A seat that a customer asks for is left for the next time."""
        kept, self._kept = self._kept, []
        for performance_id, seats in kept:
            call = self._paint(What.OPEN, performance_id, seats, "open")
            if (
                call is None
                or call.outcome is not Outcome.DONE
                or has_exceptions(call, because=BUSY)
            ):
                self._kept.append((performance_id, seats))

    def release(self) -> None:
        """Take the seats of a customer who does not pay."""
        holds = self._latest(Kind.HOLD)
        if not holds:
            return
        held = self.dice.choice(holds)
        page = _page("reservations_release", held.data["hold_id"])
        if form := self._load(page):
            self._act(
                page,
                form.values,
                What.RELEASE,
                subject=held.data["hold_id"],
                customer_id=held.user_id,
            )

    def pause(self) -> Call | None:
        return self._steer(What.PAUSE)

    def resume(self) -> Call | None:
        call = self._steer(What.RESUME)
        if call and call.outcome is Outcome.DONE:
            self._has_paused = False
        return call

    def correct(self) -> None:
        """Correct the balance of a customer by a little."""
        customer_id = self.dice.choice(list(self._accounts))
        amount = self.dice.choice(CORRECTIONS)
        page = _page("payments_ledgertransaction_add", customer=[customer_id])
        if form := self._load(page):
            values = {"customer": str(customer_id), "amount": str(amount), "_save": "Save"}
            self._act(
                page,
                form.values | values,
                What.CORRECT,
                customer_id=customer_id,
                amount=amount,
            )

    def _steer(self, what: What) -> Call | None:
        page = _page("queue_waitingroom_steer", self._room_id, what.value)
        form = self._load(page)
        return self._act(page, form.values, what, subject=str(self._room_id)) if form else None

    def _paint(
        self, what: What, performance_id: int, seats: tuple[int, ...], to: str
    ) -> Call | None:
        page = _page("concerts_performance_paint", performance_id)
        form = self._load(page)
        if form is None:
            return None
        values = {"seats": ",".join(map(str, seats)), "to": to}
        return self._act(page, form.values | values, what, subject=str(performance_id), seats=seats)

    # --- Who comes to the counter, and for what ---------------------------------------------------

    def _order(self) -> Order | None:
        """Return what was sold here, or to a customer a moment ago; what has become of it since is for the page to say."""
        orders = [
            Order(
                call.data["reservation_id"],
                tuple(ticket["seat_id"] for ticket in call.data["tickets"]),
                call.user_id,
            )
            for call in self._latest(Kind.CONFIRM)
        ]
        own = self._sold[-REMEMBERED:]
        chosen = own if own and (not orders or self.dice.random() < 0.5) else orders
        return self.dice.choice(chosen) if chosen else None

    def _latest(self, kind: Kind) -> list[Call]:
        calls = self._history.latest(kind, self._phase, REMEMBERED)
        return [call for call in calls if call.outcome is Outcome.DONE]

    def _remember(self, call: Call) -> None:
        assert isinstance(call.request, Act)
        if call.outcome is Outcome.DONE and (made := made_by(call)):
            self._sold.append(Order(str(made), call.request.seats, call.request.customer_id))

    def _free(self, hall: Hall, count: int, *, is_kept: bool) -> tuple[int, ...]:
        """Return some of the first free seats, of those that are for the public or of those that are kept back."""
        page = _page("concerts_performance_painted_seats", hall.performance_id)
        call = self._ask(Form("GET", page))
        if call.outcome is not Outcome.DONE:
            return ()
        painted = json.loads(call.data["page"])["painted"]
        call.forget_data()
        seats = zip(hall.seat_ids, painted["states"], painted["inSeats"], strict=True)
        free = [
            seat_id
            for seat_id, letter, category in seats
            if letter == "A"
            and bool(category) == is_kept
            and (not is_kept or seat_id in hall.for_clerks)
        ]
        return tuple(self.dice.sample(free[:LOOKED_AT], k=min(count, len(free))))

    # --- How forms are sent -----------------------------------------------------------------------

    def _load(self, page: str, values: Mapping[str, Any] | None = None) -> FormOnPage | None:
        """Load a form, or send it to see what it would do; None if the page offers none."""
        form = Form("POST" if values else "GET", page, values)
        call = self._ask(form)
        if call.outcome is not Outcome.DONE:
            return None
        found = form_on(call.data.get("page", ""))
        call.forget_data()
        return found

    def _act(
        self, page: str, values: Mapping[str, Any], what: What, *, reason: str = "", **about: Any
    ) -> Call:
        """Send a form with a reason of its own; half of the time try again when no answer comes."""
        reason = reason or self._next_reason()
        act = Act("POST", page, {**values, "reason": reason}, what=what, reason=reason, **about)
        call = self._ask(act, key=reason)
        for _ in range(RETRIES):
            if call.outcome is not Outcome.UNKNOWN or self.dice.random() < 0.5:
                break
            self.repeat(call)
        return call

    def _next_reason(self) -> str:
        self._acts += 1
        return f"drill:{self._phase}:{self.user_id}:{self._acts}"

    def _ask(self, request: Form, *, key: str | None = None) -> Call:
        call = Call(phase=self._phase, user_id=self.user_id, request=request, key=key)
        self._send(call)
        return call

    def _send(self, call: Call) -> None:
        act = call.request
        if isinstance(act, Act) and act.what is What.KEEP:
            self._kept.append((int(act.subject), act.seats))
        if isinstance(act, Act) and act.what is What.PAUSE:
            self._has_paused = True
        attempt = self._history.send(call, self.desk)
        if attempt.outcome in (Outcome.UNKNOWN, Outcome.NOT_SENT):
            time.sleep(PAUSE)


_OFTEN = {
    What.SELL: 6,
    What.GIVE_BACK: 5,
    What.CANCEL: 2,
    What.MOVE: 3,
    What.KEEP: 2,
    What.OPEN: 2,
    What.RELEASE: 1,
    What.PAUSE: 1,
    What.RESUME: 0,  # follows a pause
    What.CORRECT: 2,
}


def _page(name: str, *args: object, **query: Sequence[object]) -> str:
    url = reverse(f"admin:{name}", args=args)
    return f"{url}?{urlencode(query, doseq=True)}" if query else url


def _won(text: str) -> int:
    """Return an amount as a form prints it."""
    return int(re.sub(r"[^0-9-]", "", text.replace("\N{MINUS SIGN}", "-")))
