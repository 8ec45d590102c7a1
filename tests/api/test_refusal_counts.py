"""Test that refusals are counted by code, whichever door they come from, and that counting them asks nothing of a call."""

import time

import pytest
import redis
from django.conf import settings
from django.test import Client

from apps.api import refusal_counts
from apps.api.refusal_counts import count_refusal, flush_refusals, refusals_by_code
from apps.core.lean_store import script_client
from apps.core.store import StoreUnavailable
from tests.factories.accounts import CustomerFactory, bearer


@pytest.fixture(autouse=True)
def _nothing_counted_yet(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave the telling to the tests: the thread of this process would do it in between."""
    refusal_counts._codes.clear()
    monkeypatch.setattr(refusal_counts, "_start_if_needed", lambda: None)
    refusal_counts._has_codes.set()


def counted() -> dict[str, int]:
    flush_refusals()
    return refusals_by_code(minutes=60)


class TestCounts:
    def test_are_of_all_codes_and_of_all_processes(self) -> None:
        for code in ("SEAT_ALREADY_HELD", "RATE_LIMITED", "SEAT_ALREADY_HELD"):
            count_refusal(code)
        flush_refusals()
        count_refusal("SEAT_ALREADY_HELD")

        assert counted() == {"SEAT_ALREADY_HELD": 3, "RATE_LIMITED": 1}

    def test_are_of_the_minutes_asked_for(self, monkeypatch: pytest.MonkeyPatch) -> None:
        now = time.time()
        for minutes_ago, code in ((59, "OLD"), (61, "TOO_OLD"), (0, "NEW")):
            count_refusal(code)
            with monkeypatch.context() as patch:
                patch.setattr(refusal_counts.time, "time", lambda ago=minutes_ago: now - ago * 60)
                flush_refusals()
        monkeypatch.setattr(refusal_counts.time, "time", lambda: now)

        assert refusals_by_code(minutes=60) == {"OLD": 1, "NEW": 1}
        assert refusals_by_code(minutes=1) == {"NEW": 1}

    def test_do_not_stay_for_ever(self) -> None:
        count_refusal("SEAT_ALREADY_HELD")
        flush_refusals()

        with redis.Redis.from_url(settings.CACHE_URL) as client:
            [key] = client.keys("{refusals}:*")
            assert 0 < client.ttl(key) <= refusal_counts.KEPT_MINUTES * 60

    def test_cost_a_call_nothing_while_the_store_is_away(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def away(*_: object) -> None:
            raise StoreUnavailable

        monkeypatch.setattr(type(script_client(settings.CACHE_URL)), "_evaluate", away)

        count_refusal("SEAT_ALREADY_HELD")
        with pytest.raises(StoreUnavailable):
            flush_refusals()

        assert not refusal_counts._codes

    def test_are_told_by_a_thread(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.undo()
        monkeypatch.setattr(refusal_counts, "FLUSH_SECONDS", 0.05)
        monkeypatch.setattr(refusal_counts, "_process", None)
        refusal_counts._has_codes.clear()

        count_refusal("RATE_LIMITED")

        for _ in range(100):
            if refusals_by_code(minutes=60):
                break
            time.sleep(0.05)
        assert refusals_by_code(minutes=60) == {"RATE_LIMITED": 1}


@pytest.mark.django_db
class TestDoors:
    def test_a_call_of_the_api(self, api: Client) -> None:
        api.get("/api/v1/reservations")
        api.get("/api/v1/concerts/999999999")

        assert counted() == {"AUTHENTICATION_REQUIRED": 1, "CONCERT_NOT_FOUND": 1}

    def test_a_page(self) -> None:
        Client().get("/concerts/999999999/")

        assert counted() == {"CONCERT_NOT_FOUND": 1}

    def test_what_succeeds_is_not_counted(self, api: Client) -> None:
        api.get("/api/v1/concerts")
        api.get("/api/v1/users/me", headers=bearer(CustomerFactory()))

        assert "AUTHENTICATION_REQUIRED" not in counted()
