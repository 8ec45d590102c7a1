"""Markdown that tools write: tables, and the part of a page that is written anew."""

from collections.abc import Iterable, Iterator
from pathlib import Path

RULES = {"l": "---", "r": "--:", "c": ":-:"}


class PageBroken(Exception):
    """The page has no such region, or a region has no content. The message is for people."""


def table(headings: str, alignment: str, rows: Iterable[str]) -> Iterator[str]:
    """Yield the lines of a table; cells are separated by " | ", and `alignment` has a letter of `RULES` for each."""
    yield f"| {headings} |"
    yield f"|{'|'.join(RULES[letter] for letter in alignment)}|"
    for row in rows:
        yield f"| {row} |"


def replace_region(page: Path, begin: str, end: str, lines: Iterable[str]) -> None:
    """Put lines between two comments of a page, and leave everything else as it is.

    :raises PageBroken: the page has no such place.
    """
    before, found, rest = page.read_text().partition(f"<!-- {begin} -->\n")
    _, closed, after = rest.partition(f"<!-- {end} -->")
    if not found or not closed:
        raise PageBroken(f"{page} has no region `{begin}`.")
    body = "\n".join(lines).strip("\n")
    page.write_text(f"{before}{found}\n{body}\n\n{closed}{after}")
