"""Migrations that are tried again, and of which an attempt that failed leaves nothing half.

A migration that changes a table in use waits for its lock, and everybody else waits behind it. So it waits for a second only
(`MIGRATION_LOCK_TIMEOUT_MS`), gives way, and is tried again. Most migrations are one transaction, of which a failed attempt leaves
nothing. One that builds indexes beside writers cannot be: its operations are resumed where the last attempt has ended, also that of a
process which was killed.
"""

from copy import copy
from typing import Any

import psycopg
from django.conf import settings
from django.contrib.postgres.operations import NotInTransactionMixin
from django.db import DEFAULT_DB_ALIAS, OperationalError, transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.db.migrations import Migration
from django.db.migrations.executor import MigrationExecutor
from django.db.migrations.operations import AddConstraint, AddField, AddIndex, RunPython, RunSQL
from django.db.migrations.operations.base import Operation
from django.db.migrations.recorder import MigrationRecorder
from django.db.migrations.state import ProjectState

OWNER = "owner"
CONTENTION = (psycopg.errors.LockNotAvailable, psycopg.errors.DeadlockDetected)
# They begin and end their transactions themselves, or have none.
FREE_OPERATIONS = (NotInTransactionMixin, RunSQL, RunPython)


def alias_of_owner() -> str:
    """Return the alias of the role that owns the tables, which is the application's own if no other is set."""
    return OWNER if OWNER in settings.DATABASES else DEFAULT_DB_ALIAS


def use_timeouts_of_migrations(connection: BaseDatabaseWrapper) -> None:
    """Let the session wait for locks and for statements as `MIGRATION_TIMEOUTS` says, whatever its role would do."""
    with connection.cursor() as cursor:
        for name, milliseconds in settings.MIGRATION_TIMEOUTS.items():
            cursor.execute("SELECT set_config(%s, %s, false)", [name, str(milliseconds)])


def is_contention(error: OperationalError) -> bool:
    """Return whether another session held a lock for too long, so that the same may work later."""
    return isinstance(error.__cause__, CONTENTION)


def has_unreleased_tables(connection: BaseDatabaseWrapper) -> bool:
    """Return whether the database was laid out before the migrations of the first release began."""
    return ("shared", "0001_initial") in MigrationRecorder(connection).applied_migrations()


class ResumingExecutor(MigrationExecutor):
    """Apply a migration that is no transaction operation by operation, and leave out those that are done."""

    def apply_migration(
        self,
        state: ProjectState,
        migration: Migration,
        fake: bool = False,
        fake_initial: bool = False,
    ) -> ProjectState:
        if not migration.atomic:
            migration = copy(migration)
            migration.operations = [_Resumed(operation) for operation in migration.operations]  # type: ignore[misc]
        return super().apply_migration(state, migration, fake, fake_initial)


class _Resumed:
    """An operation of a migration that is no transaction: it is done wholly or not at all, and once."""

    def __init__(self, operation: Operation) -> None:
        self._operation = operation

    def __getattr__(self, name: str) -> Any:
        return getattr(self._operation, name)

    def database_forwards(
        self,
        app_label: str,
        editor: BaseDatabaseSchemaEditor,
        from_state: ProjectState,
        to_state: ProjectState,
    ) -> None:
        if _is_done(self._operation, app_label, editor, to_state):
            return
        if isinstance(self._operation, FREE_OPERATIONS):
            self._operation.database_forwards(app_label, editor, from_state, to_state)
            return
        with transaction.atomic(editor.connection.alias):
            self._operation.database_forwards(app_label, editor, from_state, to_state)
            while editor.deferred_sql:  # it belongs to the operation: indexes and foreign keys
                editor.execute(editor.deferred_sql.pop(0))


def _is_done(
    operation: Operation, app_label: str, editor: BaseDatabaseSchemaEditor, to_state: ProjectState
) -> bool:
    """Return whether an earlier attempt came so far. An index that it left invalid is dropped."""
    if not isinstance(operation, (AddField, AddIndex, AddConstraint)):
        return False
    model = to_state.apps.get_model(app_label, operation.model_name)
    table = model._meta.db_table
    with editor.connection.cursor() as cursor:
        if isinstance(operation, AddField):
            column = model._meta.get_field(operation.name).column
            columns = editor.connection.introspection.get_table_description(cursor, table)
            return column in [described.name for described in columns]
        if isinstance(operation, AddConstraint):
            constraints = editor.connection.introspection.get_constraints(cursor, table)
            return operation.constraint.name in constraints
        cursor.execute(
            "SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass(%s)",
            [editor.quote_name(operation.index.name)],
        )
        is_valid: bool | None = next((valid for (valid,) in cursor.fetchall()), None)
    if is_valid is False:
        editor.execute(f"DROP INDEX CONCURRENTLY {editor.quote_name(operation.index.name)}")
    return bool(is_valid)
