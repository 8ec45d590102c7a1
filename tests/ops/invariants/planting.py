"""Plant breaches past locks, triggers and constraints, and ask which invariants notice."""

from collections.abc import Generator
from contextlib import contextmanager
from datetime import timedelta

import pgtrigger
from django.apps import apps
from django.db import connection, models
from django.utils import timezone

from apps.ops.invariants import Invariant, check_invariants
from apps.outbox.draining import drain
from apps.outbox.events import CONSUMERS
from apps.payments.services import adjust_wallet
from apps.reservations.models import Reservation
from apps.reservations.services import cancel_reservation
from tests.factories.accounts import CustomerFactory

NOWHERE = "redis://127.0.0.1:1/0"
LATELY = timedelta(minutes=15)
span: timedelta | None = None  # of the check; None: everything


def check() -> list[Invariant]:
    return check_invariants(since=None if span is None else timezone.now() - span)


def checked(name: str) -> Invariant:
    return next(result for result in check() if result.name == name)


def breaches() -> dict[str, int]:
    """Return the broken invariants, and how often each is broken."""
    return {result.name: result.breaches for result in check() if result.breaches}


def broken() -> dict[str, list[str]]:
    """Return the broken invariants, each with what it says of every breach."""
    found = [result for result in check() if result.breaches]
    assert all(len(result.examples) == result.breaches for result in found)
    return {result.name: result.examples for result in found}


def expect_broken(name: str, *told: str) -> None:
    """Expect that this invariant alone is broken, and that it says these things of its breaches."""
    assert broken() == {name: list(told)}


def consume_events() -> None:
    for consumer in CONSUMERS.values():
        drain(consumer=consumer.name)


def cancel(reserved: Reservation) -> None:
    cancel_reservation(customer_id=reserved.customer_id, reservation_id=reserved.pk)


def adjust(customer_id: int, amount: int) -> None:
    staff = CustomerFactory(staff=True)
    adjust_wallet(customer_id=customer_id, amount=amount, reason="A mistake", staff_id=staff.pk)


@contextmanager
def unprotected(*constraints: tuple[type[models.Model], str]) -> Generator[None]:
    """Go without the triggers and the named constraints; the test's transaction brings them back."""
    connection.check_constraints()
    with pgtrigger.ignore():
        with connection.schema_editor() as editor:
            for model, name in constraints:
                [constraint] = [known for known in model._meta.constraints if known.name == name]
                editor.remove_constraint(model, constraint)
        yield
        connection.check_constraints()


@contextmanager
def without_foreign_keys(model: type[models.Model]) -> Generator[None]:
    """Go without the triggers and the foreign keys of a model, for the rest of the test."""
    table = model._meta.db_table
    connection.check_constraints()
    with connection.cursor() as cursor:
        for name, about in connection.introspection.get_constraints(cursor, table).items():
            if about["foreign_key"]:
                cursor.execute(f'ALTER TABLE "{table}" DROP CONSTRAINT "{name}"')
    with pgtrigger.ignore():
        yield
        connection.check_constraints()


def age(*, days: int = 1) -> None:
    """Let everything have happened that many days before."""
    connection.check_constraints()
    with pgtrigger.ignore():
        for model in apps.get_models():
            times = [
                field.name
                for field in model._meta.concrete_fields
                if isinstance(field, models.DateField)  # or one of its subclass with a time
            ]
            if times and model.__module__.startswith("apps."):
                earlier = {name: models.F(name) - timedelta(days=days) for name in times}
                model._base_manager.update(**earlier)
        connection.check_constraints()
