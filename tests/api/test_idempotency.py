"""One key, one effect, one answer."""

import json
import threading
from contextlib import contextmanager

import pytest
from django.db import IntegrityError, connection
from django.test import Client

from apps.api.idempotency import idempotent
from apps.api.models import IdempotencyRecord
from apps.core.errors import IdempotencyKeyInUse
from apps.core.transactions import use_case
from apps.outbox.models import OutboxEvent
from tests.factories.accounts import CustomerFactory, bearer
from tests.probes import API, note
from tests.protections import LOCK_OF_THE_KEY, without

pytestmark = [pytest.mark.urls("tests.probes"), pytest.mark.django_db]

ONCE = f"{API}/once"
RIVALS = 4


@pytest.fixture
def customer():
    return CustomerFactory()


@pytest.fixture
def call(customer):
    client = Client(headers=bearer(customer), raise_request_exception=False)

    def post(key=None, body=None, *, url=ONCE, **headers):
        if key is not None:
            headers["Idempotency-Key"] = key
        return client.post(url, body or {}, "application/json", headers=headers)

    return post


@pytest.fixture
def run(customer):
    """`run(effect)` is a call with the key `k`; `render` makes its answer."""

    def once(effect=note, *, operation="Probe", render=answer_of):
        return idempotent(
            customer_id=customer.pk,
            operation=operation,
            key="k",
            fingerprint="f",
            effect=effect,
            render=render,
        )

    return once


def answer_of(event) -> tuple[int, bytes]:
    return 201, json.dumps(str(event.pk)).encode()


def effects() -> int:
    return OutboxEvent.objects.count()


class TestReplay:
    def test_has_the_same_bytes_and_says_so(self, call):
        first, second = call("k"), call("k")

        assert first.status_code == second.status_code == 201
        assert first.content == second.content
        assert first["Content-Type"] == second["Content-Type"] == "application/json"
        assert "Idempotent-Replayed" not in first
        assert second["Idempotent-Replayed"] == "true"
        assert effects() == 1

    def test_is_recognized_whatever_the_order_of_the_fields(self, call):
        first = call("k", {"a": 1, "b": [2]})

        second = call("k", {"b": [2], "a": 1})

        assert second.content == first.content

    def test_keeps_the_language_of_the_first_answer(self, call):
        first = call("k", **{"Accept-Language": "en"})

        second = call("k", **{"Accept-Language": "ko"})

        assert second.content == first.content


class TestKey:
    @pytest.mark.parametrize("key", ["k", "~", "a b", "x" * 255, "!#$%&'*+-.^_`|~"])
    def test_may_be_any_printable_characters(self, call, key):
        assert call(key).status_code == 201

    @pytest.mark.parametrize("key", [None, "", " ", " k", "x" * 256, "a\tb", "한", "a\x7f", "\x80"])
    def test_is_required(self, call, key):
        response = call(key)

        assert (response.status_code, response.json()["code"]) == (400, "IDEMPOTENCY_KEY_REQUIRED")
        assert effects() == 0

    def test_that_is_not_required_makes_every_call_a_new_one(self, call):
        url = f"{API}/once-if-asked"

        assert [call(url=url).status_code for _ in range(2)] == [201, 201]
        assert effects() == 2
        assert not IdempotencyRecord.objects.exists()

    def test_that_is_not_required_is_honoured(self, call):
        url = f"{API}/once-if-asked"

        assert call("k", url=url).content == call("k", url=url).content
        assert effects() == 1

    def test_that_is_not_required_must_be_fit_all_the_same(self, call):
        assert call("", url=f"{API}/once-if-asked").status_code == 400

    def test_with_another_request_is_refused(self, call):
        call("k", {"a": 1})

        response = call("k", {"a": 2})

        assert (response.status_code, response.json()["code"]) == (422, "IDEMPOTENCY_KEY_REUSED")
        assert effects() == 1

    def test_of_another_customer_is_another(self, call):
        call("k", {"a": 1})

        other = Client(headers=bearer(CustomerFactory()) | {"Idempotency-Key": "k"})
        response = other.post(ONCE, {"a": 2}, "application/json")

        assert response.status_code == 201
        assert "Idempotent-Replayed" not in response
        assert effects() == 2

    def test_of_another_operation_is_another(self, run):
        answers = [run(operation=operation) for operation in ("First", "Second")]

        assert [answer.is_replay for answer in answers] == [False, False]
        assert effects() == 2


class TestRefusal:
    def test_is_not_kept(self, call):
        refused = call("k", {"fail": True})
        assert refused.json()["code"] == "SEAT_ALREADY_HELD"
        assert effects() == 0
        assert not IdempotencyRecord.objects.exists()

        assert call("k").status_code == 201
        assert effects() == 1


class TestCrash:
    @pytest.mark.parametrize("at", ["effect", "render"])
    @pytest.mark.django_db(transaction=True)
    def test_leaves_nothing(self, run, at):
        def crash(event):
            raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            run(lambda: crash(note())) if at == "effect" else run(render=crash)

        assert effects() == 0
        assert not IdempotencyRecord.objects.exists()


@pytest.mark.django_db(transaction=True)
class TestRace:
    """All callers have the same key, and none is done before all have begun."""

    @pytest.fixture
    def contest(self, race, run):
        self.losers = threading.Semaphore(0)

        def compete(meet):
            def effect():
                event = note()
                meet()
                return event

            def contestant():
                try:
                    return run(effect).status
                except IdempotencyKeyInUse:
                    self.losers.release()
                    raise

            return race([contestant] * RIVALS)

        return compete

    def test_has_one_winner_and_tells_the_others_to_come_back(self, contest):
        outcomes = contest(lambda: [self.losers.acquire(timeout=30) for _ in range(RIVALS - 1)])

        assert sorted(map(outcome, outcomes)) == ["201"] + ["IdempotencyKeyInUse"] * (RIVALS - 1)
        assert {error.retry_after for error in outcomes if error != 201} == {1}
        assert effects() == 1

    def test_without_the_lock_is_decided_by_the_constraint(self, contest, monkeypatch):
        without(monkeypatch, LOCK_OF_THE_KEY)

        outcomes = contest(threading.Barrier(RIVALS, timeout=30).wait)

        assert sorted(map(outcome, outcomes)) == ["201"] + ["IntegrityError"] * (RIVALS - 1)
        assert effects() == 1

    def test_without_lock_and_constraint_has_many_effects(self, contest, monkeypatch):
        without(monkeypatch, LOCK_OF_THE_KEY)

        with without_constraint():
            outcomes = contest(threading.Barrier(RIVALS, timeout=30).wait)

        assert outcomes == [201] * RIVALS
        assert effects() == RIVALS


def outcome(result) -> str:
    if isinstance(result, IntegrityError):
        return "IntegrityError"
    return type(result).__name__ if isinstance(result, Exception) else str(result)


@contextmanager
def without_constraint():
    [constraint] = IdempotencyRecord._meta.constraints
    with connection.schema_editor() as editor:
        editor.remove_constraint(IdempotencyRecord, constraint)
    try:
        yield
    finally:
        IdempotencyRecord.objects.all().delete()
        with connection.schema_editor() as editor:
            editor.add_constraint(IdempotencyRecord, constraint)


class TestHttpConflict:
    @pytest.mark.django_db(transaction=True)
    def test_is_retryable(self, call, customer, rival):
        with rival.cursor() as cursor:
            name = f"{customer.pk}\npayments.charge\nk"
            cursor.execute("SELECT pg_advisory_lock(hashtextextended(%s, 0))", [name])

        response = call("k")

        assert (response.status_code, response.json()["code"]) == (409, "IDEMPOTENCY_KEY_IN_USE")
        assert response.json()["data"]["retryable"] is True
        assert response["Retry-After"] == "1"


def test_runs_in_a_transaction_of_its_own(run):
    """A refusal of an outer one would take the stored answer back."""
    with pytest.raises(RuntimeError, match="durable"):
        use_case(run)()
