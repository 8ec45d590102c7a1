"""A connection that the server has ended is noticed without asking the server, and no request fails for it."""

from typing import Any

import pytest
from django.db import connection

from concert_project.wsgi import application
from tests.api.wsgi import call

pytestmark = pytest.mark.django_db(transaction=True)


def backend(rival: Any, column: str, pid: int) -> Any:
    with rival.cursor() as cursor:
        cursor.execute(f"SELECT {column} FROM pg_stat_activity WHERE pid = %s", [pid])  # noqa: S608
        return cursor.fetchone()


def end(rival: Any, pid: int) -> None:
    with rival.cursor() as cursor:
        cursor.execute("SELECT pg_terminate_backend(%s, 5000)", [pid])
        assert cursor.fetchone() == (True,)


def own_pid() -> int:
    connection.ensure_connection()
    pid: int = connection.connection.info.backend_pid
    return pid


class TestIsUsable:
    def test_asks_nothing_of_a_living_connection(self, rival):
        pid = own_pid()
        before = backend(rival, "query, query_start", pid)

        assert connection.is_usable()

        assert backend(rival, "query, query_start", pid) == before

    def test_notices_a_server_that_has_ended_it(self, rival):
        end(rival, own_pid())

        assert not connection.is_usable()
        connection.close()

    def test_asks_when_something_is_there_to_read(self, rival):
        with connection.cursor() as cursor:
            cursor.execute("LISTEN probe")
        with rival.cursor() as cursor:
            cursor.execute("NOTIFY probe")

        assert connection.is_usable()


def test_the_next_request_gets_a_new_connection(rival):
    assert call(application, "GET", "/api/v1/concerts").status == 200
    pid = own_pid()
    end(rival, pid)

    answer = call(application, "GET", "/api/v1/concerts?q=other")

    assert answer.status == 200
    assert own_pid() != pid
