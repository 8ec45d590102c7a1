"""Answers that are the same for everybody, kept in the memory of the process.

Kept here and not in the cache server: reading them costs nothing, they need no invalidation, and a cache server that is down
or slow cannot matter.
"""

import threading
import time
import weakref
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterable, Mapping
from contextlib import suppress
from typing import Any, Generic, TypeVar, cast

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class _Slot(Generic[V]):
    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.fresh_until = float("-inf")
        self.value: V | None = None


_all_caches: "weakref.WeakSet[ProcessCache[Any, Any]]" = weakref.WeakSet()


def clear_process_caches() -> None:
    """Empty every cache of this process: between tests, nothing else needs it."""
    for cache in _all_caches:
        cache.clear()


class ProcessCache(Generic[K, V]):
    """Values that are computed by one thread at a time and then serve everybody for `seconds`.

    A crowd that finds a value stale waits for the one thread that computes it, instead of computing it as well (a "stampede");
    other keys are not held up. What was asked for least recently makes room beyond `entries_max`.

    With `ahead`, the first to ask in the last `ahead` seconds of a value computes the next one, while the others still get this
    one: no caller waits as long as one asks that often and a computation takes less than that.
    """

    def __init__(
        self,
        *,
        seconds: float,
        entries_max: int,
        ahead: float = 0.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._seconds = seconds
        self._ahead = ahead
        self._entries_max = entries_max
        self._clock = clock
        self._lock = threading.Lock()
        self._slots: OrderedDict[K, _Slot[V]] = OrderedDict()
        # Computed for the first time at this moment: they take no place among the others before there is a value to keep.
        self._unfilled: dict[K, _Slot[V]] = {}
        _all_caches.add(self)

    def get(self, key: K, compute: Callable[[], V]) -> V:
        """Return the value of `key`; what `compute` raises is raised and not kept, and neither is None.

        A key that has no value makes none of the others go, however many such keys are asked for.
        """
        known = self.peek(key)
        if known is not None:
            return known
        slot = self._slot(key)
        left = slot.fresh_until - self._clock()
        if left > self._ahead or not slot.lock.acquire(blocking=left <= 0):
            return cast("V", slot.value)
        try:
            if slot.fresh_until - self._clock() <= self._ahead:
                try:
                    value = compute()
                except BaseException:
                    self._forget(key, slot)
                    raise
                if value is None:
                    self._forget(key, slot)
                    return value
                self._keep(key, slot, value)
            return cast("V", slot.value)
        finally:
            slot.lock.release()

    def peek(self, key: K) -> V | None:
        """Return the value of `key` if it needs no computation yet; None if `get` would compute the next one."""
        slot = self._slots.get(key)
        # The value is written before the time until which it is fresh.
        if slot is None or slot.fresh_until - self._clock() <= self._ahead:
            return None
        with suppress(KeyError):  # dropped at this moment
            self._slots.move_to_end(key)
        return slot.value

    def get_many(
        self, keys: Iterable[K], compute: Callable[[list[K]], Mapping[K, V]]
    ) -> dict[K, V]:
        """Return the values of `keys`; `compute` is called once, with those that are missing or stale, if there are any.

        No thread waits for another one here: those that miss the same values at the same moment compute them each.
        """
        with self._lock:
            slots = {key: self._slots.get(key) for key in keys}
            for key, slot in slots.items():
                if slot is not None:
                    self._slots.move_to_end(key)
        now = self._clock()
        known: dict[K, V] = {
            key: slot.value
            for key, slot in slots.items()
            if slot is not None and slot.value is not None and now < slot.fresh_until
        }
        missing = [key for key in slots if key not in known]
        for key, value in (compute(missing) if missing else {}).items():
            self._keep(key, slots[key] or _Slot(), value)
            known[key] = value
        return known

    def _slot(self, key: K) -> _Slot[V]:
        with self._lock:
            slot = self._slots.get(key)
            if slot is None:
                return self._unfilled.setdefault(key, _Slot())
            self._slots.move_to_end(key)
            return slot

    def _keep(self, key: K, slot: _Slot[V], value: V) -> None:
        slot.value = value
        # From after the computation: a slow one must not be stale when it is done.
        slot.fresh_until = self._clock() + self._seconds
        with self._lock:
            self._unfilled.pop(key, None)
            self._slots[key] = slot
            self._slots.move_to_end(key)
            if len(self._slots) > self._entries_max:
                self._slots.popitem(last=False)

    def _forget(self, key: K, slot: _Slot[V]) -> None:
        with self._lock:
            for slots in (self._slots, self._unfilled):
                if slots.get(key) is slot:
                    del slots[key]

    def clear(self) -> None:
        with self._lock:
            self._slots.clear()
            self._unfilled.clear()
