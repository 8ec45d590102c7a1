#!lua
-- Count a call against a limit over a moving window. KEYS: the caller's calls. ARGV: limit, span in seconds.
-- Returns whether it is allowed, how many are left, and the microseconds until the oldest call leaves the window.
-- The list has the moments of the calls that were allowed, the newest first; a refused call is no part of it.

local CALLS, limit, span = KEYS[1], tonumber(ARGV[1]), tonumber(ARGV[2])

local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local first = now - span * 1000000

local oldest = tonumber(redis.call('LINDEX', CALLS, -1))
while oldest and (oldest < first or oldest > now) do  -- a later one is of a clock that has been set back since
  redis.call('RPOP', CALLS)
  oldest = tonumber(redis.call('LINDEX', CALLS, -1))
end

local count = oldest and redis.call('LLEN', CALLS) or 0
local is_allowed = count < limit
if is_allowed then
  redis.call('LPUSH', CALLS, string.format('%.0f', now))
  redis.call('EXPIRE', CALLS, span)
  count = count + 1
end
return { is_allowed and 1 or 0, math.max(0, limit - count), (oldest or now) - first }
