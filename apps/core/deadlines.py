"""A deadline and a size for a whole HTTP exchange: the time-outs of httpx are for each connect, read and write.

An answer that comes byte by byte never lets a read wait, and so holds its thread for as long as it likes; one that never ends
fills the memory, whatever its headers say. Here every operation on the socket gets what is left of the exchange at most, from
looking up the name through the connect and the headers to the end of the body.
"""

import os
import socket
import ssl
import time
from collections.abc import Generator, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from functools import cache
from ipaddress import ip_address
from typing import Any

import httpcore
import httpx

LOOK_UPS_AT_ONCE = 4
# A send waits until all of this fits into the buffer of the socket, so it waits once.
SLICE_BYTES = 4_096


@dataclass(slots=True)
class _Exchange:
    ends_at: float  # by the monotonic clock
    bytes_left: int


_exchange: ContextVar[_Exchange | None] = ContextVar("exchange", default=None)


@contextmanager
def exchange_within(seconds: float, *, bytes_max: int) -> Generator[None]:
    """End what this thread does with a client of `with_deadlines` after `seconds`, or when it has received `bytes_max`.

    Inside another exchange it can only be shorter than that one.

    :raises httpx.TimeoutException: the time was over; the connection is closed.
    :raises httpx.ReadError: there is more to read; the connection is closed.
    """
    exchange = _Exchange(time.monotonic() + seconds, bytes_max)
    if outer := _exchange.get():
        exchange.ends_at = min(exchange.ends_at, outer.ends_at)
    token = _exchange.set(exchange)
    try:
        yield
    finally:
        _exchange.reset(token)


def with_deadlines(client: httpx.Client) -> httpx.Client:
    """Make a new client heed `exchange_within`.

    httpx takes no network backend. A transport of our own would, but then the client knew no proxies of the environment.
    """
    for transport in (client._transport, *client._mounts.values()):
        if isinstance(transport, httpx.HTTPTransport):
            transport._pool._network_backend = _Backend()
    return client


def _left(timeout: float | None, error: type[Exception]) -> float | None:
    exchange = _exchange.get()
    if exchange is None:
        return timeout
    left = exchange.ends_at - time.monotonic()
    if left <= 0:
        raise error("The exchange took too long.")
    return left if timeout is None else min(timeout, left)


class _Stream(httpcore.NetworkStream):
    def __init__(self, stream: httpcore.NetworkStream) -> None:
        self._stream = stream

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        left = _left(timeout, httpcore.ReadTimeout)
        exchange = _exchange.get()
        if exchange is None:
            return self._stream.read(max_bytes, left)
        if exchange.bytes_left <= 0:
            raise httpcore.ReadError("The answer is too long.")
        received = self._stream.read(min(max_bytes, exchange.bytes_left), left)
        exchange.bytes_left -= len(received)
        return received

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        for begin in range(0, len(buffer), SLICE_BYTES):
            left = _left(timeout, httpcore.WriteTimeout)
            self._stream.write(buffer[begin : begin + SLICE_BYTES], left)

    def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore.NetworkStream:
        left = _left(timeout, httpcore.ConnectTimeout)
        return _Stream(self._stream.start_tls(ssl_context, server_hostname, left))

    def close(self) -> None:
        self._stream.close()

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)


class _Backend(httpcore.SyncBackend):
    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.NetworkStream:
        """Try the addresses of a name one after the other, which the backend would do with the whole time-out for each."""
        failure: Exception = httpcore.ConnectError("The name has no address.")
        for address in _look_up(host, port):
            left = _left(timeout, httpcore.ConnectTimeout)
            try:
                return _Stream(
                    super().connect_tcp(address, port, left, local_address, socket_options)
                )
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failure = error
        raise failure


def _look_up(host: str, port: int) -> list[str]:
    """Return the addresses of a name, in the order to try them.

    The resolver knows no deadline of ours, so it runs in a thread of its own: one that is given up ends by itself.

    :raises httpcore.ConnectTimeout: it took longer than what is left of the exchange.
    :raises httpcore.ConnectError: there is no such name.
    """
    try:
        ip_address(host)
    except ValueError:
        left = _left(None, httpcore.ConnectTimeout)
        look_up = _resolver(os.getpid()).submit(
            socket.getaddrinfo, host, port, type=socket.SOCK_STREAM
        )
        try:
            found = look_up.result(left)
        except TimeoutError as error:
            look_up.cancel()
            raise httpcore.ConnectTimeout("The name was not found in time.") from error
        except (OSError, UnicodeError) as error:
            raise httpcore.ConnectError(str(error)) from error
        return list(dict.fromkeys(str(address[0]) for *_, address in found))
    return [host]


@cache
def _resolver(process_id: int) -> ThreadPoolExecutor:
    """Return the threads of this process that look names up: a child has none of its parent's."""
    return ThreadPoolExecutor(LOOK_UPS_AT_ONCE, thread_name_prefix="look-up")
