"""Measure beside years of history: calls of everyday work, and all invariants. Needs Django to be set up."""

import os
import secrets
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta

from django.core.management import call_command
from django.db import connection
from django.test import override_settings
from django.utils import timezone

from apps.accounts.models import User
from apps.boxoffice.readings.sale import read_sale
from apps.boxoffice.readings.shop import read_shop
from apps.concerts.models import Concert
from apps.concerts.services import create_performance, generate_seats, rebuild_ranking
from apps.core.caching import clear_process_caches
from apps.ops import metrics
from apps.ops.invariants import check_invariants
from apps.ops.purging import purge_all
from apps.outbox import draining
from apps.payments.services import charge_wallet
from apps.queue import services as queue
from apps.queue.models import WaitingRoom
from apps.reservations import selectors
from apps.reservations.services import (
    cancel_reservation,
    confirm_reservation,
    expire_holds,
    hold_best_available,
)
from dev.bench.filling import History
from dev.bench.markdown import table

REPEATS = 9
SALES = 40  # recent ones, which the watch looks at


def compare(history: History, *, stores: Sequence[str]) -> Iterator[str]:
    """Yield the Markdown line by line; of the two stores the second is that of the history."""
    full = connection.settings_dict["NAME"]
    empty = f"{full}_empty"
    services = dict(zip((empty, full), stores, strict=True))
    with connection.cursor() as cursor:
        cursor.execute(f'DROP DATABASE IF EXISTS "{empty}"')
        cursor.execute(f'CREATE DATABASE "{empty}"')
    for name, store in services.items():
        with _service(name, store):
            call_command("migrate", verbosity=0)
    yield (
        f"{history.concerts:,} past concerts, {history.reservations:,} past reservations, {history.accounts:,} accounts; "
        f"{os.cpu_count()} cores.\n"
    )
    scenes: dict[str, Scene] = {}
    for name, store in services.items():
        with _service(name, store):
            scenes[name] = Scene()
    times: dict[str, dict[str, list[float]]] = {}
    for _ in range(REPEATS):
        for name, scene in scenes.items():
            with _service(name, services[name]):
                for title, call in scene.calls():
                    began_at = time.perf_counter()
                    call()
                    took = (time.perf_counter() - began_at) * 1000
                    times.setdefault(title, {}).setdefault(name, []).append(took)
    medians = {
        title: [statistics.median(taken[name]) for name in (empty, full)]
        for title, taken in times.items()
    }
    yield from table(
        "call, ms (median) | empty | with history | ratio",
        "lrrr",
        (
            f"{title} | {without:.1f} | {with_it:.1f} | {with_it / without:.2f}"
            for title, (without, with_it) in medians.items()
        ),
    )


def check_all(history: History) -> Iterator[str]:
    """Yield how long it takes to check each invariant, with nothing in memory and again, as Markdown."""

    rebuild_ranking()
    yield f"{history.reservations:,} reservations; {os.cpu_count()} cores.\n"
    first, again = check_invariants(), check_invariants()
    rows = [
        f"`{cold.name}` | {cold.seconds:.2f} | {warm.seconds:.2f} | {cold.breaches:,}"
        + (f" ({cold.not_checked})" if cold.not_checked else "")
        for cold, warm in zip(first, again, strict=True)
    ]
    totals = [sum(invariant.seconds for invariant in run) for run in (first, again)]
    breaches = sum(invariant.breaches for invariant in first)
    rows.append(f"**all** | {totals[0]:.2f} | {totals[1]:.2f} | {breaches:,}")
    yield from table("invariant | first: s | again: s | breaches", "lrrr", rows)


@contextmanager
def _service(database: str, store: str) -> Iterator[None]:
    """Let Django use this database and this store."""
    before = connection.settings_dict["NAME"]
    connection.close()
    connection.settings_dict["NAME"] = database
    with override_settings(QUEUE_URL=store):
        try:
            yield
        finally:
            connection.close()
            connection.settings_dict["NAME"] = before


class Scene:
    """Stage one concert on sale beside whatever the database holds, with some sales of the last minutes."""

    def __init__(self) -> None:
        now = timezone.now()
        self.concert = Concert.objects.create(
            title="Now",
            artist="Now",
            venue="Now",
            sales_open_at=now - timedelta(days=1),
            seats_per_customer=10,
            is_published=True,
        )
        self.performance = create_performance(
            concert_id=self.concert.pk, starts_at=now + timedelta(days=30)
        )
        generate_seats(performance_id=self.performance.pk)
        for _ in range(SALES):
            self.sell()
        rebuild_ranking()

    def customer(self) -> User:
        name = secrets.token_hex(8)
        customer = User.objects.create(email=f"{name}@example.com", name=name)
        charge_wallet(customer_id=customer.pk, amount=1_000_000)
        return customer

    def sell(self) -> None:
        """Hold a seat, pay for it and cancel the reservation."""
        customer_id = self.customer().pk
        held = hold_best_available(
            customer_id=customer_id,
            performance_id=self.performance.pk,
            quantity=1,
            grade=None,
            admission=None,
        )
        sold = confirm_reservation(customer_id=customer_id, hold_id=held.hold.pk)
        cancel_reservation(customer_id=customer_id, reservation_id=sold.reservation.pk)

    def admit(self) -> None:
        """Join the empty room, be admitted by a tick, and leave."""
        status = queue.join_queue(customer_id=self.customer().pk, concert_id=self.concert.pk)
        # A tick a moment ago has looked at it already.
        WaitingRoom.objects.filter(concert=self.concert).update(next_tick_at=timezone.now())
        if queue.admit_visitors() != 1:
            raise RuntimeError("no visitor was admitted")
        queue.leave_queue(token=status.token)

    def watch(self) -> None:
        since = timezone.now() - timedelta(minutes=20)
        broken = [invariant for invariant in check_invariants(since=since) if invariant.breaches]
        if broken:
            raise RuntimeError(f"{broken}")

    def calls(self) -> Sequence[tuple[str, Callable[[], object]]]:
        Concert.objects.exists()  # connects
        clear_process_caches()
        return [
            ("join an empty room, be admitted, leave", self.admit),
            ("tick", queue.admit_visitors),
            ("relay", draining.consumers_with_due_deliveries),
            ("sweep", expire_holds),
            ("sale, cancelled again", self.sell),
            (
                "dates of a concert",
                lambda: selectors.performances_with_availability(self.concert.pk),
            ),
            ("metrics", metrics._read_backlogs),
            ("figures of the dashboard, a week anew", lambda: read_shop("", None)),
            ("figures of a sale, an hour anew", lambda: read_sale(str(self.concert.pk), None)),
            ("purge that finds nothing", purge_all),
            ("watch of the invariants", self.watch),
        ]
