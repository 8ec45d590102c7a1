-- Bring the room's copy of its policy up to date, and notice what the server has lost.
-- ARGV: epoch, 1 if the server has had it before, hold-off in microseconds, then the policy as pairs.
-- Returns since when ends must be replayed before a visitor is admitted, in microseconds; -1 if none.

local epoch, was_stored, hold_off = ARGV[1], ARGV[2] == '1', tonumber(ARGV[3])
local policy = {}
for i = 4, #ARGV, 2 do
  policy[ARGV[i]] = ARGV[i + 1]
end

local REPLAYED = 600 * SECOND   -- longer than what any append-only file may lack

local lost_since
if room.epoch ~= epoch then
  -- Empty, or filled for another database.
  redis.call('UNLINK', unpack(KEYS))
  room = {}
  lost_since = was_stored and now - REPLAYED or nil
elseif is_restarted() then
  -- What it loaded goes on at least until the last thing it tells of.
  lost_since = math.min(now, math.max(num('ticked_at'), num('last_slot'))) - REPLAYED
end

if tonumber(policy.version) >= num('version') then
  if room.generation and tonumber(policy.generation) > num('generation') then
    redis.call('UNLINK', WAITING, SEEN, ACTIVE, VISITS, ENDED)
    redis.call('HDEL', ROOM, 'last_slot')
  end
  if is_early() and tonumber(policy.opens_at) < num('opens_at') then
    -- Early birds were told to come back at the opening announced before; then they need a minute.
    redis.call('HSET', ROOM, 'promised_until', text(num('opens_at') + SHOW_UP))
  end
  redis.call('HSET', ROOM, unpack(ARGV, 4))
end
redis.call('HSET', ROOM, 'epoch', epoch, 'run_id', run_id())
if lost_since then
  redis.call('HSET', ROOM, 'replay', text(math.max(0, lost_since)), 'healing_until', text(now + hold_off))
  -- How many were admitted in the last minute is lost as well: suppose that it was as many as allowed.
  local tenth = math.ceil(tonumber(policy.per_minute) / 10)
  for age = 0, tenth > 0 and 54 or -1, 6 do
    redis.call('HSET', PACE, text(math.floor(now / SECOND) - age), tenth)
  end
end
return tonumber(redis.call('HGET', ROOM, 'replay') or -1)
