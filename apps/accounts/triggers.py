"""A trigger of PostgreSQL for what must hold of accounts, be they changed by a service, the admin, a command, or SQL by hand."""

from collections.abc import Generator
from contextlib import contextmanager

import pgtrigger
from django.db import connection, transaction

# While `encore.is_rehashing` is on, another hash is one of the same password.
_END_LOGINS = """
    IF current_setting('encore.is_rehashing', TRUE) IS DISTINCT FROM 'on' THEN
        UPDATE accounts_accesstoken SET revoked_at = clock_timestamp()
        WHERE user_id = NEW.id AND revoked_at IS NULL AND expires_at > clock_timestamp();
    END IF;
    RETURN NULL;
"""


def new_password_ends_logins() -> pgtrigger.Trigger:
    """Another password revokes the access tokens that were got with the one before."""
    return pgtrigger.Trigger(
        name="end_logins",
        when=pgtrigger.After,
        operation=pgtrigger.UpdateOf("password"),  # type: ignore[no-untyped-call]
        condition=pgtrigger.Q(old__password__df=pgtrigger.F("new__password")),
        func=_END_LOGINS,
    )


@contextmanager
def same_password() -> Generator[None]:
    """Store another hash of the password that there is, which ends no logins."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL encore.is_rehashing = 'on'")
        yield
        cursor.execute("SET LOCAL encore.is_rehashing = 'off'")
