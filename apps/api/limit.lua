-- Count a call against a limit over a moving window. `calls` is the list of the moments of the caller's calls that were allowed, the newest
-- first; a refused call is no part of it. `span` is in seconds, `now` in microseconds by the server's clock.
-- Returns whether it is allowed, how many are left, and the microseconds until the oldest call leaves the window.
local function count(calls, limit, span, now)
  local first = now - span * 1000000
  local oldest = tonumber(redis.call('LINDEX', calls, -1))
  while oldest and (oldest < first or oldest > now) do  -- a later one is of a clock that has been set back since
    redis.call('RPOP', calls)
    oldest = tonumber(redis.call('LINDEX', calls, -1))
  end

  local counted = oldest and redis.call('LLEN', calls) or 0
  local is_allowed = counted < limit
  if is_allowed then
    redis.call('LPUSH', calls, string.format('%.0f', now))
    redis.call('EXPIRE', calls, span)
    counted = counted + 1
  end
  return { is_allowed and 1 or 0, math.max(0, limit - counted), (oldest or now) - first }
end
