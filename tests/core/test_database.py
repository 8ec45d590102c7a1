"""Prepared statements and pipelines behave as the ORM does, with fewer round trips."""

from typing import Any, cast

import pytest
from django.db import DataError, OperationalError, connection, transaction
from django.test.utils import CaptureQueriesContext

from apps.core.database import (
    KEPT_ROWS_MAX,
    Statement,
    fetch_all,
    fetch_one,
    fetch_pipelined,
    load_statements,
)
from apps.core.postgresql.base import DatabaseWrapper
from apps.core.transactions import LOCK_NOT_AVAILABLE, sqlstate
from tests.factories.accounts import CustomerFactory

pytestmark = pytest.mark.django_db(transaction=True)

ADD = Statement("add", "SELECT %(a)s::int + %(b)s::int")
DIVIDE = Statement("divide", "SELECT 1 / %(by)s::int")
LOCK = Statement("lock", "SELECT id FROM accounts_user WHERE id = %(id)s FOR NO KEY UPDATE NOWAIT")


def prepared_statements() -> list[str]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT statement FROM pg_prepared_statements")
        return [row[0] for row in cursor.fetchall()]


def kept_cursors() -> dict[str, Any]:
    return cast(DatabaseWrapper, connection).kept_cursors


class TestLoadStatements:
    def test_splits_a_file_by_name_and_drops_comments(self, tmp_path):
        path = tmp_path / "some.sql"
        path.write_text(
            "-- Everything.\n\n-- name: first\n-- Says one.\nSELECT 1;\n\n-- name: second\nSELECT 2\nFROM x;\n"
        )

        statements = load_statements(path)

        assert statements == {"first": "SELECT 1", "second": "SELECT 2\nFROM x"}
        assert [statement.name for statement in statements.values()] == ["first", "second"]


class TestFetch:
    def test_returns_rows(self):
        assert fetch_all(ADD, {"a": 1, "b": 2}) == [(3,)]
        assert fetch_one(ADD, {"a": 1, "b": 2}) == (3,)
        assert fetch_one(LOCK, {"id": -1}) is None

    def test_prepares_once_for_each_connection(self):
        connection.close()

        for a in range(3):
            fetch_one(ADD, {"a": a, "b": 1})

        assert [text for text in prepared_statements() if "$1::int + $2" in text] == [
            "SELECT $1::int + $2::int"
        ]

    def test_prepares_once_whatever_the_size_of_a_number(self):
        connection.close()
        either = Statement("either", "SELECT %(a)s::bigint, %(many)s::bigint[]")

        for a in (1, 70_000, 2**40):
            assert fetch_one(either, {"a": a, "many": [a, 1]}) == (a, [a, 1])

        assert len([text for text in prepared_statements() if "$1::bigint, $2" in text]) == 1

    def test_prepares_nothing_behind_a_pooler_that_could_not_carry_it(self):
        connection.close()
        connection.ensure_connection()
        connection.connection.prepare_threshold = None  # as DATABASE_PREPARED_STATEMENTS=0 has it

        assert fetch_pipelined([(ADD, {"a": 1, "b": 1})] * 2) == [[(2,)], [(2,)]]

        assert prepared_statements() == []
        connection.close()

    def test_runs_a_statement_again_with_the_cursor_of_the_last_time(self):
        fetch_one(ADD, {"a": 1, "b": 2})
        cursor = kept_cursors()[ADD]

        assert fetch_pipelined([(ADD, {"a": a, "b": 1}) for a in range(3)]) == [
            [(1,)],
            [(2,)],
            [(3,)],
        ]
        assert fetch_one(ADD, {"a": 5, "b": 5}) == (10,)
        assert kept_cursors()[ADD] is not cursor, "one of the pipeline's others was kept last"
        connection.close()
        assert fetch_one(ADD, {"a": 2, "b": 3}) == (5,)
        assert kept_cursors()[ADD].connection is connection.connection

    def test_does_not_keep_many_rows_in_memory(self):
        many = Statement("many", "SELECT generate_series(1, %(last)s::int)")

        assert len(fetch_all(many, {"last": KEPT_ROWS_MAX + 1})) == KEPT_ROWS_MAX + 1
        assert many not in kept_cursors()
        assert len(fetch_all(many, {"last": KEPT_ROWS_MAX})) == KEPT_ROWS_MAX
        assert many in kept_cursors()

    def test_takes_part_in_the_transaction(self):
        create = Statement("create", "CREATE TEMPORARY TABLE probe ON COMMIT DROP AS SELECT 1 AS n")
        count = Statement("count", "SELECT count(*) FROM probe")

        with transaction.atomic():
            assert fetch_pipelined([(create, {}), (count, {})]) == [[], [(1,)]]
            transaction.set_rollback(True)

        with pytest.raises(Exception, match="probe"):
            fetch_one(count, {})

    def test_is_seen_by_execute_wrappers_and_by_counts_of_queries(self):
        seen = []

        def note(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
            seen.append((sql, params))
            return execute(sql, params, many, context)

        with CaptureQueriesContext(connection) as captured, connection.execute_wrapper(note):
            fetch_pipelined([(ADD, {"a": 1, "b": 2}), (DIVIDE, {"by": 1})])

        assert [query["sql"] for query in captured] == [ADD, DIVIDE]
        assert seen == [(ADD, {"a": 1, "b": 2}), (DIVIDE, {"by": 1})]


class TestFailures:
    @pytest.mark.parametrize("before", [0, 1, 3])
    @pytest.mark.parametrize("after", [0, 1, 3])
    def test_names_the_statement_that_failed(self, before, after):
        fetch_pipelined([(DIVIDE, {"by": 1}), (ADD, {"a": 1, "b": 2})])  # both have run before
        add: tuple[Statement, dict[str, Any]] = (ADD, {"a": 1, "b": 2})

        with pytest.raises(DataError) as caught, transaction.atomic():
            fetch_pipelined([add] * before + [(DIVIDE, {"by": 0})] + [add] * after)

        assert caught.value.failed_statement == "divide"  # type: ignore[attr-defined]
        assert fetch_one(ADD, {"a": 2, "b": 2}) == (4,)

    def test_a_lock_that_is_taken_aborts_the_rest(self, rival):
        customer = CustomerFactory()

        with rival.cursor() as cursor, transaction.atomic():
            rival.set_autocommit(False)
            cursor.execute(LOCK % {"id": customer.pk})
            with pytest.raises(OperationalError) as caught, transaction.atomic():
                fetch_pipelined(
                    [(ADD, {"a": 1, "b": 1}), (LOCK, {"id": customer.pk}), (ADD, {"a": 1, "b": 1})]
                )
            rival.rollback()

        assert sqlstate(caught.value) == LOCK_NOT_AVAILABLE
        assert caught.value.failed_statement == "lock"  # type: ignore[attr-defined]
