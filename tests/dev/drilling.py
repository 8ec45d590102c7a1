"""Customers of the drill at the real API, called in this process, and answers that get lost on the way."""

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
from dev.drill.history import History
from tests.factories.payments import WalletFactory


class Wire(httpx.BaseTransport):
    """To the API. `breaks` says what becomes of the next calls: "before" or "after" they have arrived, or nothing."""

    def __init__(self):
        self.breaks = []
        self.api = Client(raise_request_exception=False)

    def handle_request(self, request):
        breaks = self.breaks.pop(0) if self.breaks else None
        if breaks == "before":
            raise httpx.ReadError("the process is gone")
        if breaks == "refused":
            raise httpx.ConnectError("no server listens")
        answer = self.api.generic(
            request.method,
            request.url.raw_path.decode(),
            request.read(),
            content_type="application/json",
            headers=dict(request.headers),
        )
        if breaks == "after":
            raise httpx.RemoteProtocolError("the answer is lost")
        return httpx.Response(
            answer.status_code, headers=dict(answer.headers), content=answer.content
        )


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
