"""Test that a reading is made once for all, against the real store: by threads, by processes, and while something is away."""

import json
import multiprocessing
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
import redis
from django.conf import settings
from django.db import OperationalError

from apps.core import shared_readings
from apps.core.lean_store import script_client
from apps.core.shared_readings import Data, Reading, SharedReadings
from apps.core.store import StoreUnavailable

Read = Callable[[str, Data | None], Data]


class Counted:
    """Reads what it is told to, and counts how often; each time it says what the reading before had."""

    def __init__(self, seconds: float = 0.0) -> None:
        self.calls: list[tuple[str, Data | None]] = []
        self.fails: Exception | None = None
        self._seconds = seconds
        self._lock = threading.Lock()

    def __call__(self, key: str, previous: Data | None) -> Data:
        with self._lock:
            self.calls.append((key, previous))
            number = len(self.calls)
        time.sleep(self._seconds)
        if self.fails is not None:
            raise self.fails
        return {"number": number}


def a_process(read: Read, *, seconds: float = 60.0) -> SharedReadings:
    """Return the readings as another process has them, which has read none yet."""
    return SharedReadings("test", seconds=seconds, read=read)


@pytest.fixture
def cache_store() -> Any:
    with redis.Redis.from_url(settings.CACHE_URL) as client:
        yield client


def grow_old(cache_store: redis.Redis, *, by: float, key: str = "") -> None:
    """Let the reading that is kept be that much older."""
    name = f"reading:{{test:{key}}}"
    left = cache_store.pttl(name)
    cache_store.pexpire(name, int(left - by * 1_000))


class TestSharedReadings:
    def test_are_read_once_for_all_processes(self) -> None:
        read = Counted()
        processes = [a_process(read) for _ in range(5)]

        shown = [process.get() for process in processes]

        assert len(read.calls) == 1
        assert len({reading.version for reading in shown if reading}) == 1
        assert [reading.data for reading in shown if reading] == [{"number": 1}] * 5

    def test_are_kept_apart_by_key_and_by_name(self) -> None:
        read, other = Counted(), Counted()
        readings = a_process(read)

        readings.get("a"), readings.get("b")
        SharedReadings("other", seconds=60, read=other).get("a")

        assert [key for key, _ in read.calls] == ["a", "b"]
        assert [key for key, _ in other.calls] == ["a"]

    @pytest.mark.parametrize(("age", "calls"), [(1.0, 1), (2.5, 2)])
    def test_are_read_anew_once_they_are_too_old(
        self, cache_store: redis.Redis, age: float, calls: int
    ) -> None:
        read = Counted()
        a_process(read, seconds=2).get()
        grow_old(cache_store, by=age)

        shown = a_process(read, seconds=2).get()

        assert len(read.calls) == calls
        assert shown is not None
        assert shown.data == {"number": calls}
        assert not shown.is_late

    def test_get_what_the_reading_before_them_had(self, cache_store: redis.Redis) -> None:
        read = Counted()
        a_process(read, seconds=2).get("7")
        grow_old(cache_store, by=3, key="7")

        a_process(read, seconds=2).get("7")

        assert read.calls == [("7", None), ("7", {"number": 1})]

    def test_show_the_one_before_while_another_process_reads(
        self, cache_store: redis.Redis
    ) -> None:
        read = Counted()
        a_process(read, seconds=2).get()
        grow_old(cache_store, by=3)
        cache_store.set("reading:{test:}:claim", "another process")

        shown = a_process(read, seconds=2).get()

        assert len(read.calls) == 1
        assert shown is not None
        assert shown.data == {"number": 1}

    def test_wait_for_the_very_first_one(self) -> None:
        read = Counted(seconds=0.3)
        shown: list[Reading | None] = []
        threads = [
            threading.Thread(target=lambda: shown.append(a_process(read).get())) for _ in range(6)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(10)

        assert len(read.calls) == 1
        assert [reading and reading.data for reading in shown] == [{"number": 1}] * 6

    def test_are_read_by_every_process_without_the_claim(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Show that the claim is what keeps them from it: here each process is told that it has it."""
        take = SharedReadings._take

        def take_all(readings: SharedReadings, key: str, claim: str) -> tuple[Any, float, bool]:
            kept, age, _ = take(readings, key, claim)
            return kept, age, True

        monkeypatch.setattr(SharedReadings, "_take", take_all)
        read = Counted(seconds=0.3)
        threads = [threading.Thread(target=a_process(read).get) for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(10)

        assert len(read.calls) == 6

    def test_are_none_while_the_very_first_one_does_not_come(
        self, cache_store: redis.Redis, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(shared_readings, "FIRST_SECONDS", 0.1)
        cache_store.set("reading:{test:}:claim", "a process that has died")
        read = Counted()

        assert a_process(read).get() is None
        assert read.calls == []

    def test_do_not_wait_for_ever_for_a_process_that_has_died(
        self, cache_store: redis.Redis, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(shared_readings, "CLAIM_SECONDS", 0.05)
        read = Counted()
        readings = a_process(read)
        readings._take("", "a process that dies now")
        time.sleep(0.1)

        assert readings.get() is not None
        assert len(read.calls) == 1

    def test_of_a_claim_that_has_lapsed_leave_the_next_one_alone(
        self, cache_store: redis.Redis
    ) -> None:
        def read(key: str, previous: Data | None) -> Data:
            cache_store.set("reading:{test:}:claim", "the next process")
            return {}

        a_process(read).get()

        assert cache_store.get("reading:{test:}:claim") == b"the next process"


class TestFailures:
    def test_show_the_one_before_and_say_so(self, cache_store: redis.Redis) -> None:
        read = Counted()
        a_process(read, seconds=2).get()
        grow_old(cache_store, by=3)
        read.fails = OperationalError("away")

        shown = a_process(read, seconds=2).get()

        assert shown is not None
        assert shown.data == {"number": 1}
        assert shown.is_late

    def test_are_not_repeated_by_every_process(self, cache_store: redis.Redis) -> None:
        read = Counted()
        a_process(read, seconds=2).get()
        grow_old(cache_store, by=30)
        read.fails = OperationalError("away")

        shown = [a_process(read, seconds=2).get() for _ in range(5)]

        assert len(read.calls) == 2
        assert all(reading is not None and reading.is_late for reading in shown)

    def test_without_one_before_there_is_none(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(shared_readings, "FIRST_SECONDS", 0.1)
        read = Counted()
        read.fails = OperationalError("away")

        assert a_process(read).get() is None
        assert a_process(read).get() is None
        assert len(read.calls) == 1

    def test_mistakes_are_not_hidden(self) -> None:
        read = Counted()
        read.fails = KeyError("a mistake")

        with pytest.raises(KeyError):
            a_process(read).get()

    def test_without_the_store_each_process_reads_for_itself_and_rarely(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def away(*_: object) -> None:
            raise StoreUnavailable

        client = script_client(settings.CACHE_URL)
        monkeypatch.setattr(type(client), "execute_command", away)
        monkeypatch.setattr(type(client), "_evaluate", away)
        read = Counted()
        readings = a_process(read)

        shown = [readings.get() for _ in range(5)]

        assert len(read.calls) == 1
        assert [reading and reading.data for reading in shown] == [{"number": 1}] * 5


def _count_in_store(url: str, results: Any) -> None:
    """Be a process that looks ten times; runs in a fork of this one."""

    def read(key: str, previous: Data | None) -> Data:
        with redis.Redis.from_url(url) as client:
            number = client.incr("readings made")
        time.sleep(0.05)
        return {"number": number}

    readings = SharedReadings("test", seconds=30, read=read)
    results.put([(readings.get() or Reading({}, "")).data.get("number") for _ in range(10)])


class TestProcesses:
    def test_share_one_reading(self, cache_store: redis.Redis) -> None:
        context = multiprocessing.get_context("fork")
        results: Any = context.Queue()
        processes = [
            context.Process(target=_count_in_store, args=(settings.CACHE_URL, results))
            for _ in range(4)
        ]
        for process in processes:
            process.start()
        shown = [number for _ in processes for number in results.get(timeout=30)]
        for process in processes:
            process.join(30)

        assert cache_store.get("readings made") == b"1"
        assert shown == [1] * 40


def test_what_is_kept_can_be_read_by_people(cache_store: redis.Redis) -> None:
    shown = a_process(Counted()).get()

    assert shown is not None
    kept = json.loads(cache_store.get("reading:{test:}") or "")
    assert kept == [shown.version, {"number": 1}]
