"""A client of one Valkey/Redis for the hot paths: a connection for each thread and nothing between it and the caller.

redis-py makes the connections, so addresses, TLS and logins are those of every other client. Left out is what costs more than the
command itself under load: the pool with its locks, parsing of answers by command, hooks. A cluster is served by redis-py.
"""

import hashlib
import os
import select
import socket
import ssl
import struct
import threading
import time
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any, Final, cast
from urllib.parse import urlsplit

import redis
from django.conf import settings
from hiredis import Reader, pack_command
from redis.connection import ConnectionPool, DefaultParser

from apps.core.store import (
    CLUSTER_SCHEMES,
    Breaker,
    ClusterStoreClient,
    connect,
    connection_options,
)

Command = tuple[Any, ...]


_READ_BYTES = 65_536
_NOT_YET = object()
_TIMEVAL = struct.Struct("@ll")  # seconds and microseconds, as setsockopt(2) takes them


class _ServerRunId:
    """Stands in the arguments of a script for the id of the server process that will run it."""


SERVER_RUN_ID: Final = _ServerRunId()


class _ThreadConnection:
    """A connection and what is known of the server process at its other end, which it never outlives.

    redis-py makes the connection; what goes over it does so without its layers.
    """

    def __init__(self, connection: Any) -> None:
        self.process_id = os.getpid()
        self.run_id = b""
        self._connection = connection
        self._readable = select.poll()

    def prepare(self) -> None:
        """Connect if need be, also when the server has hung up since the last answer."""
        if self._connection.is_connected:
            if not self._readable.poll(0):
                return
            # Nothing is owed to us: what can be read is the end, or belongs to no command.
            self._connection.disconnect()
        self.run_id = b""
        self._connection.connect()
        # redis-py's own parsers find it here, too.
        self._socket: socket.socket = self._connection._sock
        _leave_waiting_to_the_kernel(self._socket)
        self._readable = select.poll()
        self._readable.register(self._socket, select.POLLIN)
        self._reader = Reader(
            protocolError=redis.InvalidResponse,
            replyError=DefaultParser.parse_error,
            notEnoughData=_NOT_YET,
        )
        about_server = self.exchange(("INFO", "server"))
        if isinstance(about_server, bytes):
            [_, _, rest] = about_server.partition(b"\r\nrun_id:")
            self.run_id = rest.partition(b"\r\n")[0]

    def exchange(self, command: Command) -> Any:
        """Send a command and return its answer, which may be an error of the server's.

        :raises redis.ConnectionError, OSError: there is no answer, and no connection any more.
        """
        try:
            self._socket.sendall(pack_command(command))
            return self._answer()
        except BaseException:
            # What is still to come would be taken for the answer to another command.
            self._connection.disconnect()
            raise

    def _answer(self) -> Any:
        answer = self._reader.gets()
        ends_at = 0.0
        while answer is _NOT_YET:
            received = self._socket.recv(_READ_BYTES)
            if not received:
                raise redis.ConnectionError("The server has hung up.")
            self._reader.feed(received)
            answer = self._reader.gets()
            if answer is _NOT_YET:
                # The time-out of the socket is for each part; one that comes byte by byte would take as many of them.
                ends_at = ends_at or time.monotonic() + settings.STORE_TIMEOUT
                if time.monotonic() > ends_at:
                    raise redis.TimeoutError("The answer took too long.")
        if isinstance(answer, redis.ConnectionError):
            raise answer  # the server says that it is not ready yet
        return answer


def _leave_waiting_to_the_kernel(connected: socket.socket) -> None:
    """Let the kernel keep the time-out: Python's own costs a system call, and the interpreter's lock, before each read and write.

    Not with TLS, which would take the kernel's word that time is over for a reason to try again.
    """
    seconds = connected.gettimeout()
    if seconds is None or isinstance(connected, ssl.SSLSocket):
        return
    time_out = _TIMEVAL.pack(int(seconds), int(seconds % 1 * 1_000_000))
    connected.settimeout(None)
    for option in (socket.SO_RCVTIMEO, socket.SO_SNDTIMEO):
        connected.setsockopt(socket.SOL_SOCKET, option, time_out)


class LeanStoreClient:
    """Commands to one server. Their answers come as the server gave them: bytes, numbers, lists.

    Every method raises `StoreUnavailable` when there is no answer within `STORE_TIMEOUT` seconds or was none a moment ago, and
    nothing is sent twice: a connection that has gone stale is noticed before it is used.
    """

    # For `evalsha` and `eval`, in the place of an argument.
    run_id: Final = SERVER_RUN_ID

    def __init__(self, url: str) -> None:
        self._pool = ConnectionPool.from_url(url, **connection_options(), protocol=2)
        self._breaker = Breaker()
        self._of_thread = threading.local()

    def execute_command(self, *command: Any) -> Any:
        with self._breaker:
            return self._execute(self._connected(), command)

    def evalsha(self, sha: str, numkeys: int, *keys_and_args: Any) -> Any:
        return self._evaluate("EVALSHA", sha, numkeys, keys_and_args)

    def eval(self, script: str, numkeys: int, *keys_and_args: Any) -> Any:
        return self._evaluate("EVAL", script, numkeys, keys_and_args)

    def xrange(self, name: str, min: str = "-", max: str = "+", count: int | None = None) -> Any:
        limit = () if count is None else ("COUNT", count)
        entries = self.execute_command("XRANGE", name, min, max, *limit)
        return [
            (entry_id, dict(zip(fields[::2], fields[1::2], strict=True)))
            for entry_id, fields in entries
        ]

    def xdel(self, name: str, *ids: Any) -> Any:
        return self.execute_command("XDEL", name, *ids)

    def _evaluate(self, how: str, script: str, numkeys: int, keys_and_args: Command) -> Any:
        with self._breaker:
            connection = self._connected()
            # In here, so that it is the process that this connection leads to.
            given = [
                connection.run_id if value is SERVER_RUN_ID else value for value in keys_and_args
            ]
            return self._execute(connection, (how, script, numkeys, *given))

    def _execute(self, connection: _ThreadConnection, command: Command) -> Any:
        answer = connection.exchange(command)
        if isinstance(answer, redis.ResponseError):
            raise answer
        return answer

    def _connected(self) -> _ThreadConnection:
        connection: _ThreadConnection | None = getattr(self._of_thread, "connection", None)
        if connection is None or connection.process_id != os.getpid():
            made = self._pool.connection_class(**self._pool.connection_kwargs)
            connection = self._of_thread.connection = _ThreadConnection(made)
        connection.prepare()
        return connection


class Script:
    """Lua that is called by its digest, and sent whole to a server that does not have it yet."""

    def __init__(self, *paths: Path, writes: bool = True) -> None:
        """`paths` are parts of one script. A server whose memory is full refuses one that `writes` as a whole, instead of half-way."""
        header = "#!lua\n" if writes else "#!lua flags=no-writes\n"
        self._text = header + "\n".join(path.read_text() for path in paths)
        self._digest = hashlib.sha1(self._text.encode(), usedforsecurity=False).hexdigest()

    def run(
        self,
        client: LeanStoreClient | ClusterStoreClient,
        keys: Sequence[str],
        *arguments: Any,
    ) -> Any:
        given = (len(keys), *keys, *arguments)
        try:
            return client.evalsha(self._digest, *given)
        except redis.exceptions.NoScriptError:
            return client.eval(self._text, *given)


@cache
def script_client(url: str) -> LeanStoreClient | ClusterStoreClient:
    """Return the one client of this process for scripts on a server, or on a cluster.

    :raises StoreUnavailable: it is a cluster, and none of its nodes answers.
    """
    if urlsplit(url).scheme in CLUSTER_SCHEMES:
        return cast(ClusterStoreClient, connect(url))
    return LeanStoreClient(url)
