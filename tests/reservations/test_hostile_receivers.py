"""One call to the outside ends in time and within some kilobytes, whatever the other side does.

Each server here goes on until its client hangs up. It stops by itself only when a test ends, so a call that returns was ended by
its own deadline or size.
"""

import gzip
import os
import socket
import ssl
import threading
import time
from collections.abc import Callable, Generator, Iterator
from uuid import uuid4

import httpx
import pytest
from django.utils import timezone

from apps.core import deadlines
from apps.reservations import clients
from apps.reservations.clients import ANSWER_BYTES, BODY_BYTES, post_message
from tests.reservations.hostile import OK, Server, after, single_bytes

DEADLINE = 0.5  # seconds
PACE = 0.02
MEGABYTES = 8 * 1024 * 1024


Serve = Callable[..., Server]


@pytest.fixture
def serve(settings) -> Generator[Serve]:
    started: list[Server] = []

    def start(
        parts: Callable[[], Iterator[bytes]], *, pace: float = 0.0, reads: bool = True
    ) -> Server:
        started.append(Server(parts, pace=pace, reads=reads))
        settings.WEBHOOK_URL = started[-1].url
        return started[-1]

    settings.WEBHOOK_TIMEOUT = DEADLINE
    clients._client.cache_clear()
    yield start
    for server in started:
        server.close()
    clients._client(os.getpid()).close()
    clients._client.cache_clear()


def send(size: int = 0) -> clients.Answer:
    return post_message(
        message_id=uuid4(),
        type="tests.happened",
        occurred_at=timezone.now(),
        data={"text": "x" * size},
    )


FLOOD = b"x" * 65_536
BOMB = gzip.compress(bytes(MEGABYTES))
# The status has come, so the message has arrived; what follows changes nothing.
TAKEN = {
    "a body byte by byte": (after(OK + b"content-length: 1000000\r\n\r\n", b"x"), PACE),
    "less body than it said": (lambda: iter([OK + b"content-length: 10\r\n\r\nx"]), 0),
    "more body than it said": (after(OK + b"content-length: 10\r\n\r\n", FLOOD), 0),
    "no body though it said so": (lambda: iter([OK + b"content-length: 10\r\n\r\n"]), 0),
    "a length beyond all bounds": (
        after(OK + b"content-length: %d\r\n\r\n" % 10**18, FLOOD),
        0,
    ),
    "a body that ends with the connection": (after(OK + b"\r\n", FLOOD), 0),
    "chunks without end": (
        after(OK + b"transfer-encoding: chunked\r\n\r\n", b"1000\r\n" + b"x" * 4_096 + b"\r\n"),
        0,
    ),
    "chunks byte by byte": (
        after(OK + b"transfer-encoding: chunked\r\n\r\n", *single_bytes(b"1\r\nx\r\n")),
        PACE,
    ),
    "a chunk whose extension has no end": (
        after(OK + b"transfer-encoding: chunked\r\n\r\n1;", FLOOD),
        0,
    ),
    "a chunk that is none": (
        lambda: iter([OK + b"transfer-encoding: chunked\r\n\r\nhello\r\n"]),
        0,
    ),
    "trailers without end": (
        after(OK + b"transfer-encoding: chunked\r\n\r\n0\r\n", b"x: y\r\n"),
        0,
    ),
    "a bomb": (
        lambda: iter(
            [OK + b"content-encoding: gzip\r\ncontent-length: %d\r\n\r\n" % len(BOMB) + BOMB]
        ),
        0,
    ),
    "a hundred and one small 1xx": (
        lambda: iter(
            [b"HTTP/1.1 103 Early Hints\r\n\r\n" * 101 + OK + b"content-length: 0\r\n\r\n"]
        ),
        0,
    ),
}
# There is no status, or no end of its headers.
UNANSWERED = {
    "nothing": (lambda: iter(()), 0, httpx.ReadTimeout),
    "a status without end": (after(b"HTTP/1.1 200 ", FLOOD), 0, httpx.TransportError),
    "a status byte by byte": (after(b"HTTP/1.1 200 ", b"O"), PACE, httpx.ReadTimeout),
    "headers without end": (after(OK, b"x-more: y\r\n"), 0, httpx.TransportError),
    "headers byte by byte": (after(OK, *single_bytes(b"x: y\r\n")), PACE, httpx.ReadTimeout),
    "one header without end": (after(OK + b"x-more: ", FLOOD), 0, httpx.TransportError),
    "1xx without end": (
        after(b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 100),
        0,
        httpx.TransportError,
    ),
    "1xx now and then": (after(b"", b"HTTP/1.1 100 Continue\r\n\r\n"), PACE, httpx.ReadTimeout),
    "no HTTP": (after(b"", FLOOD), 0, httpx.TransportError),
    "an upgrade that was not asked for": (
        after(b"HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\n\r\n", FLOOD),
        0,
        httpx.TransportError,
    ),
}


class TestAnswer:
    @pytest.mark.parametrize("shape", TAKEN)
    def test_is_its_status_whatever_follows(self, serve, shape):
        parts, pace = TAKEN[shape]
        server = serve(parts, pace=pace)

        answer = send()

        assert answer.status_code == 200
        assert len(answer.text) <= BODY_BYTES
        assert server.connections == 1

    @pytest.mark.parametrize("shape", UNANSWERED)
    def test_without_a_status_is_none(self, serve, shape):
        parts, pace, error = UNANSWERED[shape]
        serve(parts, pace=pace)

        with pytest.raises(error):
            send()

    @pytest.mark.parametrize("shape", ["chunks without end", "headers without end"])
    def test_is_read_up_to_some_kilobytes(self, serve, shape, monkeypatch):
        received = []
        read = deadlines._Stream.read

        def count(stream, max_bytes, timeout=None):
            received.append(read(stream, max_bytes, timeout))
            return received[-1]

        monkeypatch.setattr(deadlines._Stream, "read", count)
        serve((TAKEN | UNANSWERED)[shape][0])

        with pytest.raises(httpx.TransportError):
            raise httpx.ReadError(str(send().status_code))

        assert 1_000 < sum(map(len, received)) <= ANSWER_BYTES + BODY_BYTES

    @pytest.mark.parametrize("status", [302, 307])
    def test_leads_nowhere_else(self, serve, status):
        elsewhere = serve(after(OK, FLOOD))
        location = elsewhere.url.encode()
        serve(after(b"HTTP/1.1 %d Elsewhere\r\nlocation: %b\r\n\r\n" % (status, location), FLOOD))

        assert send().status_code == status

        assert elsewhere.connections == 0

    def test_does_not_keep_the_connection_of_one_that_never_ends(self, serve):
        server = serve(*TAKEN["a body byte by byte"][:1], pace=PACE)

        assert [send().status_code for _ in range(3)] == [200] * 3

        assert server.connections == 3


class TestRequest:
    """A message that fits into no buffer, so that the other side has to read it."""

    def test_that_is_not_read_is_given_up(self, serve):
        serve(lambda: iter(()), reads=False)

        with pytest.raises(httpx.WriteTimeout):
            send(MEGABYTES)

    def test_that_is_read_slowly_is_given_up(self, settings):
        over = threading.Event()

        def read_slowly() -> None:
            peer, _address = listener.accept()
            with peer:
                while not over.wait(PACE) and peer.recv(4_096):
                    pass

        settings.WEBHOOK_TIMEOUT = DEADLINE
        with socket.create_server(("127.0.0.1", 0)) as listener:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
            settings.WEBHOOK_URL = f"http://127.0.0.1:{listener.getsockname()[1]}/"
            reader = threading.Thread(target=read_slowly)
            reader.start()

            with pytest.raises(httpx.WriteTimeout):
                send(MEGABYTES)

            over.set()
            reader.join()


class TestConnect:
    @pytest.fixture
    def full(self, settings) -> Generator[Callable[[str], int]]:
        """Make an address that takes part in no handshake: `full("127.0.0.2")` returns its port."""
        open_sockets: list[socket.socket] = []
        settings.WEBHOOK_TIMEOUT = DEADLINE

        def fill(address: str, port: int = 0) -> int:
            listener = socket.create_server((address, port), backlog=0)
            open_sockets.append(listener)
            for _ in range(4):
                guest = socket.socket()
                guest.setblocking(False)
                guest.connect_ex(listener.getsockname())
                open_sockets.append(guest)
            return listener.getsockname()[1]

        yield fill
        for connection in open_sockets:
            connection.close()

    def resolve(self, monkeypatch, settings, addresses, port):
        """Give the platform a name with these addresses."""
        found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (host, port)) for host in addresses]
        names, look_up = {"platform.example": found}, socket.getaddrinfo
        monkeypatch.setattr(
            socket,
            "getaddrinfo",
            lambda host, *rest, **kind: names.get(host) or look_up(host, *rest, **kind),
        )
        settings.WEBHOOK_URL = f"http://platform.example:{port}/"

    def test_that_is_never_accepted_is_given_up(self, full, settings):
        settings.WEBHOOK_URL = f"http://127.0.0.1:{full('127.0.0.1')}/"

        with pytest.raises(httpx.ConnectTimeout):
            send()

    def test_has_one_deadline_for_all_addresses_of_a_name(self, full, settings, monkeypatch):
        port = full("127.0.0.2")
        addresses = [f"127.0.0.{n}" for n in range(2, 40)]
        for address in addresses[1:]:
            full(address, port)
        self.resolve(monkeypatch, settings, addresses, port)

        began_at = time.monotonic()
        with pytest.raises(httpx.ConnectTimeout):
            send()

        assert time.monotonic() - began_at < DEADLINE * len(addresses) / 2

    def test_tries_the_next_address_of_a_name(self, serve, settings, monkeypatch):
        server = serve(lambda: iter([OK + b"content-length: 0\r\n\r\n"]))
        port = int(server.url.split(":")[2].partition("/")[0])
        self.resolve(monkeypatch, settings, ["127.0.0.99", "127.0.0.1"], port)

        assert send().status_code == 200

    def test_with_a_name_that_is_never_resolved_is_given_up(self, settings, monkeypatch):
        over = threading.Event()

        def never(*_arguments, **_kind):
            over.wait()
            raise socket.gaierror("too late")

        monkeypatch.setattr(socket, "getaddrinfo", never)
        settings.WEBHOOK_TIMEOUT = DEADLINE
        settings.WEBHOOK_URL = "http://platform.example/"

        # More than there are threads: those that wait for one are given up, too.
        for _ in range(deadlines.LOOK_UPS_AT_ONCE + 1):
            with pytest.raises(httpx.ConnectTimeout):
                send()

        over.set()

    def test_with_a_name_that_does_not_exist_fails(self, settings, monkeypatch):
        def unknown(*_arguments, **_kind):
            raise socket.gaierror("Name or service not known")

        monkeypatch.setattr(socket, "getaddrinfo", unknown)
        settings.WEBHOOK_URL = "http://platform.example/"

        with pytest.raises(httpx.ConnectError, match="not known"):
            send()


class TestHandshake:
    @pytest.mark.parametrize(
        ("parts", "pace"),
        [
            (lambda: iter(()), 0),
            # A record of TLS that says how long it is, and comes byte by byte.
            (after(b"\x16\x03\x03\x3f\xff\x02\x00\x3f\xfb", b"\x00"), PACE),
        ],
        ids=["silent", "byte by byte"],
    )
    def test_without_end_is_given_up(self, serve, settings, parts, pace):
        server = serve(parts, pace=pace)
        settings.WEBHOOK_URL = server.url.replace("http:", "https:")

        with pytest.raises(httpx.ConnectTimeout):
            send()

    def test_with_something_else_fails(self, serve, settings):
        server = serve(after(b"", b"HTTP/1.1 200 OK\r\n\r\n"), pace=PACE)
        settings.WEBHOOK_URL = server.url.replace("http:", "https:")

        with pytest.raises(httpx.ConnectError, match="SSL") as caught:
            send()

        assert isinstance(caught.value.__context__.__context__, ssl.SSLError)
