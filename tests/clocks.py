"""Clocks that a test stops and moves: the database's, and that of what a process keeps. The store's is in `tests/queue/rooms.py`."""

from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection

from apps.core import caching

# Found before PostgreSQL's own functions, because its catalogue is named last in the search path.
_STOPPED = """
CREATE SCHEMA stopped_clock;
CREATE FUNCTION stopped_clock.clock_timestamp() RETURNS timestamptz VOLATILE LANGUAGE sql
    AS $$ SELECT current_setting('stopped_clock.now')::timestamptz $$;
CREATE FUNCTION stopped_clock.statement_timestamp() RETURNS timestamptz VOLATILE LANGUAGE sql
    AS $$ SELECT current_setting('stopped_clock.now')::timestamptz $$;
SET LOCAL search_path = stopped_clock, public, pg_catalog;
"""


class DatabaseClock:
    """The time of this session until the test's transaction is rolled back. Defaults of columns keep the real time."""

    def __init__(self) -> None:
        with connection.cursor() as cursor:
            cursor.execute("SELECT now()")
            [now] = cursor.fetchone()
            cursor.execute(_STOPPED)
        self.set(now)

    def set(self, now: datetime) -> None:
        self.now = now.astimezone(UTC)
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT set_config('stopped_clock.now', %s, true)", [self.now.isoformat()]
            )

    def advance(self, span: timedelta) -> None:
        self.set(self.now + span)


class CacheClock:
    """The time by which process caches keep what they have, in seconds; it stands still until `now` is set."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 0.0
        for cache in caching._all_caches:
            monkeypatch.setattr(cache, "_clock", lambda: self.now)
