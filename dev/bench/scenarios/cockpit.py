"""A sale that fifty members of staff watch in the cockpit, between sales that none of them watches."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.client import HTTPConnection
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.test import Client
from django.urls import reverse

from apps.accounts.models import User
from apps.boxoffice.passes import HEADER
from dev.bench.bench import Bench, Outcome, ScenarioFailed
from dev.bench.cpu import cpu_between
from dev.bench.figures import medians, of_neighbours
from dev.bench.scenarios.selling import CALIBRATION, sell

STAFF = 50
PAUSE = 2.0  # seconds between an answer and the next question, as `cockpit.js` has it
P95 = 0.95


def cockpit(bench: Bench) -> Outcome:
    """Sell with and without viewers in turn, each sale with them between two without."""
    form = bench.form
    cookies = [_logged_in(number) for number in range(STAFF)]
    bench.begin("cockpit", steps=2 * form.repeats + 3)
    rate = sell(bench, form.buyers * CALIBRATION)["sales_per_second"]

    def sold(watched: "Watched | None" = None) -> float:
        sales = min(max(int(rate * form.sale_seconds), form.buyers), form.sales_max)
        beside = None if watched is None else watched.by(bench, cookies)
        row = sell(bench, sales, beside=beside)
        bench.advance()
        return float(row["sales_per_second"])

    before, rows, watched = sold(), [], Watched()
    for _ in range(form.repeats):
        watched = Watched()
        with_viewers = sold(watched)
        after = sold()
        rows.append(
            {
                "with_viewers": with_viewers,
                "without": round((before + after) / 2, 2),
                "ratio": round(of_neighbours(with_viewers, before, after), 4),
                **watched.figures(),
            }
        )
        before = after
    middle = medians(rows)
    # Idle before and after: what the sale leaves the database to clean up is not the viewers'.
    idle = _cores_used(bench, form.sale_seconds)
    bench.advance()
    with watched.by(bench, cookies)(watched.concert_id):
        watching = _cores_used(bench, form.sale_seconds)
    idle = (idle + _cores_used(bench, form.sale_seconds)) / 2
    figures = {
        "cockpit_sales_of_without": middle["ratio"],
        "cockpit_p95_ms": middle["p95_ms"],
        "cockpit_reads_per_second": max(row["reads_per_second"] for row in rows),
        # Hardly changed by what else the machine does.
        "cockpit_cores": round(watching - idle, 4),
    }
    return Outcome(figures, {"staff": STAFF, "runs": rows})


def _cores_used(bench: Bench, seconds: int) -> float:
    """Return how many cores the service uses, of the sale that was watched last and is over."""
    before = bench.cpu()
    time.sleep(seconds)
    return cpu_between(before, bench.cpu(), units=1)["service"] / 1_000 / seconds


@dataclass
class Watched:
    """Keep what the viewers of one sale were answered. `versions` names the readings that they were shown."""

    seconds: list[float] = field(default_factory=list)
    versions: set[str] = field(default_factory=set)
    refused: list[int] = field(default_factory=list)
    span: float = 0.0
    concert_id: int = 0

    def by(self, bench: Bench, cookies: list[str]) -> Any:
        """Return what lets the viewers look at a sale while it lasts."""

        @contextmanager
        def watching(concert_id: int) -> Iterator[None]:
            self.concert_id = concert_id
            is_over = threading.Event()
            viewers = [
                threading.Thread(
                    target=self._look,
                    args=(bench.stack.base_url, concert_id, cookie, is_over),
                    daemon=True,
                )
                for cookie in cookies
            ]
            for viewer in viewers:
                viewer.start()
                time.sleep(PAUSE / STAFF)  # nobody opens the page in step with all others
            began_at = time.monotonic()
            first = len(self.seconds)
            try:
                yield
                # A sale may be over before each of them has looked.
                while len(self.seconds) - first < STAFF and time.monotonic() - began_at < 60:
                    time.sleep(0.1)
            finally:
                self.span = time.monotonic() - began_at
                del self.seconds[:first]
                is_over.set()
                for viewer in viewers:
                    viewer.join(30)

        return watching

    def _look(self, base_url: str, concert_id: int, cookie: str, is_over: threading.Event) -> None:
        address = urlsplit(base_url)
        connection = HTTPConnection(address.hostname or "", address.port, timeout=30)
        path = reverse("boxoffice:cockpit-figures", args=[concert_id])
        headers = {"Cookie": f"{settings.SESSION_COOKIE_NAME}={cookie}"}
        while not is_over.is_set():
            began_at = time.monotonic()
            connection.request("GET", path, headers=headers)
            answer = connection.getresponse()
            answer.read()
            self.seconds.append(time.monotonic() - began_at)
            if answer.status != 200:
                self.refused.append(answer.status)
            self.versions.add(answer.headers.get("X-Figures-Version", ""))
            headers[HEADER] = answer.headers.get(HEADER) or headers.get(HEADER, "")
            is_over.wait(PAUSE)
        connection.close()

    def figures(self) -> dict[str, float]:
        """
        :raises ScenarioFailed: a viewer was refused, or none was answered.
        """
        if self.refused or not self.seconds:
            raise ScenarioFailed(f"Of {len(self.seconds)} calls {self.refused} were refused.")
        ordered = sorted(self.seconds)
        return {
            "calls_per_second": round(len(ordered) / self.span, 1),
            "p95_ms": round(1_000 * ordered[int(P95 * (len(ordered) - 1))], 1),
            # One of them may have been read before the sale, and one after it.
            "reads_per_second": round(max(len(self.versions) - 2, 1) / self.span, 2),
        }


def _logged_in(number: int) -> str:
    """Return the session of a member of staff."""
    email = f"viewer{number}@example.com"
    user = User.objects.filter(email=email).first()
    if user is None:
        user = User.objects.create_superuser(email, name=f"Viewer {number}")
    browser = Client()
    browser.force_login(user)
    return browser.cookies[settings.SESSION_COOKIE_NAME].value
