"""Measure if service comes back by itself, and after how long."""

import threading
import time
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from django.db import DatabaseError, connection

from dev.drill.customers import PAUSE, Customer
from dev.drill.deliveries import unfinished

T = TypeVar("T")

PATIENCE = 180.0  # seconds after which what has not come back is not coming back


def with_fresh_session(work: Callable[..., T], *arguments: Any) -> T:
    """Do the work in a new session: a fault may have ended the one before."""
    connection.close()
    return work(*arguments)


class Watch:
    """Begins when a fault ends. All times are seconds since then, None as long as it has not come to that."""

    def __init__(self, *, prober: Customer, performance_id: int) -> None:
        self.purchase_after: float | None = None
        self.deliveries_after: float | None = None
        self._ended_at = time.time()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._probe, args=(prober, performance_id))
        self._thread.start()

    @property
    def seconds(self) -> float | None:
        """Measure until a whole purchase worked again and everything that had happened before the fault's end was consumed."""
        if self.purchase_after is None or self.deliveries_after is None:
            return None
        return max(self.purchase_after, self.deliveries_after)

    @property
    def is_over(self) -> bool:
        return self.seconds is not None or time.time() - self._ended_at > PATIENCE

    def look(self) -> None:
        if self.deliveries_after is None and are_all_delivered(until=self._ended_at):
            self.deliveries_after = time.time() - self._ended_at

    def close(self) -> None:
        self._stop.set()
        self._thread.join()

    def breaches(self) -> list[str]:
        missing = {
            "no customer could buy anything": self.purchase_after,
            "events were not consumed": self.deliveries_after,
        }
        return [
            f"{what} within {PATIENCE:.0f} s after the fault"
            for what, seconds in missing.items()
            if seconds is None
        ]

    def _probe(self, prober: Customer, performance_id: int) -> None:
        while not self._stop.is_set():
            if prober.buy_one(performance_id, self._stop):
                self.purchase_after = time.time() - self._ended_at
                return
            self._stop.wait(PAUSE)


class Crowd:
    """People who do something until they are told to stop, each in a thread, inside a `with`."""

    def __init__(self, people: Sequence[Callable[[threading.Event], None]]) -> None:
        self._stop = threading.Event()
        self._errors: list[BaseException] = []
        self._threads = [threading.Thread(target=self._run, args=(person,)) for person in people]

    def __enter__(self) -> "Crowd":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()
        if self._errors:
            raise self._errors[0]

    def _run(self, person: Callable[[threading.Event], None]) -> None:
        try:
            person(self._stop)
        except BaseException as error:
            self._errors.append(error)


def are_all_delivered(*, until: float | None = None) -> bool:
    try:
        return with_fresh_session(lambda: unfinished(until=until)) == 0
    except DatabaseError:
        return False
