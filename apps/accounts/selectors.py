"""Reads of accounts and logins."""

import time
from pathlib import Path

from django.db import DEFAULT_DB_ALIAS, InterfaceError, OperationalError, connection
from django.utils import timezone

from apps.accounts.models import AccessToken, User
from apps.core.database import Parameters, Row, Statement, fetch_one, load_statements

_SQL = load_statements(Path(__file__).with_name("login.sql"))
# As the statement selects them.
TOKEN_FIELDS = ("id", "user_id", "token_hash", "created_at", "expires_at", "revoked_at")
USER_FIELDS = (
    *("id", "password", "last_login", "is_superuser", "email", "name"),
    *("is_active", "is_staff", "joined_at"),
)


def live_customer(token_hash: bytes) -> tuple[int, float] | None:
    """Return the customer whom a live token with this digest lets in, and until when, in seconds since 1970.

    For calls that need no more than that: no objects are made.
    """
    row = _find(_SQL["live_customer"], {"token_hash": token_hash})
    if row is None:
        return None
    customer_id, expires_at = row
    return (customer_id, expires_at) if time.time() < expires_at else None


def live_login(token_hash: bytes) -> AccessToken | None:
    """Return the live token with this digest and the active account it belongs to, by one prepared statement."""
    row = _find(_SQL["live_login"], {"token_hash": token_hash, "at": timezone.now()})
    if row is None:
        return None
    token = AccessToken.from_db(DEFAULT_DB_ALIAS, TOKEN_FIELDS, row[: len(TOKEN_FIELDS)])
    token.user = User.from_db(DEFAULT_DB_ALIAS, USER_FIELDS, row[len(TOKEN_FIELDS) :])
    return token


def _find(statement: Statement, parameters: Parameters) -> Row | None:
    """Look up a login: the first thing a call wants of its connection, which may have been cut since the last one.

    Then it is made anew.
    """
    try:
        return fetch_one(statement, parameters)
    except (OperationalError, InterfaceError):
        if connection.in_atomic_block or connection.is_usable():
            raise
        connection.close()
        return fetch_one(statement, parameters)
