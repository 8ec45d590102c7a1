-- Count failures to show a secret, each as one until it is known to have been right.
-- KEYS: the failures at the account, from the network, and at the account from there: from the network and, if it shows one, the device.
-- ARGV: what is done; how many failures are free and after how many microseconds one is forgotten, of an account and of a network;
-- the first and the longest wait in microseconds; for how many seconds a network or a device stays known to an account.
--
-- 'begin' begins a guess; 'right' and 'unmade' end one, and get where it was counted as the last argument.
-- Returns where it is counted (NOWHERE: it has to wait; AT_BOTH: account and network; else the index of the key of what is known), and of
-- the account or the network, whichever is nearer to its limit: 0 or 1, how many failures are left, and the microseconds until
-- that changes.

local NOWHERE, AT_BOTH = 0, 1

local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local done = ARGV[1]
local first_wait, longest_wait, known_for = tonumber(ARGV[6]), tonumber(ARGV[7]), tonumber(ARGV[8])

-- Read the failures that are not forgotten yet. `since` is the moment from which the next one is being forgotten.
local function read(key, free, forget)
  local kept = redis.call('HMGET', key, 'failures', 'since', 'until', 'known', 'charged')
  local one = {
    key = key, free = tonumber(free), forget = tonumber(forget), known = kept[4],
    failures = tonumber(kept[1]) or 0, since = tonumber(kept[2]) or now, wait_until = tonumber(kept[3]) or 0,
  }
  one.since = math.min(one.since, now)  -- a later one is of a clock that has been set back since
  local forgotten = math.floor((now - one.since) / one.forget)
  one.since = one.since + forgotten * one.forget
  one.failures = one.failures - forgotten
  if one.failures <= 0 then
    one.failures, one.since = 0, now
  end
  -- Of them, those that were counted at account and network, too: a success takes back no more than these there.
  one.charged = math.min(tonumber(kept[5]) or 0, one.failures)
  one.wait = math.min(longest_wait, math.max(0, one.wait_until - now))
  return one
end

local function write(one)
  if one.failures == 0 then
    redis.call('DEL', one.key)
  else
    redis.call('HSET', one.key, 'failures', one.failures, 'since', string.format('%.0f', one.since),
      'until', string.format('%.0f', one.wait_until), 'charged', one.charged)
  end
  if one.known then
    redis.call('HSET', one.key, 'known', one.known)
  end
  local life = math.max(one.failures * one.forget, one.wait_until - now)
  redis.call('EXPIRE', one.key, math.max(math.ceil(life / 1000000), one.known and known_for or 0))
end

-- Each failure beyond the free ones doubles the wait before the next guess; each that is forgotten halves it.
local function count(one)
  one.failures = one.failures + 1
  if one.failures >= one.free then
    one.wait = math.min(longest_wait, first_wait * 2 ^ (one.failures - one.free))
    one.wait_until = now + one.wait
  end
  write(one)
end

local function take_back(one, failures)
  one.failures = math.max(0, one.failures - failures)
  one.charged = math.min(one.charged, one.failures)
  one.wait, one.wait_until = 0, 0  -- the guess could not have been made during a wait
  write(one)
end

local account = read(KEYS[1], ARGV[2], ARGV[3])
local network = read(KEYS[2], ARGV[4], ARGV[5])
local from_there = {}  -- by index of the key
for index = 3, #KEYS do
  from_there[index] = read(KEYS[index], ARGV[2], ARGV[3])
end

local function answer(counted_at, one, which)
  local left = math.max(0, one.free - one.failures)
  local rest = one.wait > 0 and one.wait or one.since + one.forget - now
  return { counted_at, which, left, rest }
end

local function nearest(counted_at)
  if from_there[counted_at] then
    return answer(counted_at, from_there[counted_at], 0)
  end
  local of_account = account.free - account.failures <= network.free - network.failures
  return answer(counted_at, of_account and account or network, of_account and 0 or 1)
end

if done == 'begin' then
  -- The device before the network, which others use as well; when it has to wait, its guess is one of a stranger.
  local known_at = #KEYS
  while known_at >= 3 and not from_there[known_at].known do
    known_at = known_at - 1
  end
  if known_at >= 3 and from_there[known_at].wait == 0 then
    count(from_there[known_at])
    return nearest(known_at)
  end
  if account.wait > 0 or network.wait > 0 then
    local of_account = account.wait >= network.wait
    return answer(NOWHERE, of_account and account or network, of_account and 0 or 1)
  end
  count(account)
  count(network)
  for index = 3, #KEYS do
    from_there[index].charged = from_there[index].charged + 1
    count(from_there[index])
  end
  return nearest(AT_BOTH)
end

local counted_at = tonumber(ARGV[9])
if counted_at == AT_BOTH then
  -- A caller who shows the secret in the end has only mistyped it before, from this network.
  local slips = done == 'right' and math.max(1, from_there[3].charged) or 1
  take_back(account, slips)
  take_back(network, slips)
end
for index = 3, #KEYS do
  local one = from_there[index]
  if done == 'right' then
    one.known = known_for > 0 and '1' or nil
    take_back(one, one.failures)
  elseif counted_at == AT_BOTH or counted_at == index then
    take_back(one, 1)
  end
end
return nearest(counted_at)
