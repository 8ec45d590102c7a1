"""Helpers of the command line, for management commands and the tools of `dev`. Needs no Django.

Each argument has one of these types, so that a bad value is refused in one line that names it, before anything is done.
"""

import argparse
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, tzinfo
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from apps.core.typed_numbers import NoWholeNumber, read_whole_number


def whole_number(lowest: int, highest: int) -> Callable[[str], int]:
    """Return the type of an argument; its message says what would have been right."""

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


row_id = whole_number(1, 2**63 - 1)


def number(lowest: float, highest: float) -> Callable[[str], float]:
    """Return an argument's type: a number with or without a fraction; not a number is none."""

    def parse(text: str) -> float:
        with suppress(ValueError):
            if lowest <= (found := float(text)) <= highest:
                return found
        raise argparse.ArgumentTypeError(
            f"{text!r} is not a number from {lowest:,g} to {highest:,g}"
        )

    return parse


def moment_in(zone: tzinfo) -> Callable[[str], datetime]:
    """Return an argument's type: a day means its beginning, and a time without an offset is one in `zone`."""

    def parse(text: str) -> datetime:
        try:
            found = datetime.fromisoformat(text)
            found = found if found.tzinfo else found.replace(tzinfo=zone)
            found.astimezone(UTC)  # the first and the last hours of the calendar are none elsewhere
        except (ValueError, OverflowError) as error:
            raise argparse.ArgumentTypeError(
                f"{text!r} is not a time such as 2026-07-01 or 2026-07-01T20:00+09:00"
            ) from error
        return found

    return parse


moment = moment_in(UTC)


def words(text: str) -> str:
    """Return an argument that is compared with texts of the database.

    :raises argparse.ArgumentTypeError: it is empty, or no database can have it.
    """
    if not text.strip():
        raise argparse.ArgumentTypeError("expected a text, not an empty one")
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise argparse.ArgumentTypeError(f"{text!r} is not in UTF-8") from error
    if "\0" in text:
        raise argparse.ArgumentTypeError(f"{text!r} has a NUL character")
    return text


def file_path(text: str) -> Path:
    """Return an argument that names a file or a folder, there or not.

    :raises argparse.ArgumentTypeError: it is empty, or cannot be printed.
    """
    return Path(words(text))


def folder_path(text: str) -> Path:
    """Read a path as `file_path` does, and make it absolute for work in another folder."""
    return file_path(text).resolve()


def address(*schemes: str, example: str) -> Callable[[str], str]:
    """Return an argument's type: where a server answers, by one of `schemes`."""

    def parse(text: str) -> str:
        with suppress(ValueError, argparse.ArgumentTypeError):
            url = urlsplit(words(text))
            is_port = url.port is None or url.port > 0  # asking for one that is none raises
            if is_port and url.scheme in schemes and (url.hostname or url.scheme == "unix"):
                return text
        raise argparse.ArgumentTypeError(f"{text!r} is no address such as {example}")

    return parse


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
