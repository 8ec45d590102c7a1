"""An answer is stored under customer, operation and key together, and given back for the same request only."""

import time
from types import SimpleNamespace

import pytest

from apps.api import idempotency
from apps.api.idempotency import StoredAnswer, idempotent, stored_answer
from apps.core.errors import IdempotencyKeyReused
from tests.factories.accounts import CustomerFactory

pytestmark = pytest.mark.django_db


@pytest.fixture
def first():
    return {
        "customer_id": CustomerFactory().pk,
        "operation": "payments.charge",
        "key": "k-1",
        "fingerprint": "f-1",
    }


@pytest.fixture
def others(first):
    """The same but for one part each."""
    return [
        first | {"customer_id": CustomerFactory().pk},
        first | {"operation": "reservations.hold"},
        first | {"key": "k-2"},
    ]


def call(asked, status=201, body=b"one", **options):
    return idempotent(**asked, effect=lambda: None, render=lambda _: (status, body), **options)


def test_is_that_of_the_call_that_had_the_effect(first, others):
    assert stored_answer(**first) is None
    assert call(first) == StoredAnswer(201, b"one", is_replay=False)

    assert stored_answer(**first) == StoredAnswer(201, b"one", is_replay=True)
    assert call(first, 500, b"never") == StoredAnswer(201, b"one", is_replay=True)
    assert [stored_answer(**other) for other in others] == [None] * 3


def test_of_each_call_is_its_own(first, others):
    for number, asked in enumerate([first, *others]):
        assert call(asked, 200 + number, b"%d" % number).is_replay is False

    for number, asked in enumerate([first, *others]):
        assert stored_answer(**asked) == StoredAnswer(200 + number, b"%d" % number, is_replay=True)


def test_is_refused_to_another_request(first):
    call(first)

    for ask in (lambda asked: stored_answer(**asked), call):
        with pytest.raises(IdempotencyKeyReused):
            ask(first | {"fingerprint": "f-2"})


def test_without_a_key_nothing_is_stored(first):
    had = []
    for _ in range(2):
        idempotent(
            **first | {"key": None},
            effect=lambda: had.append(1),
            render=lambda _: (201, b"one"),
        )

    assert had == [1, 1]
    assert stored_answer(**first) is None


def test_is_said_only_after_admission(first):
    admitted = []

    assert call(first, admit=lambda: admitted.append(1)).is_replay is False
    assert admitted == []
    assert call(first, admit=lambda: admitted.append(1)).is_replay is True
    assert admitted == [1]


@pytest.mark.django_db(transaction=True)
def test_of_a_call_under_way_is_waited_for(first, rival, monkeypatch):
    """It is looked for every tenth of a second; the other call ends without an answer."""
    waits, admitted = [], []
    with rival.cursor() as cursor:
        name = "{customer_id}\n{operation}\n{key}".format(**first)
        cursor.execute("SELECT pg_advisory_lock(hashtextextended(%s, 0))", [name])

        def sleep(seconds):
            waits.append(seconds)
            if len(waits) == 3:
                cursor.execute("SELECT pg_advisory_unlock_all()")

        clock = SimpleNamespace(monotonic=time.monotonic, sleep=sleep)
        monkeypatch.setattr(idempotency, "time", clock)
        answer = call(first, admit=lambda: admitted.append(1), wait_seconds=60)

    assert answer == StoredAnswer(201, b"one", is_replay=False)
    assert waits == [0.1] * 3
    assert admitted == [1] * 3
