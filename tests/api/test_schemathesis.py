"""Generated calls of every operation: no answer is a 500, and none contradicts the OpenAPI document."""

import re
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from typing import Any
from uuid import UUID

import pytest
import schemathesis
from django.db import connection, transaction
from django.db.models import Model
from django.test import TestCase
from hypothesis import HealthCheck, settings
from psycopg.sql import SQL, Identifier
from schemathesis.checks import CheckContext, not_a_server_error
from schemathesis.core.transport import Response
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    negative_data_rejection,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from apps.accounts.models import AccessToken, User
from apps.api.models import IdempotencyRecord
from apps.core.codes import CODES
from apps.outbox.models import EventDelivery, OutboxEvent
from apps.payments.models import LedgerEntry, LedgerTransaction, Wallet
from apps.queue.models import QueueExit
from apps.reservations.models import Hold, Reservation, SeatClaim, Ticket
from concert_project.wsgi import application
from tests.api.conftest import World, operations

pytestmark = pytest.mark.slow

schema = schemathesis.openapi.from_wsgi("/api/schema/", application)
# Logins are ours: a made-up one would only meet a 401 (see test_permissions.py).
schema.config.generation.update(with_security_parameters=False)

TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")
STORED: list[type[Model]] = [
    *(User, AccessToken, Wallet, LedgerTransaction, LedgerEntry),
    *(Hold, SeatClaim, Reservation, Ticket),
    *(OutboxEvent, EventDelivery, IdempotencyRecord, QueueExit),
]


def follows_the_contract(
    context: CheckContext, response: Response, case: schemathesis.Case
) -> bool | None:
    """Return what the contract says of every answer and a schema cannot."""
    headers = {name: values[0] for name, values in response.headers.items()}
    assert headers["x-request-id"]
    if "json" not in headers.get("content-type", ""):
        return None
    answer = response.json()
    for name, value in leaves(answer):
        assert not isinstance(value, float), f"{name} is no integer"
        if name.endswith(("_at", "_until")) and value is not None:
            assert TIME.fullmatch(value), f"{name} is not in UTC"
    if answer["code"] != "SUCCESS":
        entry = CODES[answer["code"]]
        assert entry.status == response.status_code
        assert answer["data"]["retryable"] is entry.retryable
        assert answer["data"]["request_id"] == headers["x-request-id"]
        assert not entry.retryable or int(headers["retry-after"]) >= 1
    return None


def leaves(value: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    """Every value that is no container, with the name of the field it is in."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from leaves(inner, key)
    elif isinstance(value, list):
        for inner in value:
            yield from leaves(inner, name)
    else:
        yield name, value


PROMISES = [
    follows_the_contract,
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]


@pytest.fixture(autouse=True)
def _one_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server drops connections in an odd state between requests; the test's, which is in a transaction, is to stay."""
    monkeypatch.setattr(connection, "close_if_unusable_or_obsolete", lambda: None)


@contextmanager
def undone() -> Generator[None]:
    """Run what would follow the commit, then take everything back, so that each call finds the same world."""
    inner = transaction.atomic()
    inner._from_testcase = True  # type: ignore[attr-defined]
    with inner:
        with TestCase.captureOnCommitCallbacks(execute=True):
            yield
        transaction.set_rollback(True)


@pytest.fixture
def before(world: World) -> Any:
    return stored()


def keeps_its_promises(case: schemathesis.Case, world: World, before: Any) -> None:
    login = {"Authorization": world.owner.headers["Authorization"]}
    with undone():
        response = case.call_and_validate(
            headers=login, checks=[*PROMISES, negative_data_rejection]
        )
        assert response.status_code < 400 or stored() == before

    with undone():
        reach_deep(case, world)
        response = case.call_and_validate(headers=world.owner.headers, checks=PROMISES)
        assert response.status_code < 400 or stored() == before


def generated_test(operation_id: str) -> Any:
    """A function of its own for each operation: those of one function share a name, and pytest-xdist runs one of them."""

    def test(case: schemathesis.Case, world: World, before: Any) -> None:
        keeps_its_promises(case, world, before)

    bounded = settings(
        max_examples=20,
        derandomize=True,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    return schema.include(operation_id=operation_id).parametrize()(bounded(test))


for described in operations().values():
    name = described["operationId"]
    globals()[f"test_the_promises_of_{name}"] = generated_test(name)


def stored() -> Any:
    """A digest of everything that a refused call must leave alone."""
    digest = SQL("(SELECT md5(string_agg(t::text, '|' ORDER BY t::text)) FROM {} t)")
    digests = SQL(", ").join(digest.format(Identifier(kind._meta.db_table)) for kind in STORED)
    with connection.cursor() as cursor:
        cursor.execute(SQL("SELECT {}").format(digests))
        return cursor.fetchone()


def reach_deep(case: schemathesis.Case, world: World) -> None:
    """Put what exists in the place of what fits the document but names nothing."""
    if isinstance(case.path_parameters, dict):
        case.path_parameters = {name: shown(world.ids[name]) for name in case.path_parameters}
    body: Any = case.body
    if not isinstance(body, dict):
        return
    if case.path.endswith("/login") and all(isinstance(value, str) for value in body.values()):
        body |= {name: world.credentials[name] for name in body.keys() & world.credentials.keys()}
    for name in body.keys() & world.ids.keys():
        if type(body[name]) is type(shown(world.ids[name])):
            body[name] = shown(world.ids[name])
    if isinstance(seat_ids := body.get("seat_ids"), list):
        free = world.seats[2:]
        body["seat_ids"] = [seat.pk for seat in free[: len(seat_ids)]]


def shown(value: int | UUID) -> int | str:
    """An id as JSON has it."""
    return value if isinstance(value, int) else str(value)
