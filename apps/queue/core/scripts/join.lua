-- Take a place, or give back the one there is.
-- ARGV: user, jitter, 1 if the exit log was asked about this visit; then place (or -1), generation and lease deadline of a
-- token from before.
-- The place is the moment of arrival, strictly increasing; before opening it is drawn by lottery.

local user, jitter, is_checked, previous = ARGV[1], tonumber(ARGV[2]), ARGV[3] == '1', tonumber(ARGV[4])

if not room.epoch then
  return answer('LOST', {})
end
if room.state == 'CLOSED' then
  return answer('QUEUE_CLOSED', {})
end
if is_closed() then
  return answer(is_withdrawn() and 'WITHDRAWN' or 'SALES_CLOSED', {})
end

local found = find(user)
if previous >= 0 and tonumber(ARGV[5]) == num('generation') and knows_less(found, previous, tonumber(ARGV[6]))
  and not how_it_ended(user, previous) then
  return answer('UNKNOWN', { slot = previous })
end
if found and not is_checked and is_uncertain() then
  return answer('UNCERTAIN', { slot = public_slot(found.slot) })
end
if found and found.outcome == 'ACTIVE' and is_over(found) then
  time_out(user, found)
  found = nil
end
if found then
  if previous > public_slot(found.slot) and tonumber(ARGV[5]) == num('generation') then
    merge(user, previous)
  end
  return welcome(user, found, jitter)
end
if is_withdrawn() then
  return answer('WITHDRAWN', {})
end
local joining_starts_at = num('opens_at') - num('lottery_window')
if now < joining_starts_at then
  return answer('SALES_NOT_OPEN', { poll_after = math.ceil((joining_starts_at - now) / SECOND) })
end

local slot
if lottery_runs() then
  slot = draw(user)
  redis.call('ZREM', ENDED, user .. ':0')
else
  slot = math.max(now, num('last_slot') + 1)
  redis.call('HSET', ROOM, 'last_slot', text(slot))
  room.last_slot = slot
end
redis.call('ZADD', WAITING, text(slot), user)
if num('ticked_at') == 0 then
  redis.call('HSET', ROOM, 'ticked_at', text(now))  -- from now on an outage would be noticed
end
return welcome(user, { outcome = 'WAITING', slot = slot }, jitter, 1)
