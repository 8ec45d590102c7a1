"""Measure every list of staff, every search and the pages of orders and money beside a million reservations.

    python -m dev.bench.staff_pages                                  fills a database, prints a table
    python -m dev.bench.staff_pages --reservations 200000            with fewer
    python -m dev.bench.staff_pages --keep /var/tmp/encore-history   beside the history that is kept there
    python -m dev.bench.staff_pages --write                          puts the table into docs/operations.md

Each page is loaded by an administrator through Django's test client, so it counts what the server does and no network. The slowest must
stay below the bound, or the command fails: the time of the processor counts, which other work on the machine does not change.
"""

import argparse
import shutil
import statistics
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
import psycopg
from rich.console import Console

from apps.core.commands import folder_path, whole_number
from dev.bench.filling import History
from dev.bench.kept import HistoryRefused, KeptHistory
from dev.bench.markdown import replace_region, table
from dev.stack.servers import ValkeyServer, free_port
from dev.stack.throwaway import django_on, exit_when_it_fails, new_folder
from dev.tool import parser_of

if TYPE_CHECKING:
    from django.test import Client

PAGE = Path(__file__).parents[2] / "docs" / "operations.md"
REPEATS = 5
BOUND = 300  # milliseconds
REPORTS = {"sales of a month"}  # they read what they add up, so their time grows with it


def main(history: History, *, keep: Path | None, bound: int, write: bool) -> int:
    """Print a table; return how many pages, reports aside, took longer than the bound, in milliseconds."""
    with ExitStack() as ending:
        home = new_folder("staff-pages")
        ending.callback(shutil.rmtree, home, ignore_errors=True)
        kept = KeptHistory(keep or home)
        if not keep:
            kept.fill(history)
        store = ValkeyServer(directory=home / "store", log_path=home / "log", port=free_port())
        ending.callback(store.stop)
        store.start()
        postgres = ending.enter_context(kept.copied())
        ending.enter_context(django_on(postgres.url, store.url))
        results = list(_measure_all())
        sizes = kept.sizes
    lines = [
        f"{sizes.reservations:,} reservations of {sizes.concerts:,} concerts by {sizes.accounts:,} customers; "
        f"milliseconds of the processor, in Django and in PostgreSQL together, and on the clock: median of {REPEATS}.\n",
        *table(
            "page | processor | clock",
            "lrr",
            (f"{title} | {cpu:,.0f} | {clock:,.0f}" for title, cpu, clock in results),
        ),
    ]
    print(*lines, sep="\n")
    if write:
        replace_region(
            PAGE,
            "staff pages: made by `python -m dev.bench.staff_pages`",
            "end of staff pages",
            lines,
        )
    return sum(cpu > bound for title, cpu, _clock in results if title not in REPORTS)


def _measure_all() -> Iterator[tuple[str, float, float]]:
    # Imported here: Django's settings need the server's address.
    from django.core.management import call_command
    from django.test import Client

    from apps.accounts.models import User

    call_command("migrate", verbosity=0)
    _settle()
    client = Client()
    client.force_login(User.objects.create_superuser("bench@example.com", name="Bench"))
    client.get("/admin/")
    for title, url in _pages():
        _load(client, url)
        times = []
        for _ in range(REPEATS):
            before = _processor_seconds(), time.perf_counter()
            _load(client, url)
            times.append((_processor_seconds() - before[0], time.perf_counter() - before[1]))
        cpu, clock = (statistics.median(taken) * 1000 for taken in zip(*times, strict=True))
        yield title, cpu, clock


def _processor_seconds() -> float:
    """Return what this process and its session of PostgreSQL have had of the processor: what a page takes on a machine with nothing else to do."""
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        [(pid,)] = cursor.fetchall()
    taken = psutil.Process(pid).cpu_times()
    return time.process_time() + float(taken.user + taken.system)


def _load(client: "Client", url: str) -> None:
    response = client.get(url)
    assert response.status_code in (200, 302), f"{url}: {response.status_code}"


def _settle() -> None:
    """Tidy up what migrations have rewritten, and keep the work in one process, whose time is read."""
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute("VACUUM (ANALYZE) reservations_reservation")
        cursor.execute("SET max_parallel_workers_per_gather = 0")


def _pages() -> Iterator[tuple[str, str]]:
    """Yield what each page is, and its address."""
    from urllib.parse import urlencode

    from django.contrib import admin
    from django.urls import reverse

    from apps.concerts.models import venue_day
    from apps.reservations.models import Hold, Reservation

    middle = Reservation.objects.count() // 2
    order = Reservation.objects.with_details().select_related("customer").order_by("number")[middle]
    ticket = order.tickets.all()[0]
    concert = order.performance.concert
    day = venue_day(order.performance.starts_at)
    unpaid = Hold.objects.filter(reservation=None).order_by("-held_at").first()

    for model in sorted(admin.site._registry, key=lambda model: model._meta.label):
        if model.__module__.startswith("apps."):
            name = f"{model._meta.app_label}_{model._meta.model_name}"
            yield f"list: {model._meta.verbose_name_plural}", reverse(f"admin:{name}_changelist")
    searches: dict[str, dict[str, Any]] = {
        "nothing": {},
        "order number": {"q": order.order_number.lower().replace("-", " ")},
        "ticket code": {"q": ticket.printed_code},
        "beginning of a ticket code": {"q": ticket.code[:8]},
        "email address": {"q": order.customer.email},
        "name": {"q": order.customer.name},
        "part of a name that all have": {"q": "Custom"},
        "part of a name that all have, of a concert": {"q": "Custom", "concert": concert.pk},
        "id of an order": {"q": order.pk},
        "id of an unpaid hold": {"q": unpaid.pk if unpaid else order.hold_id},
        "seat of a concert": {"q": str(ticket.seat), "concert": concert.pk},
        "seat on a day": {"q": str(ticket.seat), "day": day.isoformat()},
        "seat of all concerts": {"q": str(ticket.seat)},
        "title": {"q": concert.title},
        "a concert": {"concert": concert.pk},
        "a day": {"day": day.isoformat()},
        "title and day of the sale": {"q": f"{concert.title}, {venue_day(order.reserved_at)}"},
        "nothing, far back": {"behind": f"{order.reserved_at.isoformat()},{order.pk}"},
    }
    find = reverse("admin:reservations_reservation_find")
    for title, query in searches.items():
        yield f"find an order: {title}", f"{find}?{urlencode(query)}"
    yield "an order", reverse("admin:reservations_reservation_change", args=[order.pk])
    yield "a customer", reverse("admin:reservations_customer", args=[order.customer_id])
    report = reverse("admin:reservations_sales_report")
    sold_on = venue_day(order.reserved_at)
    for title, first in (("a day", sold_on), ("a month", sold_on.replace(day=1))):
        period = {"first": first.isoformat(), "last": sold_on.isoformat()}
        yield f"sales of {title}", f"{report}?{urlencode(period)}"
    yield "reconciliation of a day", f"{reverse('admin:payments_reconciliation')}?days=1"


def _parser() -> argparse.ArgumentParser:
    parser = parser_of("python -m dev.bench.staff_pages", __doc__)
    parser.add_argument(
        "--reservations",
        type=whole_number(1_000, 100_000_000),
        default=1_000_000,
        metavar="N",
        help="in the past (default: %(default)s)",
    )
    parser.add_argument(
        "--keep", type=folder_path, metavar="FOLDER", help="take the history of this folder"
    )
    parser.add_argument(
        "--bound",
        type=whole_number(1, 600_000),
        default=BOUND,
        metavar="MS",
        help="fail if a page takes longer (default: %(default)s)",
    )
    parser.add_argument("--write", action="store_true", help=f"put the table into {PAGE.name}")
    return parser


if __name__ == "__main__":
    options = _parser().parse_args()
    asked = options.reservations
    wanted = History(
        concerts=max(asked // 1_000, 1),
        reservations=asked // 1_000 * 1_000,
        accounts=max(asked // 4, 1_000),
    )
    console = Console(stderr=True)
    with exit_when_it_fails(console, HistoryRefused, psycopg.OperationalError):
        too_slow = main(wanted, keep=options.keep, bound=options.bound, write=options.write)
        if too_slow:
            raise SystemExit(f"{too_slow} pages took longer than {options.bound} ms.")
