"""A shop of pretix on the machine of a running stack: its processes, an event with tickets, and sales that are counted."""

import json
import os
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import psycopg

from dev.bench.bench import Bench, ScenarioFailed
from dev.bench.cpu import cpu_between, cpu_seconds
from dev.bench.pretix.installation import CommandFailed, Installation, run_to_end
from dev.stack.children import Child, ChildFailed, stop_all
from dev.stack.servers import HOST, PostgresServer, ServerFailed, ValkeyServer, free_port
from dev.stack.stack import answers
from dev.stack.throwaway import KEPT

DATABASE = "pretix"
MIGRATIONS = 302  # of the version that is installed, about: the length of a progress bar
# As many as Encore has. The guide of pretix says five, with which a sale takes more CPU time on two cores.
WEB_WORKERS = 2
WARM_UP = 8  # sales in which each of them loads what it loads with its first calls
READY_TIMEOUT = 180.0
CATCH_UP_TIMEOUT, CATCH_UP_POLL = 180.0, 0.25
LONGEST = 120  # seconds of one measurement
ORGANIZER, EVENT = "encore", "concert"
PRICE = "50.00"
TICKETS = 1_000_000
HOLD_MINUTES = 5
PAID = "pretix.event.order.paid"
# Made without its API: who may use the API. The token is another one in each run.
BEGINNING = (
    ("organizer", {"name": "Encore", "slug": ORGANIZER}),
    ("saleschannel", {"organizer": 1, "label": "Web", "identifier": "web", "type": "web"}),
    (
        "organizer_settingsstore",
        {"object": 1, "key": "payment_manual__enabled", "value": "True"},
    ),
    (
        "team",
        {
            "organizer": 1,
            "name": "Benchmark",
            "all_events": True,
            "all_event_permissions": True,
            "all_organizer_permissions": True,
        },
    ),
    ("teamapitoken", {"team": 1, "name": "Benchmark", "token": "another in each run"}),
)
# Paid orders, tickets of them, messages that were taken, and how long after the last sale the last one was.
COUNTED = """
    SELECT
        (SELECT count(*) FROM pretixbase_order WHERE status = 'p'),
        (SELECT count(*) FROM pretixbase_orderposition WHERE NOT canceled),
        (SELECT count(*) FROM pretixapi_webhookcall WHERE success),
        (SELECT extract(epoch FROM max(datetime)) FROM pretixapi_webhookcall WHERE success)
        - (SELECT extract(epoch FROM max(datetime)) FROM pretixbase_logentry WHERE action_type = %s)
"""


@dataclass(kw_only=True)
class Shop:
    """`groups` are the root processes whose CPU time is told apart; PostgreSQL is that of the stack."""

    bench: Bench
    base_url: str
    database_url: str
    token: str
    groups: dict[str, list[int]]
    item: int = 0
    sold: int = 0

    @property
    def event(self) -> str:
        return f"/api/v1/organizers/{ORGANIZER}/events/{EVENT}"

    def open(self, *, receiver_url: str) -> None:
        """Make a live event with one kind of ticket; tell the receiver of each paid order.

        :raises ScenarioFailed: pretix refused it.
        """
        begins_at = datetime.now(UTC) + timedelta(days=30)
        organizer = f"/api/v1/organizers/{ORGANIZER}"
        event = {
            "name": {"en": "Concert"},
            "slug": EVENT,
            "currency": "EUR",
            "timezone": "UTC",
            "date_from": begins_at.isoformat(),
            "plugins": ["pretix.plugins.manualpayment"],
        }
        self._call("POST", f"{organizer}/events/", event)
        item = {"name": {"en": "Ticket"}, "default_price": PRICE, "admission": True}
        self.item = self._call("POST", f"{self.event}/items/", item)["id"]
        quota = {"name": "Hall", "size": TICKETS, "items": [self.item], "variations": []}
        self._call("POST", f"{self.event}/quotas/", quota)
        self._call("PATCH", f"{self.event}/settings/", {"reservation_time": HOLD_MINUTES})
        webhook = {
            "target_url": receiver_url,
            "enabled": True,
            "all_events": True,
            "limit_events": [],
            "action_types": [PAID],
        }
        self._call("POST", f"{organizer}/webhooks/", webhook)
        self._call("PATCH", f"{self.event}/", {"live": True})

    def sell(self, sales: int, *, users: int) -> dict[str, Any]:
        """Sell so many tickets to so many customers at once, and wait until each message has gone out.

        :raises ScenarioFailed: a sale was refused, or pretix counts something else.
        """
        plan = {
            "base": self.base_url,
            "event": self.event,
            "token": self.token,
            "item": self.item,
            "price": PRICE,
            "steps": ["hold", "pay"],
            "users": users,
            "sales": sales,
            "run": self.sold,
            "longest": f"{LONGEST}s",
        }
        before = cpu_seconds(self.groups)
        crowd = self.bench.crowd("pretix_sale.js", plan, timeout=LONGEST)
        if crowd.done("pay") != sales:
            raise ScenarioFailed(f"pretix: {crowd.done('pay')} of {sales} sold: {crowd.refusals}")
        self.sold += sales
        behind = self._await_messages()
        after = cpu_seconds(self.groups)
        return {
            "sales": sales,
            "sales_per_second": round(sales / (crowd.seconds + behind), 2),
            **{f"{step}_p95": crowd.steps[step]["p95"] for step in ("hold", "pay")},
            "behind_seconds": round(behind, 2),
            "cpu_ms": cpu_between(before, after, units=sales),
        }

    def _await_messages(self) -> float:
        """Return how many seconds after the last sale the last message was taken."""
        until = time.monotonic() + CATCH_UP_TIMEOUT
        with psycopg.connect(self.database_url, autocommit=True) as connection:
            while True:
                row = connection.execute(COUNTED, [PAID]).fetchone() or (0, 0, 0, 0)
                counted, behind = row[:3], max(float(row[3] or 0), 0.0)
                if counted == (self.sold,) * 3:
                    return behind
                if max(counted) > self.sold or time.monotonic() > until:
                    raise ScenarioFailed(
                        f"pretix sold {self.sold}, and has {counted} orders, tickets and messages."
                    )
                time.sleep(CATCH_UP_POLL)

    def _call(self, method: str, path: str, body: dict[str, Any]) -> Any:
        login = {"Authorization": f"Token {self.token}"}
        answer = httpx.request(method, self.base_url + path, json=body, headers=login, timeout=60)
        if answer.is_error:
            raise ScenarioFailed(f"pretix: {path}: {answer.status_code} {answer.text[:500]!r}")
        return answer.json()


@contextmanager
def running_shop(bench: Bench, installation: Installation) -> Iterator[Shop]:
    """Start pretix as its documentation says for one machine, on PostgreSQL of the stack and a Valkey of its own.

    :raises ScenarioFailed: it did not start.
    """
    folder, postgres = bench.folder / "pretix", bench.stack.postgres
    folder.mkdir()
    database_url = postgres.url.removesuffix(postgres.name) + DATABASE
    store = ValkeyServer(
        directory=folder / "valkey", log_path=folder / "valkey.log", port=free_port()
    )
    port = free_port()
    environment = _environment(folder, postgres, store, port)
    python = str(installation.python)
    commands = {
        "web": (
            *("gunicorn", "pretix.wsgi", "--name", "pretix", "--workers", str(WEB_WORKERS)),
            *("--no-control-socket", "--log-level", "info", "--bind", f"{HOST}:{port}"),
            # Its first calls take long on a busy machine, and must not be taken for the last ones.
            *("--timeout", str(LONGEST)),
        ),
        "worker": ("celery", "-A", "pretix.celery_app", "worker", "--loglevel", "info"),
    }
    children = {
        name: Child(
            name=f"pretix-{name}",
            command=[python, "-m", *words],
            log_path=folder / f"{name}.log",
            environment=environment,
            directory=folder,
        )
        for name, words in commands.items()
    }
    try:
        store.start()
        _fill_database(bench, installation, environment, database_url)
        bench.begin("pretix starts", steps=1)
        token = secrets.token_hex(32)
        with psycopg.connect(database_url) as connection:
            connection.execute("UPDATE pretixbase_teamapitoken SET token = %s", [token])
        for child in children.values():
            child.start()
        base_url = f"http://{HOST}:{port}"
        children["web"].wait_until(
            lambda: answers(f"{base_url}/healthcheck/"), timeout=READY_TIMEOUT
        )
        roots = {**children, "valkey": store.child, "postgres": postgres.child}
        groups = {name: [child.process.pid] for name, child in roots.items() if child.process}
        shop = Shop(
            bench=bench,
            base_url=base_url,
            database_url=database_url,
            token=token,
            groups=groups,
        )
        shop.open(receiver_url=bench.stack.floors["hello"])
        shop.sell(WARM_UP, users=WEB_WORKERS)
        yield shop
    except (ChildFailed, ServerFailed, CommandFailed) as error:
        raise ScenarioFailed(f"pretix: {error}") from error
    finally:
        stop_all([child for child in children.values() if child.process])
        store.stop()


def _environment(
    folder: Path, postgres: PostgresServer, store: ValkeyServer, port: int
) -> dict[str, str]:
    """Return what pretix reads instead of its configuration file."""
    parts = urlsplit(postgres.url)
    location = store.url.removesuffix("/0")
    values = {
        "PRETIX_DATADIR": str(folder / "data"),
        "PRETIX_URL": f"http://{HOST}:{port}",
        # The receiver is on loopback, too.
        "PRETIX_ALLOW_HTTP_TO_PRIVATE_NETWORKS": "on",
        "DATABASE_BACKEND": "postgresql",
        "DATABASE_NAME": DATABASE,
        "DATABASE_USER": postgres.name,
        "DATABASE_PASSWORD": postgres.password,
        "DATABASE_HOST": HOST,
        "DATABASE_PORT": str(parts.port),
        "REDIS_LOCATION": f"{location}/0",
        "REDIS_SESSIONS": "true",
        "CELERY_BACKEND": f"{location}/1",
        "CELERY_BROKER": f"{location}/2",
        "MAIL_HOST": HOST,
    }
    (folder / "data").mkdir()
    return {
        **{name: os.environ[name] for name in KEPT if name in os.environ},
        "HOME": str(folder),
        "PRETIX_CONFIG_FILE": os.devnull,
        **{f"PRETIX_{name}": value for name, value in values.items()},
    }


def _fill_database(
    bench: Bench, installation: Installation, environment: dict[str, str], database_url: str
) -> None:
    """Make the tables and the organizer. The migrations take minutes, so what they leave is kept beside the installation."""
    programs = bench.stack.postgres.programs
    with psycopg.connect(bench.stack.postgres.url, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {DATABASE}")
    psql = [str(programs / "psql"), "--quiet", "--set=ON_ERROR_STOP=1"]
    if installation.database.exists():
        run_to_end([*psql, f"--file={installation.database}", database_url])
        return
    bench.begin("Tables of pretix", steps=MIGRATIONS)
    manage = [str(installation.python), "-m", "pretix"]
    place: dict[str, Any] = {"environment": environment, "directory": environment["HOME"]}
    run_to_end([*manage, "migrate", "--no-input"], each="Applying", progress=bench.advance, **place)
    rows = [
        {"model": f"pretixbase.{model}", "pk": 1, "fields": values} for model, values in BEGINNING
    ]
    run_to_end([*manage, "loaddata", "--format=json", "-"], given=json.dumps(rows), **place)
    unfinished = installation.database.with_suffix(".unfinished")
    options = ["--no-owner", "--no-privileges", f"--file={unfinished}"]
    run_to_end([str(programs / "pg_dump"), *options, database_url])
    unfinished.rename(installation.database)
