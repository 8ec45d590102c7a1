"""The ledger is downloaded over real sockets by readers who take their time, or are cut off."""

import http.client
import os
import socket
import sys
import urllib.request
from collections.abc import Generator
from urllib.parse import urlencode

import pytest
from django.db import connection
from django.test import Client
from django.urls import reverse

from apps.payments.models import LedgerTransaction
from dev.stack.children import Child
from dev.stack.servers import HOST, free_port
from dev.stack.stack import ROOT
from tests.factories.accounts import CustomerFactory
from tests.reservations.workers import database_url, wait_until
from tests.servers import new_folder

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.slow]

MOVEMENTS = 20_000  # more than sockets have room for
READERS = 3
MOVE = """
    WITH moved AS (
        INSERT INTO payments_ledgertransaction
            (id, customer_id, sequence, type, amount, balance_after, reference, reason, created_at)
        SELECT gen_random_uuid(), %(customer)s, n, 'CHARGE', 1, n, NULL, '', now()
        FROM generate_series(1, %(movements)s) n
        RETURNING id
    )
    INSERT INTO payments_ledgerentry (transaction_id, account, customer_id, amount)
    SELECT id, 'CUSTOMER_LIABILITY', %(customer)s, 1 FROM moved
    UNION ALL
    SELECT id, 'CASH', NULL, -1 FROM moved
"""
OPEN = """
    SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()
    AND xact_start IS NOT NULL AND pid <> pg_backend_pid() AND backend_type = 'client backend'
"""


@pytest.fixture
def server() -> Generator[int]:
    """A server with one thread, which a slow reader might occupy."""
    port = free_port()
    web = Child(
        name="web",
        command=[
            *(sys.executable, "-m", "granian", "--interface", "wsgi", "--no-ws"),
            *("--host", HOST, "--port", str(port), "--workers", "1", "--blocking-threads", "1"),
            "concert_project.wsgi:application",
        ],
        log_path=new_folder() / "web.log",
        environment={
            **os.environ,
            "DJANGO_SETTINGS_MODULE": "concert_project.settings.test",
            "DATABASE_URL": database_url(),
        },
        directory=ROOT,
    )
    web.start()
    wait_until(lambda: _answers(port), web.log_tail())
    yield port
    web.stop()


def _answers(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://{HOST}:{port}/livez", timeout=5) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


@pytest.fixture
def request_bytes() -> bytes:
    """Return what a browser of staff sends for a part of the ledger."""
    customer = CustomerFactory()
    with connection.cursor() as cursor:
        cursor.execute("SET session_replication_role = replica")
        cursor.execute(MOVE, {"customer": customer.pk, "movements": MOVEMENTS})
        cursor.execute("RESET session_replication_role")
    staff = Client()
    staff.force_login(CustomerFactory(admin=True))
    some = LedgerTransaction.objects.latest("pk").pk
    ends = {"_from": f"2000-01-01T00:00+00:00,{some}", "_until": f"2999-01-01T00:00+00:00,{some}"}
    path = f"{reverse('admin:payments_ledgertransaction_export')}?{urlencode(ends)}"
    cookie = f"sessionid={staff.cookies['sessionid'].value}"
    return f"GET {path} HTTP/1.1\r\nHost: {HOST}\r\nCookie: {cookie}\r\n\r\n".encode()


def asked(port: int, request: bytes, *, room: int = 65_536) -> socket.socket:
    """Return a socket that has asked; the system takes `room` bytes at most before they are read."""
    reader = socket.socket()
    reader.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, room)
    reader.settimeout(30)
    reader.connect((HOST, port))
    reader.sendall(request)
    return reader


class TestSlowReaders:
    def test_occupy_neither_a_thread_nor_a_transaction(self, server, request_bytes):
        readers = [asked(server, request_bytes, room=4096) for _ in range(READERS)]
        beginnings = [reader.recv(2048) for reader in readers]

        assert all(beginning.startswith(b"HTTP/1.1 200 ") for beginning in beginnings)
        assert _answers(server)
        with connection.cursor() as cursor:
            cursor.execute(OPEN)
            assert cursor.fetchone() == (0,)
        for reader in readers:
            reader.close()

    def test_get_all_of_it_in_the_end(self, server, request_bytes):
        reader = asked(server, request_bytes)
        answer = http.client.HTTPResponse(reader)
        answer.begin()

        content = answer.read()

        assert len(content) == int(answer.headers["Content-Length"])
        assert content.count(b"\n") == 1 + 2 * MOVEMENTS
        assert content.endswith(b"\n")

    def test_know_when_they_were_cut_off(self, server, request_bytes):
        reader = asked(server, request_bytes)
        answer = http.client.HTTPResponse(reader)
        answer.begin()
        answer.read(100_000)
        reader.shutdown(socket.SHUT_RDWR)

        with pytest.raises((http.client.IncompleteRead, ConnectionError)):
            answer.read()
