"""The ranking in Valkey: sums per day and of all time, rebuilt from `RankingEntry` whenever they are lost.

Every key lies under the hash tag `{ranking}`, so that one node of a cluster has them all and each script below is atomic there.
Keys below the root belong to a generation, a random name:

    built                       the generation that is read; missing means: lost, or never built
    rebuilding                  the generation that a rebuild is filling; vanishes when the rebuild dies
    <generation>:events:<day>   set of the ids of the events recorded on that day that were counted
    <generation>:changes        how many additions were made
    <generation>:all            sorted set, concert id -> reservations
    <generation>:day:<day>      the same for one day, kept for as long as a week's ranking needs it

An event is counted in a generation only if its id is new there, so counting it again does nothing. Ids are remembered for those
recorded yesterday or today. An older one comes again only if its delivery was given up and replayed; when it was recorded, the
table knows, and whatever stood in the table for so long is in every generation: counted by its own delivery, or by the rebuild
that follows a difference found within minutes. So it is not counted again.

While a rebuild runs, events are counted in both generations: whatever was recorded before the rebuild read the table it finds
there, whatever was recorded later is counted by its own consumer. Publishing the new generation is one SET.
"""

import functools
from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Any, NamedTuple
from uuid import uuid4
from zoneinfo import ZoneInfo

from django.conf import settings
from django.utils import timezone

from apps.concerts.models import RankingEntry, venue_day
from apps.core.lean_store import Script, script_client

ROOT = "ranking:{ranking}"
WINDOW_DAYS = 7
DAYS_KEPT = WINDOW_DAYS + 2  # the days of a week, and a margin for clocks that disagree
EVENT_DAYS = 2  # today and yesterday
REBUILD_PATIENCE = 60  # seconds without progress after which another rebuild may start
CHANGES_BATCH = 250  # for one script call: a millisecond or two of the store's time
ABANDONED_AFTER = 3600  # seconds after which what a dead rebuild left is dropped

_COUNT = Script(Path(__file__).with_name("ranking_count.lua"))
_PUBLISH = Script(Path(__file__).with_name("ranking_publish.lua"))
_READ = Script(Path(__file__).with_name("ranking_read.lua"), writes=False)


class RankingTotals(NamedTuple):
    """`reservations` by concert id, the number of additions made in all, and which of the events asked for are among them."""

    reservations: dict[int, int]
    changes: int
    counted: list[bool]


class Change(NamedTuple):
    """Reservations to add to a concert's sums: of all time, and of `day` unless it is None."""

    concert_id: int
    day: date | None
    reservations: int


def apply(entries: Iterable[RankingEntry], *, filling: str = "") -> bool:
    """Count each entry once, in the generation `filling`, or wherever events that have just happened belong.

    Returns False when that generation does not exist: the projection is lost, or the rebuild has been given up.
    """
    oldest_kept = oldest_day_kept()
    arguments: list[str | int | bytes] = []
    for entry in entries:
        recorded_on = venue_day(entry.recorded_at)
        forgotten_at = _start_of_day(recorded_on + timedelta(days=EVENT_DAYS + 1))
        day = entry.day if entry.day >= oldest_kept else None
        arguments += [entry.event_id.bytes, recorded_on.isoformat(), forgotten_at]
        arguments += _arguments(Change(entry.concert_id, day, entry.reservations))
    return bool(_run(_COUNT, filling, REBUILD_PATIENCE, ABANDONED_AFTER, *arguments))


def add(changes: Sequence[Change], *, filling: str) -> bool:
    """Add sums of entries recorded before `remembered_since`; False when the rebuild has been given up."""
    for start in range(0, len(changes) or 1, CHANGES_BATCH):
        arguments: list[str | int | bytes] = []
        for change in changes[start : start + CHANGES_BATCH]:
            arguments += ["", "", 0, *_arguments(change)]
        if not _run(_COUNT, filling, REBUILD_PATIENCE, ABANDONED_AFTER, *arguments):
            return False
    return True


def is_built() -> bool:
    """Return whether there is a projection to read."""
    return bool(_execute("EXISTS", f"{ROOT}:built"))


def read(
    *,
    days: Sequence[date] = (),
    recorded: Sequence[RankingEntry] = (),
    best: int | None = None,
) -> RankingTotals | None:
    """Return the sums of `days` (none: of all time) and which of the `recorded` are counted; None when the projection is lost.

    With `best`, the sums of all time are those of so many concerts with the most reservations, and of those that have as many
    as the last of them.
    """
    arguments: list[str | int | bytes] = ["" if best is None else best, len(days)]
    arguments += [day.isoformat() for day in days]
    for entry in recorded:
        arguments += [venue_day(entry.recorded_at).isoformat(), entry.event_id.bytes]
    answer = _run(_READ, *arguments)
    if answer is None:
        return None
    flat, number, counted = answer
    return RankingTotals(
        {
            int(concert_id): int(float(score))
            for concert_id, score in zip(flat[::2], flat[1::2], strict=True)
        },
        number,
        [bool(found) for found in counted],
    )


def begin_rebuild() -> str | None:
    """Return the name of a new, empty generation; None while another rebuild is under way."""
    generation = uuid4().hex
    begun = _execute("SET", f"{ROOT}:rebuilding", generation, "NX", "EX", REBUILD_PATIENCE)
    return generation if begun else None


def publish_rebuild(generation: str) -> bool:
    """Let everybody read `generation` from now on; False when this rebuild has been given up meanwhile."""
    today = venue_day(timezone.now())
    days = [(today - timedelta(days=ago)).isoformat() for ago in range(-1, DAYS_KEPT + 1)]
    return bool(_run(_PUBLISH, generation, *days))


def window_days(today: date) -> list[date]:
    """Return the days of a week's ranking: today and the six before."""
    return [today - timedelta(days=ago) for ago in range(WINDOW_DAYS)]


def remembered_since() -> datetime:
    """Return the time from which on the ids of events are known."""
    today = venue_day(timezone.now())
    return datetime.fromtimestamp(_start_of_day(today - timedelta(days=EVENT_DAYS - 1)), UTC)


def oldest_day_kept() -> date:
    return venue_day(timezone.now()) - timedelta(days=DAYS_KEPT - 1)


def _arguments(change: Change) -> list[str | int]:
    concert_id, day, reservations = change
    if day is None:
        return [concert_id, "", reservations, 0]
    ends_at = _start_of_day(day + timedelta(days=DAYS_KEPT))
    return [concert_id, day.isoformat(), reservations, ends_at]


@functools.lru_cache(maxsize=32)
def _start_of_day(day: date) -> int:
    """Return the beginning of a day at the venues, in seconds since 1970."""
    zone = ZoneInfo(settings.VENUE_TIME_ZONE)
    return int(datetime.combine(day, time(), tzinfo=zone).timestamp())


def _execute(*command: str | int) -> Any:
    return script_client(settings.QUEUE_URL).execute_command(*command)


def _run(script: Script, *arguments: str | int | bytes) -> Any:
    return script.run(script_client(settings.QUEUE_URL), [ROOT], *arguments)
