"""Test who owns a transaction, what is tried again, and what happens after the commit."""

import threading
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, timedelta

import pytest
from django.db import IntegrityError, OperationalError, connection, transaction
from django.dispatch import Signal
from django.utils import timezone
from psycopg.pq import TransactionStatus

from apps.api.idempotency import idempotent
from apps.core.database import Call, Statement
from apps.core.errors import DomainError, ServiceUnavailable
from apps.core.transactions import (
    Decision,
    database_now,
    requires_transaction,
    run_in_transaction,
    send_on_commit,
    use_case,
)
from apps.outbox.models import OutboxEvent
from apps.outbox.recording import event_to_record
from apps.payments.models import Wallet
from apps.payments.services import charge_wallet
from tests.factories.accounts import CustomerFactory
from tests.probes import LOCK, note, wait_for_lock
from tests.protections import COMMIT_ALONG_WITH_THE_WRITES, RETRY_OF_A_DEADLOCK, before, without

announced = Signal()
AGAIN = Statement("again", "INSERT INTO outbox_outboxevent SELECT * FROM outbox_outboxevent")


@dataclass(frozen=True)
class Announced:
    number: int


@pytest.fixture
def heard():
    """Return what receivers of `announced` were told; each listens until the end of the test."""
    told: list = []
    receivers = []

    def listen(receiver):
        receivers.append(receiver)
        announced.connect(receiver, weak=False)

    told_listener = lambda *, event, **_: told.append(event)  # noqa: E731
    listen(told_listener)
    told_listener.told, told_listener.also = told, listen
    yield told_listener
    for receiver in receivers:
        announced.disconnect(receiver)


class TestUseCase:
    @pytest.mark.django_db(transaction=True)
    def test_commits(self, rival):
        event = use_case(note)()

        with rival.cursor() as cursor:
            cursor.execute("SELECT id FROM outbox_outboxevent")
            assert cursor.fetchall() == [(event.pk,)]

    @pytest.mark.django_db(transaction=True)
    def test_rolls_back_when_it_fails(self):
        @use_case
        def fail():
            note()
            raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            fail()

        assert not OutboxEvent.objects.exists()

    @pytest.mark.django_db
    def test_is_the_outermost(self):
        outer = use_case(use_case(note))

        with pytest.raises(RuntimeError, match="durable"):
            outer()

    @pytest.mark.django_db
    def test_passes_arguments_and_result_on(self):
        @use_case
        def add(first: int, *, second: int) -> int:
            """Sum."""
            return first + second

        assert add(1, second=2) == 3
        assert (add.__name__, add.__doc__) == ("add", "Sum.")


@pytest.mark.django_db(transaction=True)
class TestDeadlock:
    @pytest.fixture
    def clash(self, race):
        """Two use cases that take the same two locks in opposite order; returns outcomes and tries."""
        tries: list[str] = []
        each_has_one = threading.Barrier(2, timeout=30)

        def contestant(name: str, first: int, second: int):
            @use_case
            def lock_both() -> str:
                is_first_try = name not in tries
                tries.append(name)
                lock(first)
                if is_first_try:
                    each_has_one.wait()
                lock(second)
                return name

            return lock_both

        def run():
            outcomes = race([contestant("a", 1, 2), contestant("b", 2, 1)])
            return outcomes, tries

        return run

    def test_is_tried_again_by_its_victim(self, clash):
        outcomes, tries = clash()

        assert outcomes == ["a", "b"]
        assert sorted(tries) in (["a", "a", "b"], ["a", "b", "b"])

    def test_without_trying_again_fails_one(self, clash, monkeypatch):
        without(monkeypatch, RETRY_OF_A_DEADLOCK)

        outcomes, tries = clash()

        kinds = sorted(type(outcome).__name__ for outcome in outcomes)
        assert kinds == ["ServiceUnavailable", "str"]
        assert sorted(tries) == ["a", "b"]


def raise_in_database(condition: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(f"DO $$ BEGIN RAISE {condition}; END $$")


def lock(number: int) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [number])


@pytest.mark.django_db(transaction=True)
class TestAttempts:
    def test_are_three(self):
        tries = []

        def clash():
            tries.append(note())
            raise_in_database("serialization_failure")

        with pytest.raises(ServiceUnavailable):
            run_in_transaction(clash)

        assert len(tries) == 3
        assert not OutboxEvent.objects.exists()

    def test_leave_one_effect_when_the_last_one_works(self):
        tries = []

        def clash_twice():
            tries.append(note())
            if len(tries) < 3:
                raise_in_database("deadlock_detected")
            return tries[-1]

        event = run_in_transaction(clash_twice)

        assert [found.pk for found in OutboxEvent.objects.all()] == [event.pk]

    def test_are_not_made_for_other_failures(self):
        tries = []

        def fail():
            tries.append(1)
            raise_in_database("too_many_connections")

        with pytest.raises(OperationalError):
            run_in_transaction(fail)

        assert tries == [1]


@pytest.mark.django_db(transaction=True)
class TestTimeout:
    def test_of_a_lock_is_service_unavailable(self, rival):
        with rival.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_lock(%s)", [LOCK])

        with pytest.raises(ServiceUnavailable) as refusal:
            wait_for_lock()

        assert refusal.value.retry_after == 1

    def test_of_a_statement_is_service_unavailable(self):
        @use_case
        def sleep():
            with connection.cursor() as cursor:
                cursor.execute("SET LOCAL statement_timeout = '50ms'")
                cursor.execute("SELECT pg_sleep(30)")

        with pytest.raises(ServiceUnavailable):
            sleep()

    def test_of_an_idle_transaction_is_service_unavailable_and_heals(self, rival):
        @use_case
        def idle():
            with connection.cursor() as cursor:
                cursor.execute("SET LOCAL idle_in_transaction_session_timeout = '20ms'")
                cursor.execute("SELECT pg_backend_pid()")
                [process] = cursor.fetchone()
            wait_until_gone(rival, process)
            note()

        with pytest.raises(ServiceUnavailable):
            idle()

        assert use_case(note)().pk

    def test_is_set_for_every_session(self):
        with connection.cursor() as cursor:
            for name in (
                "lock_timeout",
                "statement_timeout",
                "idle_in_transaction_session_timeout",
            ):
                cursor.execute("SELECT setting::int FROM pg_settings WHERE name = %s", [name])
                assert 0 < cursor.fetchone()[0] <= 30_000, name


def wait_until_gone(rival, process: int) -> None:
    with rival.cursor() as cursor:
        for _ in range(1_000):
            cursor.execute("SELECT count(*) FROM pg_stat_activity WHERE pid = %s", [process])
            if cursor.fetchone() == (0,):
                return
            cursor.execute("SELECT pg_sleep(0.02)")
    raise TimeoutError(process)


def event_decided(*more: Call, refusals: Mapping[str, DomainError] | None = None) -> Decision:
    """Decide to write an event, and something else after it."""
    event_id, write = event_to_record(type="tests.happened", payload={}, occurred_at=timezone.now())
    return Decision(event_id, writes=[write, *more], refusals=refusals or {})


class Refusal(DomainError):
    code = "SEAT_ALREADY_HELD"


@pytest.mark.django_db(transaction=True)
class TestCommitOfWrites:
    """The commit travels with the writes, and everything about it is as if it came afterwards."""

    @pytest.fixture
    def noted(self, heard):
        """Write an event that is announced; `noted(more)` writes something else after it."""

        def note_down(*more: Call, refusals: Mapping[str, DomainError] | None = None):
            decision = event_decided(*more, refusals=refusals)

            def work():
                send_on_commit(announced, Announced(1))
                return decision.carry_out(is_last=True)

            return run_in_transaction(work)

        return note_down

    def test_leaves_nothing_for_django_to_commit(self, noted, heard, monkeypatch, rival):
        states = []
        monkeypatch.setattr(
            connection,
            "_commit",
            lambda: states.append((connection.connection.info.transaction_status, ids(rival))),
        )

        event_id = noted()

        assert states == [(TransactionStatus.IDLE, [event_id])]
        assert heard.told == [Announced(1)]

    def test_without_it_is_left_to_django(self, noted, heard, monkeypatch, rival):
        without(monkeypatch, COMMIT_ALONG_WITH_THE_WRITES)
        commit, states = connection._commit, []

        def note_and_commit():
            states.append((connection.connection.info.transaction_status, ids(rival)))
            commit()

        monkeypatch.setattr(connection, "_commit", note_and_commit)

        event_id = noted()

        assert states == [(TransactionStatus.INTRANS, [])]
        assert ids(rival) == [event_id]
        assert heard.told == [Announced(1)]

    @pytest.mark.parametrize("is_kept", [False, True], ids=["plain", "with a kept answer"])
    def test_is_how_use_cases_commit(self, monkeypatch, is_kept):
        customer, states = CustomerFactory(), []
        monkeypatch.setattr(
            connection,
            "_commit",
            lambda: states.append(connection.connection.info.transaction_status),
        )
        if is_kept:
            idempotent(
                customer_id=customer.pk,
                operation="tests",
                key="k",
                fingerprint="f",
                effect=lambda: None,
                render=lambda _: (200, b"{}"),
            )
        else:
            charge_wallet(customer_id=customer.pk, amount=1_000)

        assert states == [TransactionStatus.IDLE]

    def test_does_not_happen_inside_a_transaction_of_the_caller(self):
        customer = CustomerFactory()

        with transaction.atomic():
            charge_wallet(customer_id=customer.pk, amount=1_000)
            assert connection.connection.info.transaction_status == TransactionStatus.INTRANS

        assert Wallet.objects.get(pk=customer.pk).balance == 1_000

    def test_does_not_happen_inside_a_block_that_is_not_the_whole(self, rival):
        def work():
            with transaction.atomic():
                event_id = event_decided().carry_out(is_last=True)
            assert ids(rival) == []
            return event_id

        event_id = run_in_transaction(work)

        assert ids(rival) == [event_id]

    def test_does_not_happen_in_a_transaction_that_has_to_be_rolled_back(self, heard):
        def work():
            with suppress(ZeroDivisionError), transaction.atomic(savepoint=False):
                raise ZeroDivisionError
            return event_decided().carry_out(is_last=True)

        run_in_transaction(work)

        assert not OutboxEvent.objects.exists()

    def test_does_not_happen_after_a_write_that_fails(self, noted, heard):
        event = note_alone()

        with pytest.raises(IntegrityError):
            noted((AGAIN, {}))

        assert OutboxEvent.objects.get() == event
        assert heard.told == []
        assert noted()

    def test_does_not_happen_after_a_write_that_is_a_refusal(self, noted, heard):
        event = note_alone()

        with pytest.raises(Refusal):
            noted((AGAIN, {}), refusals={"outbox_outboxevent_pkey": Refusal()})

        assert OutboxEvent.objects.get() == event
        assert heard.told == []

    def test_that_the_database_refuses_undoes_the_writes(self, noted, heard):
        orphan = Statement(
            "orphan",
            "INSERT INTO outbox_eventdelivery"
            " (event_id, consumer, status, attempts, next_attempt_at, last_error)"
            " VALUES (gen_random_uuid(), 'first', 'PENDING', 0, now(), '')",
        )

        with pytest.raises(ServiceUnavailable) as refusal:
            noted((orphan, {}))

        assert isinstance(refusal.value.__cause__, IntegrityError)
        assert refusal.value.__cause__.failed_statement == "commit"
        assert not OutboxEvent.objects.exists()
        assert heard.told == []
        assert noted()

    def test_that_meets_a_serialization_failure_is_tried_again(self, noted, heard, monkeypatch):
        failures = [1]

        def fail(_parameters):
            if failures:
                failures.pop()
                raise_in_database("serialization_failure")

        before(monkeypatch, "commit", fail)

        event_id = noted()

        assert OutboxEvent.objects.get().pk == event_id
        assert heard.told == [Announced(1)]

    def test_that_is_not_answered_is_an_error_and_announces_nothing(
        self, noted, heard, monkeypatch, rival
    ):
        """The outcome is unknown to the caller; here nothing was committed."""

        def cut(_parameters):
            process = connection.connection.info.backend_pid
            with rival.cursor() as cursor:
                cursor.execute("SELECT pg_terminate_backend(%s)", [process])
            wait_until_gone(rival, process)

        with monkeypatch.context() as patch:
            before(patch, "commit", cut)
            with pytest.raises(OperationalError):
                noted()

        assert ids(rival) == []
        assert heard.told == []
        assert noted() in ids(rival)


def note_alone() -> OutboxEvent:
    return use_case(note)()


def ids(rival) -> list:
    with rival.cursor() as cursor:
        cursor.execute("SELECT id FROM outbox_outboxevent")
        return [event_id for (event_id,) in cursor.fetchall()]


class TestRequiresTransaction:
    @pytest.mark.django_db(transaction=True)
    def test_refuses_outside_one(self):
        with pytest.raises(RuntimeError, match=r"note must be called inside a transaction"):
            note()

        assert not OutboxEvent.objects.exists()

    @pytest.mark.django_db(transaction=True)
    def test_runs_inside_one(self):
        @requires_transaction
        def step(number: int) -> int:
            return number

        with transaction.atomic():
            assert step(7) == 7


class TestSendOnCommit:
    @pytest.mark.django_db(transaction=True)
    def test_tells_nothing_before_the_commit(self, heard):
        with transaction.atomic():
            send_on_commit(announced, Announced(1))
            assert heard.told == []

        assert heard.told == [Announced(1)]

    @pytest.mark.django_db(transaction=True)
    def test_tells_nothing_of_what_was_rolled_back(self, heard):
        @use_case
        def announce_and_fail():
            send_on_commit(announced, Announced(1))
            raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            announce_and_fail()

        assert heard.told == []

    @pytest.mark.django_db(transaction=True)
    def test_goes_on_when_a_receiver_fails(self, heard, caplog):
        def fail(**_):
            raise ZeroDivisionError

        late = []
        heard.also(fail)
        heard.also(lambda *, event, **_: late.append(event))

        @use_case
        def announce() -> str:
            for number in (1, 2):
                send_on_commit(announced, Announced(number))
            transaction.on_commit(lambda: late.append("another callback"))
            return "committed"

        assert announce() == "committed"
        assert heard.told == [Announced(1), Announced(2)]
        assert late == [Announced(1), Announced(2), "another callback"]
        assert caplog.text.count("receiver_failed") == 2

    @pytest.mark.django_db(transaction=True)
    def test_names_the_kind_of_event_as_the_sender(self):
        senders = []
        announced.connect(listener := lambda sender, **_: senders.append(sender), weak=False)

        with transaction.atomic():
            send_on_commit(announced, Announced(1))

        announced.disconnect(listener)
        assert senders == [Announced]


class TestDatabaseNow:
    @pytest.mark.django_db
    def test_is_the_time_of_the_call_and_not_of_the_transaction(self):
        with connection.cursor() as cursor:
            cursor.execute("SELECT now()")
            [began_at] = cursor.fetchone()

        first, second = database_now(), database_now()

        assert began_at < first < second
        assert first.tzinfo == UTC or first.utcoffset() == timedelta(0)
        assert abs(first - timezone.now()) < timedelta(minutes=1)
