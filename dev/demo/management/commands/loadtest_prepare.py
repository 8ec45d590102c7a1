import json
import os
import time
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from apps.concerts.layouts import SEATS_MAX
from apps.concerts.models import SEATS_PER_CUSTOMER_MAX
from apps.core.commands import file_path, progress_bars, whole_number
from apps.queue.models import CAPACITY_MAX
from dev.demo.loadtest import prepare_load_test

CUSTOMERS_MAX = 1_000_000
PERFORMANCES_MAX = 100


class Command(BaseCommand):
    help = (
        "Make a fresh concert on sale with an open waiting room, and customers with 1,000,000 won "
        "and a valid access token each; write their ids and tokens to a JSON file. A seat costs "
        "50,000 won, and the performances start in 30 days."
    )

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> CommandParser:
        kwargs["epilog"] = (
            "Example: manage.py loadtest_prepare --customers 2000 --seats 10000 --capacity 500 "
            "--output load.json. The file holds concert_id, performance_id, performance_ids, "
            "seat_ids (of the first performance) and customers (user_id, email, access_token). "
            "Start the stack with RATE_LIMIT_ENABLED=0 for the test itself."
        )
        return super().create_parser(prog_name, subcommand, **kwargs)

    def add_arguments(self, parser: CommandParser) -> None:
        for name, most, default, text in (
            ("customers", CUSTOMERS_MAX, None, "how many customers to make"),
            ("seats", SEATS_MAX, None, "seats of each performance"),
            ("capacity", CAPACITY_MAX, None, "how many visitors the waiting room lets in at once"),
            (
                *("seats-per-customer", SEATS_PER_CUSTOMER_MAX, 1),
                "seats of one performance that a customer may have (default: 1)",
            ),
            ("performances", PERFORMANCES_MAX, 1, "how many dates the concert has (default: 1)"),
        ):
            parser.add_argument(
                f"--{name}",
                type=whole_number(1, most),
                required=default is None,
                default=default,
                metavar="N",
                help=text,
            )
        parser.add_argument(
            "--output", type=file_path, required=True, metavar="FILE", help="JSON file to write"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        output: Path = options["output"]
        # First: a result that cannot be kept need not be made.
        writable = _open_for_owner(output)
        started_at = time.monotonic()
        seats = options["seats"] * options["performances"]
        with writable as file, progress_bars() as progress:
            seats_task = progress.add_task("Seats", total=seats)
            customers_task = progress.add_task("Customers", total=options["customers"])
            made = prepare_load_test(
                customers=options["customers"],
                seats=options["seats"],
                capacity=options["capacity"],
                seats_per_customer=options["seats_per_customer"],
                performances=options["performances"],
                seats_done=lambda number: progress.advance(seats_task, number),
                customers_done=lambda number: progress.advance(customers_task, number),
            )
            json.dump(made.as_dict(), file)
        self.stdout.write(
            f"Concert {made.concert_id}: {seats:,} seats, {options['customers']:,} customers "
            f"in {time.monotonic() - started_at:.1f} s. Written to {output}"
        )


def _open_for_owner(path: Path) -> Any:
    """Open a file that only its owner may read: it holds logins."""
    try:
        return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w")
    except OSError as error:
        raise CommandError(f"Cannot write to {path}: {error.strerror}") from error
