"""The ranking in Valkey: sums per day and of all time, rebuilt from `RankingEntry` whenever they are lost.

Every key lies under the hash tag `{ranking}`, so that one node of a cluster has them all and each script below is atomic there.
Keys below the root belong to a generation, a random name:

    built                    the generation that is read; missing means: lost, or never built
    rebuilding               the generation that a rebuild is filling; vanishes when the rebuild dies
    <generation>:events      set of the event ids that were counted
    <generation>:all         sorted set, concert id -> reservations
    <generation>:day:<day>   the same for one day, kept for as long as a week's ranking needs it

An event is counted in a generation only if its id is new there, so counting it again does nothing. While a rebuild runs, events
are counted in both generations: whatever was recorded before the rebuild read the table it finds there, whatever was recorded
later is counted by its own consumer. Publishing the new generation is one SET.
"""

import functools
from collections.abc import Iterable, Sequence
from datetime import date, datetime, time, timedelta
from typing import Any, NamedTuple
from uuid import UUID, uuid4
from zoneinfo import ZoneInfo

from django.conf import settings
from django.utils import timezone
from redis.commands.core import Script

from apps.concerts.models import RankingEntry, venue_day
from apps.shared.store import ClusterStoreClient, StoreClient, connect

ROOT = "ranking:{ranking}"
WINDOW_DAYS = 7
DAYS_KEPT = WINDOW_DAYS + 2  # the days of a week, and a margin for clocks that disagree
REBUILD_PATIENCE = 60  # seconds without progress after which another rebuild may start
ABANDONED_AFTER = 3600  # seconds after which what a dead rebuild left is dropped

# ARGV: the generation being filled ('' for an event that has just happened); then per event: id, concert, day ('' when too old
# to be kept), change, and when the day's key ends.
# Returns 1 when it was counted where it must be, 0 when there is no such generation.
COUNT = f"""
local root, filling = KEYS[1], ARGV[1]
local built = redis.call('GET', root .. ':built')
local rebuilding = redis.call('GET', root .. ':rebuilding')

local function count(generation, temporary)
  local base = root .. ':' .. generation
  for i = 2, #ARGV, 5 do
    if redis.call('SADD', base .. ':events', ARGV[i]) == 1 then
      redis.call('ZINCRBY', base .. ':all', ARGV[i + 3], ARGV[i + 1])
      if ARGV[i + 2] ~= '' then
        local day = base .. ':day:' .. ARGV[i + 2]
        redis.call('ZINCRBY', day, ARGV[i + 3], ARGV[i + 1])
        redis.call('EXPIREAT', day, ARGV[i + 4])
      end
    end
  end
  if temporary then
    redis.call('EXPIRE', base .. ':events', temporary)
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
redis.call('PERSIST', root .. ':' .. generation .. ':events')
redis.call('PERSIST', root .. ':' .. generation .. ':all')
redis.call('SET', root .. ':built', generation)
redis.call('DEL', root .. ':rebuilding')
if old then
  local base = root .. ':' .. old
  redis.call('UNLINK', base .. ':events', base .. ':all')
  for i = 2, #ARGV do redis.call('UNLINK', base .. ':day:' .. ARGV[i]) end
end
return 1
"""

# ARGV: number of days, the days, event ids to look up. No days means all time. Nil when the projection is lost.
READ = """
local root, days = KEYS[1], tonumber(ARGV[1])
local built = redis.call('GET', root .. ':built')
if not built then return nil end
local base = root .. ':' .. built
local sums
if days == 0 then
  sums = redis.call('ZRANGE', base .. ':all', 0, -1, 'WITHSCORES')
else
  local query = {'ZUNION', days}
  for i = 2, days + 1 do query[#query + 1] = base .. ':day:' .. ARGV[i] end
  query[#query + 1] = 'WITHSCORES'
  sums = redis.call(unpack(query))
end
local counted = {}
for i = days + 2, #ARGV do
  counted[#counted + 1] = redis.call('SISMEMBER', base .. ':events', ARGV[i])
end
return {sums, redis.call('SCARD', base .. ':events'), counted}
"""


class Sums(NamedTuple):
    """`reservations` by concert id, the number of events counted in all, and which of those asked for are among them."""

    reservations: dict[int, int]
    events: int
    counted: list[bool]


def count(entries: Iterable[RankingEntry], *, filling: str = "") -> bool:
    """Count each entry once, in the generation `filling`, or wherever events that have just happened belong.

    Returns False when that generation does not exist: the projection is lost, or the rebuild has been given up.
    """
    oldest_kept = _oldest_day_kept()
    arguments: list[str | int | bytes] = [filling]
    for entry in entries:
        kept = entry.day >= oldest_kept
        arguments += [
            entry.event_id.bytes,
            entry.concert_id,
            entry.day.isoformat() if kept else "",
            entry.reservations,
            int(_end_of_day(entry.day).timestamp()) if kept else 0,
        ]
    return bool(_run(COUNT, arguments))


def read(*, days: Sequence[date] = (), events: Sequence[UUID] = ()) -> Sums | None:
    """The sums of `days` (none: of all time), or None when the projection is lost."""
    answer = _run(
        READ,
        [len(days), *(day.isoformat() for day in days), *(event.bytes for event in events)],
    )
    if answer is None:
        return None
    flat, number, counted = answer
    return Sums(
        {
            int(concert_id): int(float(score))
            for concert_id, score in zip(flat[::2], flat[1::2], strict=True)
        },
        number,
        [bool(found) for found in counted],
    )


def begin_rebuild() -> str | None:
    """The name of a new, empty generation; None while another rebuild is under way."""
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
    """The days of a week's ranking: today and the six before."""
    return [today - timedelta(days=ago) for ago in range(WINDOW_DAYS)]


def _oldest_day_kept() -> date:
    return venue_day(timezone.now()) - timedelta(days=DAYS_KEPT - 1)


def _end_of_day(day: date) -> datetime:
    """When the sums of `day` are no longer needed."""
    zone = ZoneInfo(settings.VENUE_TIME_ZONE)
    return datetime.combine(day + timedelta(days=DAYS_KEPT), time(), tzinfo=zone)


@functools.cache
def _client(url: str) -> StoreClient | ClusterStoreClient:
    return connect(url)


@functools.cache
def _script(url: str, text: str) -> Script:
    return _client(url).register_script(text)


def _run(script: str, arguments: Sequence[str | int | bytes]) -> Any:
    return _script(settings.QUEUE_URL, script)(keys=[ROOT], args=arguments)
