-- Return the figures for the board and for staff.

if not room.epoch then
  return {}
end
local state = room.state
if is_closed() then
  state = 'CLOSED'
elseif state == 'OPEN' and is_early() then
  state = 'SCHEDULED'
end

local second, per_minute = math.floor(now / SECOND), 0
local counts = redis.call('HGETALL', PACE)
for i = 1, #counts, 2 do
  if second - tonumber(counts[i]) < 60 then
    per_minute = per_minute + tonumber(counts[i + 1])
  end
end

local longest_wait = 0
local head = redis.call('ZRANGE', WAITING, 0, 0, 'WITHSCORES')
if #head > 0 and not is_early() then
  longest_wait = math.max(0, now - math.max(tonumber(head[2]), num('opens_at')))
end

return { state, now, num('opens_at'), redis.call('ZCARD', WAITING), redis.call('ZCOUNT', ACTIVE, '(' .. text(now), '+inf'),
  num('capacity'), num('admitted_total'), per_minute, longest_wait, redis.call('XLEN', EXITS),
  math.floor((tonumber(room.mean_visit) or num('lease') / SECOND) * SECOND), is_healing() and 1 or 0 }
