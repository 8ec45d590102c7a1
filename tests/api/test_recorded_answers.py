"""The contract byte for byte: a sale from registration to cancellation, and refusals on the way, answered as recorded.

`recorded_answers.txt` was written before the hot paths were rebuilt. Ids, times, tokens and codes are replaced by names in the order
of their appearance; everything else of status, headers and body counts. To record anew after a change of the contract:

    RECORD_ANSWERS=1 .venv/bin/python -m pytest tests/api/test_recorded_answers.py
"""

import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.conf import LazySettings

from apps.accounts.models import User
from apps.core.caching import clear_process_caches
from apps.queue.services import admit_now, close_room, pause_room
from concert_project.wsgi import application
from tests.api.wsgi import Answer, call
from tests.factories.accounts import PASSWORD, CustomerFactory
from tests.factories.concerts import ConcertFactory, PerformanceFactory

pytestmark = pytest.mark.django_db(transaction=True, reset_sequences=True)

RECORDED = Path(__file__).with_name("recorded_answers.txt")
KOREAN = {"Accept-Language": "ko"}
PROBLEM = {"Accept": "application/problem+json"}

# What is different in each run, and how it is called instead.
CHANGING = (
    ("uuid", r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"),
    ("time", r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z"),
    ("queue-token", r"q1\.k1\.[\w-]+\.[\w-]+"),
    ("access-token", r'(?<="access_token":")[\w-]+'),
    ("code", r'(?<="code":")[A-Z2-7]{16}(?=")'),
    ("order", r'(?<="order_number":")[2-9A-Z]{4}-[2-9A-Z]{4}(?=")'),
    ("etag", r'(?<=etag: )"[0-9a-f]+"|(?<=If_None_Match=)"[0-9a-f]+"'),
    ("version", r'(?<="version":")[0-9a-f]{16}'),
    ("id", r'(?<=_id":)\d+(?=[,}])'),
    ("resets", r"(?<=;t=)\d+"),
    ("advice", r"(?<=poll_after_seconds\":)36\d\d|(?<=retry-after: )(?:36\d|5|6)\d"),
    ("length", r"(?<=content-length: )\d{3,4}(?=\n[^=]*image/svg)"),
    ("drawing", r'(?<=stroke="#000" d=")[^"]+'),
)
# Two of these may be equal by chance.
UNNUMBERED = {"resets", "advice", "length", "drawing"}


class Recorder:
    """A customer at the API who writes down what was answered."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.headers: dict[str, str] = {}
        self.last: Answer
        self._names: dict[str, str] = {}

    def __call__(self, method: str, path: str, body: Any = None, **headers: str) -> Any:
        sent = {"X-Request-ID": f"call-{len(self.lines)}", **self.headers}
        sent |= {name.replace("_", "-"): value for name, value in headers.items()}
        content = b""
        if body is not None:
            content = body if isinstance(body, bytes) else json.dumps(body).encode()
            sent.setdefault("Content-Type", "application/json")
        clear_process_caches()  # or an answer may be a second old
        answer = self.last = call(application, method, path, headers=sent, body=content)
        self._note(method, path, headers, answer)
        return json.loads(answer.body).get("data") if answer.body[:1] == b"{" else None

    def _note(self, method: str, path: str, headers: dict[str, str], answer: Answer) -> None:
        kept = [f"{name}: {_in_order(name, value)}" for name, value in sorted(answer.headers)]
        text = "\n".join([f"{answer.status}", *kept, "", answer.body.decode()])
        asked = " ".join([method, path, *(f"{name}={value}" for name, value in headers.items())])
        self.lines.append(f"=== {self._named(asked)}\n{self._named(text)}\n")

    def _named(self, text: str) -> str:
        for kind, pattern in CHANGING:

            def name(found: re.Match[str], kind: str = kind) -> str:
                if kind in UNNUMBERED:
                    return f"<{kind}>"
                number = sum(given.startswith(f"<{kind} ") for given in self._names.values()) + 1
                return self._names.setdefault(f"{kind} {found[0]}", f"<{kind} {number}>")

            text = re.sub(pattern, name, text)
        return text


def _in_order(name: str, value: str) -> str:
    """Sort the directives of a policy: their order means nothing."""
    return "; ".join(sorted(value.split("; "))) if name == "content-security-policy" else value


def sale() -> Iterator[str]:
    """Call everything that a customer meets, in one order, and yield what was answered."""
    performance = PerformanceFactory(
        seats=4, concert__title="Night Train", concert__seats_per_customer=2
    )
    other = PerformanceFactory(seats=1, concert__title="Day Train")
    upcoming = ConcertFactory(title="Soon", upcoming=True)
    closed = ConcertFactory(title="Gone", closed=True)
    hidden = ConcertFactory(title="Hidden", is_published=False)
    paused = ConcertFactory(title="Paused")
    concert_id, seats = performance.concert_id, list(performance.seats.order_by("pk"))
    api = "/api/v1"
    me = Recorder()
    body: Any
    account = {"email": "mina@example.com", "password": PASSWORD, "name": "Mina"}

    # Accounts.
    for body in (account, account, {"email": "x", "password": "1", "name": ""}):
        me("POST", f"{api}/accounts/register", body)
    for body in (account | {"password": "wrong"}, b"{"):
        me("POST", f"{api}/accounts/login", body)
    login = me("POST", f"{api}/accounts/login", account)
    me("GET", f"{api}/accounts/me")
    me("GET", f"{api}/accounts/me", Authorization="Bearer nonsense")
    me("GET", f"{api}/accounts/me", Authorization="Basic nonsense", **KOREAN)
    me.headers["Authorization"] = f"Bearer {login['access_token']}"
    me("GET", f"{api}/accounts/me")

    # Public reads.
    for path in ("", "?page=0", f"/{concert_id}", f"/{concert_id}/", "/999999"):
        me("GET", f"{api}/concerts{path}")
    for path in ("/popular?window=day", "/fastest-sold-out"):
        me("GET", f"{api}/concerts{path}")
    me("HEAD", f"{api}/concerts/{concert_id}")
    me("OPTIONS", f"{api}/concerts")
    me("GET", f"{api}/nothing")

    # The waiting room.
    board = f"{api}/queue/concerts/{concert_id}"
    me("HEAD", board)
    me("GET", board)
    etag = dict(me.last.headers)["etag"]
    me("GET", board, If_None_Match=etag)
    me("GET", f"{api}/queue/concerts/999999")
    for body in ({"concert_id": "1"}, {"concert_id": 2**64}, [], b"\xff"):
        me("POST", f"{api}/queue/tokens", body)
    for pk in (999999, hidden.pk, closed.pk, upcoming.pk):
        me("POST", f"{api}/queue/tokens", {"concert_id": pk})
    pause_room(concert_id=paused.pk, staff_id=None)
    me("POST", f"{api}/queue/tokens", {"concert_id": paused.pk})
    me("GET", f"{api}/queue/concerts/{paused.pk}")
    me("GET", f"{api}/queue/tokens/me")
    me("GET", f"{api}/queue/tokens/me", Queue_Token="q1.k1.x.y", **KOREAN)
    me("GET", f"{api}/queue/tokens/me", Queue_Token="nonsense", **PROBLEM)
    place = me("POST", f"{api}/queue/tokens", {"concert_id": concert_id}, **KOREAN)
    me("GET", f"{api}/performances/{performance.pk}/seats")
    me("GET", f"{api}/performances/{performance.pk}/seats", Queue_Token=place["token"])
    me("POST", f"{api}/queue/tokens", {"concert_id": concert_id})
    me("GET", f"{api}/queue/tokens/me", Queue_Token=place["token"])
    admit_now(concert_id)
    me.headers["Queue-Token"] = place["token"]
    me("GET", f"{api}/queue/tokens/me")
    me("GET", f"{api}/queue/tokens/me", **KOREAN)
    me("HEAD", f"{api}/queue/tokens/me")
    me("PUT", f"{api}/queue/tokens/me", {})

    # Seats.
    here = f"{api}/performances/{performance.pk}"
    me("GET", f"{api}/concerts/{concert_id}/performances")
    me("GET", f"{here}/seats")
    me("GET", f"{here}/seats?section=2", **KOREAN)
    me("GET", f"{here}/seat-map")
    free = me("GET", f"{here}/availability")
    me("GET", f"{here}/availability", If_None_Match=f'"{free["version"]}"')
    me("GET", f"{api}/performances/{other.pk}/availability")
    me("GET", f"{api}/performances/999999/seats")

    # Holds.
    hold = {"performance_id": performance.pk, "seat_ids": [seats[0].pk]}
    for seat_ids in ([], [seats[0].pk] * 2, [999_999]):
        me("POST", f"{api}/holds", hold | {"seat_ids": seat_ids})
    me("POST", f"{api}/holds", hold | {"performance_id": 999_999})
    me("POST", f"{api}/holds", hold | {"seat_ids": [seat.pk for seat in seats[:3]]})
    held = me("POST", f"{api}/holds", hold, Idempotency_Key="hold-1")
    me("POST", f"{api}/holds", hold, Idempotency_Key="hold-1")
    me("POST", f"{api}/holds", hold | {"seat_ids": [seats[1].pk]}, Idempotency_Key="hold-1")
    me("POST", f"{api}/holds", hold)
    me("GET", f"{api}/holds/{held['hold_id']}")
    best = {"performance_id": performance.pk, "quantity": 1, "grade": "R"}
    second = me("POST", f"{api}/holds/best-available", best)
    me("POST", f"{api}/holds/best-available", best)
    me("POST", f"{api}/holds/best-available", best | {"grade": "VIP"})
    me("DELETE", f"{api}/holds/{second['hold_id']}", **KOREAN)
    me("DELETE", f"{api}/holds/{second['hold_id']}")
    me("POST", f"{api}/holds/best-available", best | {"grade": "VIP"})
    me("GET", f"{api}/holds/00000000-0000-4000-8000-000000000000")

    # Money and payment.
    pay = {"hold_id": held["hold_id"]}
    me("GET", f"{api}/balance")
    me("POST", f"{api}/reservations", pay)
    me("POST", f"{api}/reservations", pay, Idempotency_Key="pay-1")
    me("POST", f"{api}/balance/charges", {"amount": 0}, Idempotency_Key="charge-0")
    me("POST", f"{api}/balance/charges", {"amount": 100_000})
    for amount in (100_000, 100_000, 100_001):
        me("POST", f"{api}/balance/charges", {"amount": amount}, Idempotency_Key="charge-1")
    unknown = {"hold_id": "00000000-0000-4000-8000-000000000000"}
    me("POST", f"{api}/reservations", unknown, Idempotency_Key="pay-0")
    me("POST", f"{api}/reservations", pay, Idempotency_Key="pay-1", Queue_Token="nonsense")
    sold = me("POST", f"{api}/reservations", pay, Idempotency_Key="pay-1")
    me("POST", f"{api}/reservations", pay, Idempotency_Key="pay-1", **KOREAN)
    me("POST", f"{api}/reservations", unknown, Idempotency_Key="pay-1")
    me("POST", f"{api}/reservations", pay, Idempotency_Key="pay-2", **KOREAN)
    for path in (
        "balance",
        "balance/transactions",
        "reservations",
        "reservations?status=CANCELLED",
    ):
        me("GET", f"{api}/{path}")
    me("GET", f"{api}/reservations/{sold['reservation_id']}", **KOREAN)
    me("GET", f"{api}/tickets/{sold['tickets'][0]['ticket_id']}/qr.svg")
    me("POST", f"{api}/holds", hold)

    # Another customer.
    rival = Recorder()
    customer: User = CustomerFactory(email="rival@example.com", password=PASSWORD)
    login = rival("POST", f"{api}/accounts/login", {"email": customer.email, "password": PASSWORD})
    rival.headers["Authorization"] = f"Bearer {login['access_token']}"
    rival("GET", f"{api}/queue/tokens/me", Queue_Token=me.headers["Queue-Token"])
    rival("GET", f"{here}/seats", Queue_Token=me.headers["Queue-Token"])
    rival("GET", f"{api}/reservations/{sold['reservation_id']}")
    place = rival("POST", f"{api}/queue/tokens", {"concert_id": concert_id})
    rival.headers["Queue-Token"] = place["token"]
    admit_now(concert_id)
    rival("POST", f"{api}/holds", hold)
    taken = rival("POST", f"{api}/holds", hold | {"seat_ids": [seats[1].pk]})
    me("POST", f"{api}/holds", hold | {"seat_ids": [seats[1].pk]})
    me("GET", f"{here}/availability")
    me("DELETE", f"{api}/holds/{taken['hold_id']}")

    # Cancelling, leaving, logging out.
    cancel = f"{api}/reservations/{sold['reservation_id']}/cancel"
    me("POST", cancel)
    me("POST", cancel, Idempotency_Key="cancel-1")
    me("POST", cancel, Idempotency_Key="cancel-1")
    me("POST", cancel, Idempotency_Key="cancel-2", **KOREAN)
    me("DELETE", f"{api}/queue/tokens/me", **KOREAN)
    me("DELETE", f"{api}/queue/tokens/me")
    me("GET", f"{api}/queue/tokens/me")
    me("POST", f"{api}/holds", hold)
    close_room(concert_id=concert_id, staff_id=None)
    rival("GET", f"{api}/queue/tokens/me")
    rival("POST", f"{api}/queue/tokens", {"concert_id": concert_id})
    for _ in range(2):
        me("POST", f"{api}/accounts/logout")
    me("POST", f"{api}/queue/tokens", {"concert_id": concert_id})
    for _ in range(11):
        me("POST", f"{api}/accounts/login", {"email": "a@b.example", "password": "x"})

    yield from me.lines
    yield from rival.lines


def test_answers_are_those_recorded(settings: LazySettings) -> None:
    settings.RATE_LIMIT_ENABLED = True
    settings.LOGIN_WAITS = (3_630, 3_630)  # told in minutes, which no slow machine changes

    answers = "\n".join(sale())

    if os.environ.get("RECORD_ANSWERS"):
        RECORDED.write_text(answers)
    assert answers.split("\n") == RECORDED.read_text().split("\n")
