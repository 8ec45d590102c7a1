-- One step of admission: end the leases that are over, admit from the head, drop the impatient; at most BATCH visitors in
-- all, so that the server is never blocked for long. Call it again while it returns more = 1. ARGV: batch.
-- The budget is computed here and nowhere else: ten ticks at once admit no more than one.

local MEMORY = 120                  -- seconds over which visits are averaged
local DEPARTURES_MIN = 50           -- departures over which they are averaged where many leave within that time, and at least
                                    -- as many as the room has slots
local PRIOR = 0.02                  -- departures: how much an assumed visit of a whole lease weighs
local ENDS_KEPT = 600000            -- milliseconds
local ENDS_FORGOTTEN = 1000         -- at most per call

if not room.epoch then
  return { 'LOST', 0, 0, 0, 0, 0 }
end
if is_uncertain() then
  return { 'UNCERTAIN', 0, 0, 0, 0, 0 }
end

local left = tonumber(ARGV[1])
local lease = num('lease')
local ticked_at = num('ticked_at')
local active_before = redis.call('ZCARD', ACTIVE)
local grace_until = num('grace_until')
if was_interrupted() then
  grace_until = now + math.max(num('patience'), 2 * LONGEST_ADVICE * SECOND)
  room.interrupted_at = text(now)
  redis.call('HSET', ROOM, 'grace_until', text(grace_until), 'interrupted_at', room.interrupted_at)
end

local timed_out = 0
for _, user in ipairs(redis.call('ZRANGE', ACTIVE, '-inf', text(now), 'BYSCORE', 'LIMIT', 0, left)) do
  left = left - 1
  local visit = find(user)
  if visit.lease_until > now then
    redis.call('ZADD', ACTIVE, text(visit.lease_until), user)
  elseif not visit.has_shown_up and visit.lease_until <= num('interrupted_at') then
    redis.call('ZADD', ACTIVE, text(now + SHOW_UP), user)
  elseif not visit.has_shown_up and visit.slot <= EARLY and now < num('promised_until') then
    -- Told to come back at an opening that staff have moved forward: makes room, but has not had the turn. No end is
    -- recorded, so the token brings the place back.
    remove(user, visit)
  else
    time_out(user, visit)
    timed_out = timed_out + 1
  end
end

-- Return what the limit per minute leaves: nowhere more than the limit in any 60 seconds, nor more than its tenth in any six, so
-- that a minute's admissions do not come in one burst. Counted by second, the one that has begun included.
local function pace_budget(per_minute)
  local second = math.floor(now / SECOND)
  local minute, moment = 0, 0
  local counts = redis.call('HGETALL', PACE)
  for i = 1, #counts, 2 do
    local age, count = second - tonumber(counts[i]), tonumber(counts[i + 1])
    if age > 60 or age < 0 then
      redis.call('HDEL', PACE, counts[i])
    else
      minute = minute + count
      moment = moment + (age <= 6 and count or 0)
    end
  end
  if per_minute == 0 then
    return math.huge
  end
  return math.min(per_minute - minute, math.ceil(per_minute / 10) - moment)
end

local admitted, dropped = 0, 0
local pace_left = pace_budget(num('per_minute'))
local is_open = room.state == 'OPEN' and not is_early() and not is_closed()
-- Also while it is paused: after its opening no visitor draws any more.
if not is_early() and not is_closed() and not room.last_slot then
  redis.call('HSET', ROOM, 'last_slot', text(now))
end
if is_open and not is_healing() then
  local budget = math.min(num('capacity') - redis.call('ZCARD', ACTIVE), pace_left)
  while budget > 0 and left > 0 do
    local head = redis.call('ZRANGE', WAITING, 0, math.min(budget, left) - 1, 'WITHSCORES')
    if #head == 0 then
      break
    end
    local users, slots = {}, {}
    for i = 1, #head, 2 do
      users[#users + 1], slots[#slots + 1] = head[i], tonumber(head[i + 1])
    end
    local patient_until = redis.call('ZMSCORE', SEEN, unpack(users))
    local visits, leases, impatient = {}, {}, {}
    local lease_until, since = text(now + SHOW_UP), ':' .. text(now) .. ':0'
    for i, user in ipairs(users) do
      if now >= grace_until and patient_until[i] and tonumber(patient_until[i]) <= now then
        impatient[#impatient + 1] = { user = user, slot = slots[i] }
      else
        visits[#visits + 1], visits[#visits + 2] = user, text(slots[i]) .. since
        leases[#leases + 1], leases[#leases + 2] = lease_until, user
      end
    end
    -- Their entries in `seen` stay: finding each costs more than all the rest, and in order of time they are dropped together.
    redis.call('ZREMRANGEBYRANK', WAITING, 0, #users - 1)
    if #leases > 0 then
      redis.call('HSET', VISITS, unpack(visits))
      redis.call('ZADD', ACTIVE, unpack(leases))
    end
    log_ends(impatient, 'TIMED_OUT')
    left = left - #users
    dropped = dropped + #impatient
    admitted = admitted + #leases / 2
    budget = budget - #leases / 2
  end
end

if left > 0 and now >= grace_until then
  local users = redis.call('ZRANGE', SEEN, '-inf', text(now), 'BYSCORE', 'LIMIT', 0, left)
  if #users > 0 then
    local slots = redis.call('ZMSCORE', WAITING, unpack(users))
    local impatient = {}
    for i, user in ipairs(users) do
      if slots[i] then  -- else admitted or dropped since
        impatient[#impatient + 1] = { user = user, slot = tonumber(slots[i]) }
      end
    end
    redis.call('ZREMRANGEBYRANK', SEEN, 0, #users - 1)
    redis.call('ZREM', WAITING, unpack(users))
    log_ends(impatient, 'TIMED_OUT')
    left = left - #users
    dropped = dropped + #impatient
  end
end

local old_ends = redis.call('ZCOUNT', ENDED, '-inf', text((math.floor(now / 1000) - ENDS_KEPT) * 8))
if old_ends > 0 then
  redis.call('ZREMRANGEBYRANK', ENDED, 0, math.min(old_ends, ENDS_FORGOTTEN) - 1)
end

-- Mean visit = time spent inside / departures (Little's law), the past fading exponentially.
local elapsed = ticked_at > 0 and math.max(0, now - ticked_at) / SECOND or 0
local departures = tonumber(redis.call('HGET', ROOM, 'departures') or 0)
local departed = departures - num('departures_counted')
local fading = math.exp(-math.max(elapsed / MEMORY, departed / math.max(DEPARTURES_MIN, num('capacity'))))
local presence = num('presence') * fading + (active_before + departed / 2) * elapsed
local leaving = num('leaving') * fading + departed
local mean_visit = (PRIOR * lease / SECOND + presence) / (PRIOR + leaving)
local waiting = redis.call('ZCARD', WAITING)
local present = waiting + redis.call('ZCARD', ACTIVE)
-- Since when visitors have been waiting for a slot.
local full_since = 0
if is_open and waiting > 0 then
  full_since = num('full_since') > 0 and num('full_since') or now
end
redis.call('HSET', ROOM, 'ticked_at', text(present > 0 and now or 0), 'presence', presence, 'leaving', leaving,
  'mean_visit', math.min(mean_visit, lease / SECOND), 'departures_counted', text(departures), 'full_since', text(full_since))

if admitted > 0 then
  redis.call('HINCRBY', ROOM, 'admitted_total', admitted)
  redis.call('HINCRBY', PACE, text(math.floor(now / SECOND)), admitted)
end
local has_more = left == 0 or old_ends > ENDS_FORGOTTEN
return { 'DONE', admitted, dropped, timed_out, has_more and 1 or 0, present }
