"""While rows are locked nothing leaves the process and nothing sleeps: a whole sale is played with every socket watched."""

import socket
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any

import httpx
import pytest
from django.db import connection, transaction

from apps.concerts.models import Performance
from apps.concerts.services import rebuild_ranking
from apps.core.transactions import run_in_transaction
from apps.outbox.draining import drain
from apps.outbox.events import CONSUMERS
from apps.outbox.models import EventDelivery
from apps.payments.services import adjust_wallet
from apps.queue import services as queue
from apps.reservations.services import expire_holds
from concert_project.celery import app
from concert_project.schedule import BEAT_SCHEDULE
from tests.factories.accounts import PASSWORD, CustomerFactory
from tests.factories.concerts import PerformanceFactory, block_seats, unblock_seats
from tests.factories.reservations import overdue_hold
from tests.factories.visitors import Visitor
from tests.outbox.deliveries import make_due

pytestmark = pytest.mark.django_db(transaction=True)

# Everything that Python code sends or receives goes through these; the driver of PostgreSQL is in C and does not.
CALLS = ("connect", "send", "sendall", "recv", "recv_into")


# A session that has locked or written a row has a transaction number; one that only reads has none.
LOCKED = """
SELECT pg_current_xact_id_if_assigned() IS NOT NULL
    OR EXISTS (SELECT FROM pg_locks WHERE pid = pg_backend_pid() AND locktype = 'advisory')
"""


def holds_locks() -> bool:
    with connection.cursor() as cursor:
        cursor.execute(LOCKED)
        return bool(cursor.fetchone()[0])


class Watch:
    def __init__(self) -> None:
        self.calls = 0
        self.while_locked: list[str] = []

    def around(self, name: str, original: Callable[..., Any]) -> Callable[..., Any]:
        def watched(*args: Any, **kwargs: Any) -> Any:
            self.calls += 1
            if connection.in_atomic_block and holds_locks():
                self.while_locked.append(name)
            return original(*args, **kwargs)

        return watched


@pytest.fixture
def watch(monkeypatch) -> Watch:
    watch = Watch()
    for name in CALLS:
        monkeypatch.setattr(socket.socket, name, watch.around(name, getattr(socket.socket, name)))
    monkeypatch.setattr(time, "sleep", watch.around("sleep", time.sleep))
    return watch


@pytest.fixture
def performance() -> Performance:
    return PerformanceFactory(seats=9, concert__seats_per_customer=6)


def answered(response: Any, status: int) -> Any:
    assert response.status_code == status, response.content
    return response.json()["data"]


def test_customers_calls_send_nothing(watch, performance):
    seat_ids = list(performance.seats.order_by("pk").values_list("pk", flat=True))
    overdue_hold(CustomerFactory(), list(performance.seats.filter(pk=seat_ids[2])))
    visitor = Visitor(CustomerFactory(password=PASSWORD))
    login = {"email": visitor.customer.email, "password": PASSWORD}
    here = f"/performances/{performance.pk}"

    answered(visitor.post("/accounts/register", login | {"email": "n@e.org", "name": "N"}), 201)
    answered(visitor.post("/accounts/login", login), 200)
    visitor.join(performance.concert_id)
    queue.admit_visitors()
    answered(visitor.get("/queue/tokens/me"), 200)
    for path in (f"{here}/seats", f"{here}/seat-map", f"{here}/availability", "/concerts/popular"):
        assert visitor.get(path).status_code == 200
    answered(visitor.post("/balance/charges", {"amount": 300_000}, key="c"), 201)

    some = {"performance_id": performance.pk, "seat_ids": seat_ids[2:0:-1]}
    held = answered(visitor.post("/holds", some, key="h"), 201)
    answered(visitor.delete(f"/holds/{held['hold_id']}"), 200)
    answered(visitor.post("/holds", some), 201)
    answered(visitor.post("/holds", some), 409)
    best = {"performance_id": performance.pk, "quantity": 2}
    held = answered(visitor.post("/holds/best-available", best, key="b"), 201)
    answered(visitor.post(f"/holds/{held['hold_id']}/extend", key="l"), 200)
    sold = answered(visitor.post("/reservations", {"hold_id": held["hold_id"]}, key="r"), 201)
    answered(visitor.post("/reservations", {"hold_id": held["hold_id"]}, key="r"), 201)
    answered(visitor.post("/reservations", {"hold_id": held["hold_id"]}, key="s"), 409)
    cancel = f"/reservations/{sold['reservation_id']}/cancel"
    answered(visitor.post(cancel, key="x"), 200)
    answered(visitor.post(cancel, key="y"), 409)
    answered(visitor.delete("/queue/tokens/me"), 200)

    assert watch.calls > 50
    assert watch.while_locked == []


@pytest.mark.usefixtures("sold")
class TestWhatComesAfter:
    @pytest.fixture
    def sold(self, performance) -> None:
        visitor = Visitor(CustomerFactory())
        visitor.join(performance.concert_id)
        queue.admit_visitors()
        answered(visitor.post("/balance/charges", {"amount": 50_000}, key="c"), 201)
        best = {"performance_id": performance.pk, "quantity": 1}
        held = answered(visitor.post("/holds/best-available", best), 201)
        answered(visitor.post("/reservations", {"hold_id": held["hold_id"]}, key="r"), 201)

    def test_effects_of_events_run_unlocked(self, watch, settings):
        settings.WEBHOOK_URL = "http://127.0.0.1:1/"
        rebuild_ranking()

        for consumer in CONSUMERS.values():
            drain(consumer=consumer.name)

        done = set(EventDelivery.objects.filter(attempts=1).values_list("consumer", "status"))
        assert done == {("ranking", "DONE"), ("token_expiry", "DONE"), ("external_sync", "PENDING")}
        assert watch.calls > 5
        assert watch.while_locked == []

    @pytest.mark.parametrize("entry", BEAT_SCHEDULE.values(), ids=BEAT_SCHEDULE)
    def test_beat_locks_nothing_meanwhile(self, watch, performance, entry):
        overdue_hold(CustomerFactory(), list(performance.seats.order_by("pk")[:1]))
        make_due()
        app.loader.import_default_modules()

        app.tasks[entry["task"]]()

        assert watch.while_locked == []


def test_staff_lock_nothing_meanwhile(watch, performance):
    staff = CustomerFactory(staff=True)
    seat_ids = list(performance.seats.values_list("pk", flat=True))
    room = {"concert_id": performance.concert_id, "staff_id": staff.pk}
    visitor = Visitor(CustomerFactory())
    visitor.join(performance.concert_id)
    adjust = partial(adjust_wallet, customer_id=staff.pk, amount=5, reason="x", staff_id=staff.pk)

    run_in_transaction(adjust)
    block_seats(seat_ids=seat_ids)
    unblock_seats(seat_ids=seat_ids)
    queue.set_capacity(capacity=3, **room)
    run_in_transaction(partial(queue.edit_policy, capacity=4, **room))
    queue.pause_room(**room)
    queue.resume_room(**room)
    queue.remove_visitor(customer_id=visitor.customer.pk, **room)
    queue.close_room(**room)
    queue.open_room(**room)
    expire_holds()

    assert watch.calls > 20
    assert watch.while_locked == []


class TestTheWatch:
    """Twins: what must not happen would be seen."""

    @pytest.mark.parametrize(
        "call",
        [
            lambda store: store.ping(),
            lambda store: time.sleep(0),
            lambda store: app.send_task("tests.nothing"),
            lambda store: httpx.get("http://127.0.0.1:1/", timeout=1),
        ],
        ids=["store", "sleep", "task", "http"],
    )
    def test_sees(self, watch, store, performance, call):
        with transaction.atomic():
            list(Performance.objects.all())
            with suppress(httpx.ConnectError):
                call(store)
            assert watch.while_locked == []

            list(Performance.objects.lock())
            with suppress(httpx.ConnectError):
                call(store)

        assert watch.while_locked
