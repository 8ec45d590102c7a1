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
from typing import Any, NamedTuple
from uuid import uuid4
from zoneinfo import ZoneInfo

from django.conf import settings
from django.utils import timezone
from redis.commands.core import Script

from apps.concerts.models import RankingEntry, venue_day
from apps.core.store import ClusterStoreClient, StoreClient, connect

ROOT = "ranking:{ranking}"
WINDOW_DAYS = 7
DAYS_KEPT = WINDOW_DAYS + 2  # the days of a week, and a margin for clocks that disagree
EVENT_DAYS = 2  # today and yesterday
REBUILD_PATIENCE = 60  # seconds without progress after which another rebuild may start
CHANGES_BATCH = 250  # for one script call: a millisecond or two of the store's time
ABANDONED_AFTER = 3600  # seconds after which what a dead rebuild left is dropped

# ARGV: the generation being filled ('' for what has just happened); then per addition: the event's id ('' for a sum of many), the
# day it was recorded and when ids of that day are forgotten; concert, day ('' when too old to be kept), change, and when the
# day's key ends.
# Returns 1 when it was counted where it must be, 0 when there is no such generation.
COUNT = f"""
local root, filling = KEYS[1], ARGV[1]
local built = redis.call('GET', root .. ':built')
local rebuilding = redis.call('GET', root .. ':rebuilding')

local function is_new(base, i)
  if ARGV[i] == '' then return true end
  local ids = base .. ':events:' .. ARGV[i + 1]
  if redis.call('SADD', ids, ARGV[i]) == 0 then return false end
  redis.call('EXPIREAT', ids, ARGV[i + 2])
  return true
end

local function count(generation, temporary)
  local base = root .. ':' .. generation
  for i = 2, #ARGV, 7 do
    if is_new(base, i) then
      redis.call('ZINCRBY', base .. ':all', ARGV[i + 5], ARGV[i + 3])
      if ARGV[i + 4] ~= '' then
        local day = base .. ':day:' .. ARGV[i + 4]
        redis.call('ZINCRBY', day, ARGV[i + 5], ARGV[i + 3])
        redis.call('EXPIREAT', day, ARGV[i + 6])
      end
      redis.call('INCR', base .. ':changes')
    end
  end
  if temporary then
    redis.call('EXPIRE', base .. ':changes', temporary)
    redis.call('EXPIRE', base .. ':all', temporary)
  end
end

if filling ~= '' then
  if rebuilding ~= filling then return 0 end
  redis.call('EXPIRE', root .. ':rebuilding', {REBUILD_PATIENCE})
  count(filling, {ABANDONED_AFTER})
  return 1
end
if rebuilding then count(rebuilding, {ABANDONED_AFTER}) end
if not built then return 0 end
count(built)
return 1
"""

# ARGV: the generation that is complete; then the days whose keys the old generation may have.
PUBLISH = """
local root, generation = KEYS[1], ARGV[1]
if redis.call('GET', root .. ':rebuilding') ~= generation then return 0 end
local old = redis.call('GET', root .. ':built')
redis.call('PERSIST', root .. ':' .. generation .. ':changes')
redis.call('PERSIST', root .. ':' .. generation .. ':all')
redis.call('SET', root .. ':built', generation)
redis.call('DEL', root .. ':rebuilding')
if old then
  local base = root .. ':' .. old
  redis.call('UNLINK', base .. ':changes', base .. ':all')
  for i = 2, #ARGV do redis.call('UNLINK', base .. ':day:' .. ARGV[i], base .. ':events:' .. ARGV[i]) end
end
return 1
"""

# ARGV: how many concerts with the most reservations are wanted, of all time, with all that have as many as the last of them; ''
# for every concert. Then the number of days, the days, then for events to look up the day recorded and the id. No days means all
# time. Nil when the projection is lost.
READ = """
local root, best, days = KEYS[1], tonumber(ARGV[1]), tonumber(ARGV[2])
local built = redis.call('GET', root .. ':built')
if not built then return nil end
local base = root .. ':' .. built
local sums
if days == 0 then
  local last = best and redis.call('ZRANGE', base .. ':all', best - 1, best - 1, 'REV', 'WITHSCORES')[2]
  sums = redis.call('ZRANGE', base .. ':all', last or '-inf', '+inf', 'BYSCORE', 'WITHSCORES')
else
  local query = {'ZUNION', days}
  for i = 3, days + 2 do query[#query + 1] = base .. ':day:' .. ARGV[i] end
  query[#query + 1] = 'WITHSCORES'
  sums = redis.call(unpack(query))
end
local counted = {}
for i = days + 3, #ARGV, 2 do
  counted[#counted + 1] = redis.call('SISMEMBER', base .. ':events:' .. ARGV[i], ARGV[i + 1])
end
return {sums, tonumber(redis.call('GET', base .. ':changes') or 0), counted}
"""


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
    arguments: list[str | int | bytes] = [filling]
    for entry in entries:
        recorded_on = venue_day(entry.recorded_at)
        forgotten_at = _start_of_day(recorded_on + timedelta(days=EVENT_DAYS + 1))
        day = entry.day if entry.day >= oldest_kept else None
        arguments += [entry.event_id.bytes, recorded_on.isoformat(), forgotten_at]
        arguments += _arguments(Change(entry.concert_id, day, entry.reservations))
    return bool(_run(COUNT, arguments))


def add(changes: Sequence[Change], *, filling: str) -> bool:
    """Add sums of entries recorded before `remembered_since`; False when the rebuild has been given up."""
    for start in range(0, len(changes) or 1, CHANGES_BATCH):
        arguments: list[str | int | bytes] = [filling]
        for change in changes[start : start + CHANGES_BATCH]:
            arguments += ["", "", 0, *_arguments(change)]
        if not _run(COUNT, arguments):
            return False
    return True


def is_built() -> bool:
    """Return whether there is a projection to read."""
    return bool(_client(settings.QUEUE_URL).exists(f"{ROOT}:built"))


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
    answer = _run(READ, arguments)
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
    client = _client(settings.QUEUE_URL)
    begun = client.set(f"{ROOT}:rebuilding", generation, nx=True, ex=REBUILD_PATIENCE)
    return generation if begun else None


def publish_rebuild(generation: str) -> bool:
    """Let everybody read `generation` from now on; False when this rebuild has been given up meanwhile."""
    today = venue_day(timezone.now())
    days = [(today - timedelta(days=ago)).isoformat() for ago in range(-1, DAYS_KEPT + 1)]
    return bool(_run(PUBLISH, [generation, *days]))


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


@functools.cache
def _client(url: str) -> StoreClient | ClusterStoreClient:
    return connect(url)


@functools.cache
def _script(url: str, text: str) -> Script:
    return _client(url).register_script(text)


def _run(script: str, arguments: Sequence[str | int | bytes]) -> Any:
    return _script(settings.QUEUE_URL, script)(keys=[ROOT], args=arguments)
