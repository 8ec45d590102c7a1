"""Customers of the drill at the real API, called in this process, and answers that get lost on the way."""

import random
import threading

import httpx
from django.db.models.functions import Now
from django.test import Client

from apps.accounts.services import issue_access_tokens
from apps.outbox.draining import drain
from apps.queue.models import WaitingRoom
from apps.queue.services import admit_visitors
from dev import api
from dev.drill.customers import Customer
from dev.drill.desk import Desk
from dev.drill.history import History
from dev.drill.house import category_nobody_sells, employ
from dev.drill.staff import Clerk
from tests.factories.payments import WalletFactory


def acts(request):
    """Tell whether this is a form of staff that does something: not one that is shown what it would do, nor a login."""
    path = request.url.path
    is_form = request.method == "POST" and path.startswith("/admin/") and "login" not in path
    return is_form and ("/refund/" not in path or b"_planned=" in request.read())


class Wire(httpx.BaseTransport):
    """To the API and the administration. `breaks` says what becomes of the next calls: "before" or "after" they have arrived, or nothing.

    `breaks_form` says it of the next form of staff that acts.
    """

    def __init__(self):
        self.breaks = []
        self.breaks_form = None
        self.api = Client(raise_request_exception=False, enforce_csrf_checks=True)

    def handle_request(self, request):
        breaks = self.breaks.pop(0) if self.breaks else None
        if self.breaks_form and acts(request):
            breaks, self.breaks_form = self.breaks_form, None
        if breaks == "before":
            raise httpx.ReadError("the process is gone")
        if breaks == "refused":
            raise httpx.ConnectError("no server listens")
        answer = self.api.generic(
            request.method,
            request.url.raw_path.decode(),
            request.read(),
            content_type=request.headers.get("Content-Type", "application/json"),
            headers=dict(request.headers),
        )
        if breaks == "after":
            raise httpx.RemoteProtocolError("the answer is lost")
        cookies = (("Set-Cookie", cookie.OutputString()) for cookie in answer.cookies.values())
        return httpx.Response(
            answer.status_code, headers=[*answer.headers.items(), *cookies], content=answer.content
        )


def staff_at(hall, history, *, accounts):
    """Return the clerk of a hall, and the wire to the administration."""
    [(user, password)] = employ(1)
    wire = Wire()
    client = httpx.Client(base_url="http://testserver", transport=wire)
    room, _ = WaitingRoom.objects.get_or_create(concert=hall.concert)
    clerk = Clerk(
        user_id=user.pk,
        desk=Desk(client, email=user.email, password=password),
        history=history,
        room_id=room.pk,
        accounts=accounts,
        aside=category_nobody_sells(),
    )
    clerk.enter("a-fault", seed=1)
    clerk.dice = random.Random(1)  # the same choices, whichever id the account has
    return clerk, wire


class Shopper(Customer):
    """A customer with a million won, as the drill prepares them."""

    def __init__(self, concert_id):
        customer = WalletFactory(balance=1_000_000).customer
        [login] = issue_access_tokens(user_ids=[customer.pk])
        self.wire = Wire()
        self.history = History()
        super().__init__(
            user_id=customer.pk,
            access_token=login.token,
            concert_id=concert_id,
            client=httpx.Client(base_url="http://testserver", transport=self.wire),
            history=self.history,
        )
        self.enter("a-fault", seed=1)

    def come_in(self):
        at_once = threading.Event()
        at_once.set()
        self.be_admitted(at_once)
        WaitingRoom.objects.update(next_tick_at=Now())
        admit_visitors()
        assert self.be_admitted(at_once)

    def come_again(self):
        """Queue anew after a payment, which has ended the visit."""
        drain(consumer="token_expiry")
        self._is_admitted = False
        self.come_in()

    def charge(self, amount=10_000, *, key="charge-1"):
        return self._ask(api.charge(amount), key=key)

    def hold(self, seats, *, key="hold-1"):
        return self._ask(api.hold(seats[0].performance_id, [seat.pk for seat in seats]), key=key)

    def release(self, hold):
        return self._ask(api.release(hold.data["hold_id"]))

    def leave(self):
        return self._ask(api.LEAVE)

    def pay(self, hold, *, key="pay-1"):
        return self._ask(api.pay(hold.data["hold_id"]), key=key)

    def cancel(self, paid, *, key="cancel-1"):
        return self._ask(api.cancel(paid.data["reservation_id"]), key=key)
