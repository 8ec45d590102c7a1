-- Bring the room's copy of its policy up to date, and notice what the server has lost.
-- ARGV: epoch, 1 if the server has had it before, hold-off in microseconds, then the policy as pairs.
-- Returns 1 if recent ends must be replayed before anybody is admitted.

local epoch, was_stored, hold_off = ARGV[1], ARGV[2] == '1', tonumber(ARGV[3])
local policy = {}
for i = 4, #ARGV, 2 do
  policy[ARGV[i]] = ARGV[i + 1]
end

local is_lost = false
if room.epoch ~= epoch then
  -- Empty, or filled for another database.
  redis.call('UNLINK', unpack(KEYS))
  room = {}
  is_lost = was_stored
elseif is_restarted() then
  is_lost = true
end

if tonumber(policy.version) >= num('version') then
  if room.generation and tonumber(policy.generation) > num('generation') then
    redis.call('UNLINK', WAITING, SEEN, ACTIVE, VISITS, ENDED, PACE)
    redis.call('HDEL', ROOM, 'last_place')
  end
  redis.call('HSET', ROOM, unpack(ARGV, 4))
  -- Every draw needs the blocks as bytes.
  redis.call('HSET', ROOM, 'lottery_blocks', bytes(policy.lottery_inner .. policy.lottery_outer))
  redis.call('HDEL', ROOM, 'lottery_inner', 'lottery_outer')
end
redis.call('HSET', ROOM, 'epoch', epoch, 'run_id', run_id())
if is_lost then
  redis.call('HSET', ROOM, 'replay', 1, 'healing_until', text(now + hold_off))
end
return redis.call('HEXISTS', ROOM, 'replay')
