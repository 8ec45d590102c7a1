import itertools
import threading
from contextlib import contextmanager
from functools import partial

import pytest

from apps.core.caching import ProcessCache


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


class Slow:
    """Compute a value that is not ready before the block of `being_asked_for` is left."""

    def __init__(self, value):
        self.value = value
        self._has_begun, self._may_end = threading.Event(), threading.Event()

    def __call__(self):
        self._has_begun.set()
        self._may_end.wait(10)
        return self.value

    @contextmanager
    def being_asked_for(self, cache, key="key"):
        """Let a thread wait for the value meanwhile."""
        thread = threading.Thread(target=cache.get, args=[key, self])
        thread.start()
        assert self._has_begun.wait(10)
        yield
        assert thread.is_alive()
        self._may_end.set()
        thread.join(10)


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def cache(clock):
    """Two entries for two seconds each, computed anew half a second before they are over."""
    return ProcessCache(seconds=2, ahead=0.5, entries_max=2, clock=clock)


class TestProcessCache:
    def test_keeps_a_value_for_its_time_and_no_longer(self, clock):
        cache: ProcessCache[str, object] = ProcessCache(seconds=2, entries_max=1, clock=clock)
        values = iter("ab")

        assert cache.get("key", lambda: next(values)) == "a"
        clock.now = 1.9
        assert cache.get("key", lambda: next(values)) == "a"
        clock.now = 2.0
        assert cache.get("key", lambda: next(values)) == "b"

    def test_keeps_nothing_of_a_failure(self, cache):
        def fail():
            raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            cache.get("key", fail)

        assert cache.get("key", lambda: 1) == 1

    def test_keeps_no_answer_that_there_is_none(self, cache):
        assert cache.get("key", lambda: None) is None
        assert cache.get("key", lambda: 1) == 1

    def test_drops_what_was_asked_for_least_recently(self, cache):
        for key in ("old", "used", "old"):
            cache.get(key, partial("first {}".format, key))

        cache.get("new", lambda: "first new")

        assert cache.get("old", lambda: "second old") == "first old"
        assert cache.get("used", lambda: "second used") == "second used"

    @pytest.mark.parametrize("is_stale", [False, True], ids=["fresh", "stale"])
    def test_a_key_without_a_value_drops_no_other(self, is_stale):
        def fail():
            raise LookupError

        clock = Clock()
        cache: ProcessCache[str, object] = ProcessCache(seconds=2, entries_max=2, clock=clock)
        for key in ("good", "wrong" if is_stale else "fine"):
            cache.get(key, lambda: "first")
        clock.now = 2.0 if is_stale else 1.0

        for key in ("wrong", "worse", "worst"):
            with pytest.raises(LookupError):
                cache.get(key, fail)
            assert cache.get(f"none {key}", lambda: None) is None

        clock.now = 1.0
        assert cache.get("good", lambda: "second") == "first"
        if not is_stale:
            assert cache.get("fine", lambda: "second") == "first"
        assert len(cache._slots) == 2 - is_stale
        assert not cache._unfilled

    def test_computes_together_what_is_missing_or_stale_of_many(self):
        clock, asked = Clock(), []
        cache: ProcessCache[str, str] = ProcessCache(seconds=2, entries_max=3, clock=clock)

        def compute(keys):
            asked.append(keys)
            return {key: f"{key} at {clock.now}" for key in keys}

        cache.get_many("ab", compute)
        clock.now = 1.0
        assert cache.get_many("abc", compute) == {"a": "a at 0.0", "b": "b at 0.0", "c": "c at 1.0"}
        clock.now = 2.0
        assert cache.get_many("bc", compute) == {"b": "b at 2.0", "c": "c at 1.0"}
        cache.get_many("bc", compute)

        assert asked == [["a", "b"], ["c"], ["b"]]

    def test_a_crowd_waits_for_one_computation(self, race, cache):
        computations = itertools.count(1)

        outcomes = race([lambda: cache.get("key", lambda: next(computations))] * 8)

        assert outcomes == [1] * 8

    def test_the_next_value_is_computed_ahead_by_one_while_the_others_get_this_one(
        self, clock, cache
    ):
        cache.get("key", lambda: "this")
        clock.now = 1.4
        assert cache.get("key", lambda: "too early") == "this"
        clock.now = 1.6

        with Slow("next").being_asked_for(cache):
            assert cache.get("key", lambda: "by a second one") == "this"

        assert cache.get("key", lambda: "again") == "next"

    def test_a_value_that_is_over_is_given_to_none_while_the_next_is_computed(self, clock, cache):
        seen: list[object] = []
        cache.get("key", lambda: "this")
        clock.now = 1.6

        with Slow("next").being_asked_for(cache):
            clock.now = 2.0
            second = threading.Thread(target=lambda: seen.append(cache.get("key", lambda: "other")))
            second.start()
            second.join(0.1)
            assert second.is_alive()
            assert seen == []

        second.join(10)
        assert seen == ["next"]

    def test_what_fails_ahead_is_not_kept(self, clock, cache):
        def fail():
            raise ZeroDivisionError

        cache.get("key", lambda: "this")
        clock.now = 1.6
        with pytest.raises(ZeroDivisionError):
            cache.get("key", fail)

        assert cache.get("key", lambda: "next") == "next"

    def test_without_waiting_each_of_them_computes(self, race):
        # The twin: the same crowd, each of them finding the value missing.
        all_of_them = threading.Barrier(8)
        known, computations = {}, []

        def get():
            if "key" not in known:
                all_of_them.wait(10)
                computations.append(1)
                known["key"] = 42
            return known["key"]

        assert race([get] * 8) == [42] * 8
        assert len(computations) == 8

    def test_another_key_is_not_held_up(self, cache):
        with Slow("slow").being_asked_for(cache, "slow"):
            assert cache.get("fast", lambda: "fast") == "fast"

        assert cache.get("slow", lambda: "again") == "slow"
