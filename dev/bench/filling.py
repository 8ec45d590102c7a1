"""Make years of sales in bulk."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import psycopg

SCRIPT = Path(__file__).with_name("history.sql")

# Gets what is made at the moment, how many steps are done, and how many there are.
Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class History:
    """Say how much to make.

    `kept_days` leaves out the events and exits that a retention of as many days would have deleted by now, and
    `kept_hold_days` the holds that ended without a payment; None for those of the events.
    """

    concerts: int
    reservations: int
    accounts: int
    kept_days: int | None = None
    kept_hold_days: int | None = None
    activity: str = "RETIRED"
    pending: int = 0
    answers: int = 0

    @property
    def per_concert(self) -> int:
        return self.reservations // self.concerts

    def __post_init__(self) -> None:
        """
        :raises ValueError: the numbers do not fit together.
        """
        if self.reservations % self.concerts or self.per_concert % 2 or not self.per_concert:
            raise ValueError("each concert must have the same even number of reservations")
        if self.accounts < self.per_concert:
            raise ValueError(
                "no account may be a customer of one concert twice: more accounts needed"
            )


def fill(url: str, history: History, *, on_progress: Progress = lambda *_: None) -> None:
    """Make the history in a database whose tables are there, and have it vacuumed and analysed."""
    statements = list(_statements(history))
    with psycopg.connect(url, autocommit=True) as connection:
        tables = [name for (name,) in connection.execute("SELECT relname FROM pg_stat_user_tables")]
        total = len(statements) + len(tables)
        for number, statement in enumerate(statements):
            on_progress(_subject(statement), number, total)
            connection.execute(statement.encode())
        for number, table in enumerate(tables, start=len(statements)):
            on_progress(f"vacuum {table}", number, total)
            connection.execute(f'VACUUM (FREEZE, ANALYZE) "{table}"'.encode())
        on_progress("", total, total)


def _statements(history: History) -> Iterator[str]:
    kept_days = history.kept_days
    kept_hold_days = kept_days if history.kept_hold_days is None else history.kept_hold_days
    words = {
        ":concerts": str(history.concerts),
        ":reservations": str(history.reservations),
        ":accounts": str(history.accounts),
        ":per_concert": str(history.per_concert),
        ":kept_from": _midnight(kept_days),
        ":holds_kept_from": _midnight(kept_hold_days),
        ":activity": f"'{history.activity}'",
        ":pending": str(history.pending),
        ":answers": str(history.answers),
    }
    script = SCRIPT.read_text().partition("\nSET ")
    text = script[1] + script[2]  # without the introduction, which names the words as well
    for word, value in words.items():
        text = text.replace(word, value)
    return (statement.strip() for statement in text.split(";\n") if statement.strip())


def _midnight(days_ago: int | None) -> str:
    """Return the first midnight of the last so many days: nothing since then is old yet."""
    if days_ago is None:
        return "'-infinity'::timestamptz"
    return f"date_trunc('day', now() - interval '{days_ago - 1} days')"


def _subject(statement: str) -> str:
    """Return the table of a statement that makes rows, and nothing for any other."""
    words = statement[statement.find("INSERT INTO ") :].split()
    return words[2] if words[:2] == ["INSERT", "INTO"] else ""
