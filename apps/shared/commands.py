"""What management commands and the tools of `devstack` have in common on the command line. Needs no Django."""

import argparse
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from apps.shared.typed_numbers import NoWholeNumber, read_whole_number


def whole_number(lowest: int, highest: int) -> Callable[[str], int]:
    """An argument's type; the message says what would have been right."""

    def parse(text: str) -> int:
        try:
            number = read_whole_number(text.replace("_", ""))
        except NoWholeNumber:
            number = None
        if number is None or not lowest <= number <= highest:
            raise argparse.ArgumentTypeError(
                f"{text!r} is not a whole number from {lowest:,} to {highest:,}"
            )
        return number

    return parse


def moment(text: str) -> datetime:
    """Parse an argument: a day means its beginning in UTC, a time has its offset."""
    found = datetime.fromisoformat(text)
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def progress_bars(**options: Any) -> Progress:
    """Bars with what is done of what there is to do, and for how long; on standard error, so that the output can be kept."""
    return Progress(
        TextColumn("{task.description:<18}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=Console(stderr=True, highlight=False),
        **options,
    )
