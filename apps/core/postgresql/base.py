"""Django's backend for PostgreSQL, with a health check that costs no round trip, and one type for every integer."""

import select
from typing import Any

import psycopg
from django.db.backends.postgresql import base
from psycopg.types.numeric import Int8Dumper


class DatabaseWrapper(base.DatabaseWrapper):
    kept_cursors: dict[str, psycopg.Cursor[Any]]
    """Of this connection, by the statement that each has run: `apps/core/database.py` runs it again with them."""

    def get_new_connection(self, conn_params: dict[str, Any]) -> Any:
        """Connect; integers are sent as bigint: psycopg would choose by size, and prepare a statement anew for each choice."""
        connection = super().get_new_connection(conn_params)
        connection.adapters.register_dumper(int, Int8Dumper)
        self.kept_cursors = {}
        return connection

    def is_usable(self) -> bool:
        """Return False for a connection that the server has ended, also when that went unnoticed so far.

        A server that goes away ends its connections, and a request that finds its own at its end opens a new one. Between two
        requests there is nothing to read from a connection that lives; if there is, the server is asked.
        """
        connection: Any = self.connection
        if connection is None or connection.closed:
            return False
        poll = select.poll()
        poll.register(connection.pgconn.socket, select.POLLIN)
        return not poll.poll(0) or super().is_usable()
