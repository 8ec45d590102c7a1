import logging
import time
from typing import Any

import httpx
from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from rich.console import Console, Group
from rich.live import Live
from rich.markup import escape
from rich.spinner import Spinner
from rich.table import Table

from apps.core.commands import address, number, row_id
from dev.demo.journey import Journey, JourneyFailed, Step

PATIENCE_MAX = 86_400  # seconds
HTTP_TIMEOUT = 15.0  # seconds


class Command(BaseCommand):
    help = (
        "Play one customer through the public HTTP API of the running stack: register, log in, top "
        "up, queue, choose a seat, pay, show the QR code, see the ranking grow, cancel."
    )
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--concert",
            type=row_id,
            metavar="ID",
            help="the concert to go to (default: the first on sale with a seat left)",
        )
        parser.add_argument(
            "--base-url",
            type=address("http", "https", example="http://127.0.0.1:8000"),
            default=settings.BASE_URL,
            metavar="URL",
            help="where the stack answers (default: %(default)s)",
        )
        parser.add_argument("--keep", action="store_true", help="keep the ticket, do not cancel")
        parser.add_argument(
            "--patience",
            type=number(0, PATIENCE_MAX),
            default=120.0,
            metavar="SECONDS",
            help="how long to wait for admission (default: %(default).0f)",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        base_url = options["base_url"]
        logging.getLogger("httpx").setLevel(logging.WARNING)  # the table says it better
        diary = _Diary(base_url)
        started_at = time.monotonic()
        try:
            with httpx.Client(base_url=base_url, timeout=HTTP_TIMEOUT) as client, diary:
                Journey(
                    client=client,
                    on_step=diary.write,
                    on_wait=diary.wait,
                    concert_id=options["concert"],
                    keep=options["keep"],
                    patience=options["patience"],
                ).run()
        except JourneyFailed as failure:
            raise CommandError(str(failure)) from failure
        except httpx.InvalidURL as error:
            raise CommandError(f"{base_url!r} is no address: {error}.") from error
        seconds = time.monotonic() - started_at
        ending = "" if options["keep"] else " and back"
        self.stdout.write(
            self.style.SUCCESS(f"From registration to a ticket{ending} in {seconds:.1f} s.")
        )


class _Diary:
    """Let a table grow on a terminal, and print it at the end."""

    def __init__(self, base_url: str) -> None:
        self.console = Console()
        self.table = Table(title=f"A journey through {base_url}", title_justify="left")
        self.table.add_column("Step", no_wrap=True)
        self.table.add_column("Status", justify="right")
        self.table.add_column("Time", justify="right", no_wrap=True)
        self.table.add_column("What happened", overflow="fold")
        self.live = Live(self.table, console=self.console, transient=True)

    def __enter__(self) -> None:
        self.live.start()

    def __exit__(self, *_: object) -> None:
        self.live.stop()
        self.console.print(self.table)

    def write(self, step: Step) -> None:
        self.table.add_row(
            escape(step.title),
            "–" if step.status is None else str(step.status),
            f"{step.seconds * 1000:,.0f} ms",
            escape(step.note),
            style="" if step.succeeded else "bold red",
        )
        self.live.update(self.table)

    def wait(self, text: str) -> None:
        self.live.update(Group(self.table, Spinner("dots", escape(text))))
