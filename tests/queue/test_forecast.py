"""Test when a queue is said to be empty."""

from typing import Any

import pytest

from apps.queue.core.room import SECOND, Figures
from apps.queue.forecast import Forecast, forecast

pytestmark = pytest.mark.no_live_room


def room(**changes: Any) -> Figures:
    values: dict[str, Any] = {
        "state": "OPEN",
        "at": 0,
        "opens_at": 0,
        "waiting": 600,
        "active": 50,
        "capacity": 50,
        "admitted_total": 0,
        "admitted_per_minute": 0,
        "longest_wait": 0,
        "exits_pending": 0,
        "mean_visit": 60 * SECOND,
        "is_healing": False,
    }
    return Figures(**values | changes)


class TestForecast:
    def test_is_by_how_long_a_visit_takes(self) -> None:
        assert forecast(room(), capacity=50, per_minute=None) == Forecast(50, 720)
        assert forecast(room(), capacity=100, per_minute=None).per_minute == 100

    def test_counts_free_turns_at_once(self) -> None:
        assert forecast(room(active=0), capacity=50, per_minute=None).seconds == 660
        assert forecast(room(waiting=40, active=0), capacity=50, per_minute=None).seconds == 0

    def test_is_held_back_by_the_limit_per_minute(self) -> None:
        assert forecast(room(), capacity=50, per_minute=20) == Forecast(20, 1_800)
        assert forecast(room(), capacity=50, per_minute=1_000) == Forecast(50, 720)

    def test_of_nobody_is_no_time(self) -> None:
        assert forecast(room(waiting=0), capacity=50, per_minute=20).seconds == 0

    def test_of_a_room_without_visits_is_a_number(self) -> None:
        assert forecast(room(mean_visit=0), capacity=50, per_minute=None) == Forecast(3_000, 12)
