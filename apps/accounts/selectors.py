"""Reads of accounts and logins."""

from pathlib import Path

from django.db import DEFAULT_DB_ALIAS, InterfaceError, OperationalError, connection
from django.utils import timezone

from apps.accounts.models import AccessToken, User
from apps.shared.database import Call, Row, fetch_one, load_statements

SQL = load_statements(Path(__file__).with_name("login.sql"))
# As the statement selects them.
TOKEN_FIELDS = ("id", "user_id", "token_hash", "created_at", "expires_at", "revoked_at")
USER_FIELDS = (
    *("id", "password", "last_login", "is_superuser", "email", "name"),
    *("is_active", "is_staff", "joined_at"),
)


def live_login(token_hash: bytes) -> AccessToken | None:
    """Return the live token with this digest and the active account it belongs to, by one prepared statement.

    It is the first thing a call wants of its connection, which may have been cut since the last one: then it is made anew.
    """
    try:
        row = _find(token_hash)
    except (OperationalError, InterfaceError):
        if connection.in_atomic_block or connection.is_usable():
            raise
        connection.close()
        row = _find(token_hash)
    if row is None:
        return None
    token = AccessToken.from_db(DEFAULT_DB_ALIAS, TOKEN_FIELDS, row[: len(TOKEN_FIELDS)])
    token.user = User.from_db(DEFAULT_DB_ALIAS, USER_FIELDS, row[len(TOKEN_FIELDS) :])
    return token


def _find(token_hash: bytes) -> Row | None:
    return fetch_one(SQL["live_login"], {"token_hash": token_hash, "at": timezone.now()})


def login_look(token_hash: bytes) -> Call:
    """Return the statement that has a row if the token with this digest is live, for the pipeline of a use case."""
    return SQL["login_look"], {"token_hash": token_hash, "at": timezone.now()}
