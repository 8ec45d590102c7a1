#!lua
-- Count a call against a limit over a moving window. KEYS: the caller's calls. ARGV: limit, span in seconds.
-- On a server that is no cluster KEYS may be the copy of a login instead (`apps/accounts/login_copies.py`), and a third argument what
-- stands before the customer's number in the key of the customer's calls: two questions in one.
-- Returns whether it is allowed, how many are left, and the microseconds until the oldest call leaves the window;
-- before that, if it was asked with the copy of a login, the copy, and nothing else if that names no customer.
-- The list has the moments of the calls that were allowed, the newest first; a refused call is no part of it.

local CALLS, limit, span, before_customer = KEYS[1], tonumber(ARGV[1]), tonumber(ARGV[2]), ARGV[3]

local copy
if before_customer then
  copy = redis.call('GET', KEYS[1])
  local customer = copy and copy:match('^(%d+):')
  if not customer then
    return { copy }
  end
  CALLS = before_customer .. customer
end

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
local counted = { is_allowed and 1 or 0, math.max(0, limit - count), (oldest or now) - first }
if copy then
  table.insert(counted, 1, copy)
end
return counted
