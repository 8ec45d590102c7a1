"""Fixtures that every test may use. Factories are in `tests/factories/`."""

import threading
from collections.abc import Callable, Generator, Sequence
from contextlib import suppress
from typing import Any

import pytest
import redis
from django.apps import apps
from django.conf import settings
from django.contrib.auth.models import Permission
from django.contrib.contenttypes.models import ContentType
from django.core.cache import caches
from django.db import connection, connections, transaction
from django.test import Client, TransactionTestCase
from django.utils import translation

from apps.concerts.models import InventoryCategory
from apps.core.caching import clear_process_caches
from apps.core.lean_store import script_client
from apps.core.store import Breaker
from apps.outbox import announcing, publishing
from apps.outbox.consumers import Consumer, one_by_one
from dev.stack.servers import ValkeyServer
from tests.outbox.deliveries import TYPE, Recorder, add, only
from tests.servers import start_valkey

RACE_TIMEOUT = 60.0

Race = Callable[[Sequence[Callable[[], Any]]], list[Any]]
StartValkey = Callable[..., ValkeyServer]


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run long tests first: at the end they would keep one worker while the others have nothing left to do."""
    long = ("slow", "browser")
    items.sort(key=lambda item: not any(item.get_closest_marker(name) for name in long))


@pytest.fixture(scope="session")
def store() -> Generator[redis.Redis]:
    """A plain client of this process's Valkey, for looking behind the code under test."""
    with redis.Redis.from_url(settings.QUEUE_URL) as client:
        yield client


@pytest.fixture(scope="session")
def broker_store() -> Generator[redis.Redis]:
    """A plain client of where tasks are queued."""
    with redis.Redis.from_url(settings.BROKER_URL) as client:
        yield client


@pytest.fixture(autouse=True)
def _clean_store(store: redis.Redis, broker_store: redis.Redis) -> None:
    """Every test starts with empty stores and a forgetful process. Cache and broker are one server."""
    store.flushall()
    broker_store.flushall()
    for cache in caches.all(initialized_only=True):
        cache.clear()
    clear_process_caches()
    announcing._waits_until.clear()


@pytest.fixture(autouse=True)
def _english() -> Generator[None]:
    """Django leaves the language of a request active in its thread."""
    with translation.override("en"):
        yield


@pytest.fixture(scope="session", autouse=True)
def _delete_instead_of_truncate() -> Generator[None]:
    """End tests with `transaction=True` by deleting all rows, at a tenth of the cost of Django's `flush`.

    That truncates every table, filled or not, and makes all content types and permissions anew; here those stay.
    """
    kept = {ContentType, Permission, InventoryCategory}
    tables = [
        connection.ops.quote_name(model._meta.db_table)
        for model in apps.get_models(include_auto_created=True)
        if model._meta.managed and not model._meta.proxy and model not in kept
    ]
    built_in = tuple(InventoryCategory.Code.values)
    statements = [
        "SET LOCAL session_replication_role = replica",  # no trigger: the ledger's refuse it
        # As truncating does: wait for every transaction that has written here and has not committed.
        f"LOCK TABLE {', '.join(tables)} IN SHARE ROW EXCLUSIVE MODE",
        *(f"DELETE FROM {table}" for table in tables),  # noqa: S608
        f"DELETE FROM concerts_inventorycategory WHERE code NOT IN {built_in}",  # noqa: S608
    ]
    # Rows that are gone take room until they are vacuumed, and much of it changes the plans of queries.
    swollen = "SELECT t FROM unnest(%s::text[]) t WHERE pg_relation_size(t::regclass) > 1000000"

    def delete_rows(_case: TransactionTestCase) -> None:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("; ".join(statements))
            cursor.execute(swollen, [tables])
            if found := [table for (table,) in cursor.fetchall()]:
                cursor.execute(f"TRUNCATE {', '.join(found)} CASCADE")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(TransactionTestCase, "_fixture_teardown", delete_rows)
        yield


@pytest.fixture
def valkey_server() -> Generator[StartValkey]:
    """Start further Valkey servers: `valkey_server(append_only=True, options={...})`.

    Each can be stopped, started again, killed, and frozen with `pause` and `resume`.
    """
    started: list[ValkeyServer] = []

    def start(**options: Any) -> ValkeyServer:
        started.append(start_valkey(**options))
        return started[-1]

    yield start
    for server in started:
        server.stop()


@pytest.fixture
def race() -> Race:
    """Run callables at the same moment: `race([a, b])` returns what each returned or raised.

    Each runs in a thread with its own database connection, opened before the start, so the
    test needs `django_db(transaction=True)` if the callables use the database.
    """

    def run(contestants: Sequence[Callable[[], Any]]) -> list[Any]:
        if connection.in_atomic_block:
            raise RuntimeError("Other threads cannot see this test's data: use transaction=True.")
        barrier = threading.Barrier(len(contestants))
        outcomes: list[Any] = [None] * len(contestants)

        def compete(place: int, contestant: Callable[[], Any]) -> None:
            try:
                # pytest-django forbids it to tests that are not marked `django_db`.
                with suppress(RuntimeError):
                    connection.ensure_connection()
                barrier.wait(RACE_TIMEOUT)
                outcomes[place] = contestant()
            except Exception as error:
                outcomes[place] = error
            finally:
                connections.close_all()

        threads = [
            threading.Thread(target=compete, args=pair, daemon=True)
            for pair in enumerate(contestants)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(RACE_TIMEOUT)
        if any(thread.is_alive() for thread in threads):
            raise TimeoutError(f"A contestant was still running after {RACE_TIMEOUT:.0f} s.")
        return outcomes

    return run


@pytest.fixture
def api() -> Client:
    """An anonymous caller who gets a 500 as an answer, as in production, and not as an exception."""
    return Client(raise_request_exception=False)


@pytest.fixture(autouse=True)
def _closed_breakers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep what one test did to a store from making the next one refuse."""
    monkeypatch.setattr(publishing, "_breaker", Breaker())
    for url in (settings.QUEUE_URL, settings.CACHE_URL, settings.BROKER_URL):
        script_client(url)._breaker = Breaker()


@pytest.fixture
def rival() -> Generator:
    """A second connection to the test's database."""
    other = connection.copy()
    yield other
    other.close()


@pytest.fixture
def consumer(monkeypatch):
    """Register consumers for this test; `consumer("first")` returns what its effect records."""
    only(monkeypatch)

    def register(
        name: str = "first",
        types: tuple[str, ...] = (TYPE,),
        *,
        is_outside: bool = False,
    ) -> Recorder:
        recorder = Recorder()
        add(monkeypatch, Consumer(name, frozenset(types), one_by_one(recorder), is_outside))
        return recorder

    return register
