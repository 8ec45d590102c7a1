-- Shared by every script of a room. `clock()` is put in front: microseconds of the server's own time.
--
-- All keys of a room carry one hash tag, so they live on one node and a script is one atomic step. Places are microseconds
-- too: a double holds them exactly, `tostring` does not, hence `text`. The first argument is the server's run id or empty; each
-- script counts its own arguments from the next one on.

local ROOM, WAITING, SEEN, ACTIVE, VISITS, ENDED, EXITS, PACE = unpack(KEYS)

local RUN_ID = table.remove(ARGV, 1)
local SECOND = 1000000
local SHOW_UP = 60 * SECOND     -- what an admitted visitor has to come back
local INTERRUPTION = 20 * SECOND    -- a longer gap between ticks of a room with people in it is an outage: who tried to be
                                    -- seen may not have been
local HEALING_LONGEST = 60 * SECOND -- a hold-off that ends later was set by a clock that has been set back since
local EARLY = 2 ^ 48            -- places drawn by lottery are at most this; every reading of the clock is above it
local LONGEST_ADVICE = 50       -- seconds; below SHOW_UP, so that who obeys is never late for being admitted
local HEAD_POLLS = 500          -- positions in front of this one may all be told to ask once a second, those behind may not
local SHORTEST_VISIT = 2        -- seconds; to choose a seat and pay takes no visitor less
local REASONS = { COMPLETED = 1, TIMED_OUT = 2, LEFT = 3, REMOVED = 4, MERGED = 5 }
local REASON_NAMES = { 'COMPLETED', 'TIMED_OUT', 'LEFT', 'REMOVED', 'MERGED' }

local now = clock()
local COUNTED  -- what the limit says that the call was counted against, if it was

local room = {}
do
  local fields = redis.call('HGETALL', ROOM)
  for i = 1, #fields, 2 do
    room[fields[i]] = fields[i + 1]
  end
end

local function text(number)
  return string.format('%.0f', number)
end

local function num(field)
  return tonumber(room[field]) or 0
end

local function run_id()
  return RUN_ID ~= '' and RUN_ID or redis.call('INFO', 'server'):match('run_id:(%w+)')
end

-- Tell whether the server began anew since the room was last looked after: what it loaded from disk may be old.
local function is_restarted()
  return room.run_id ~= run_id()
end

-- Tell whether the room may have forgotten ends: until they are replayed, no visitor is believed to be ACTIVE unchecked.
local function is_uncertain()
  return room.replay ~= nil or is_restarted()
end

local function is_healing()
  local left = num('healing_until') - now
  return room.replay ~= nil or (left > 0 and left <= HEALING_LONGEST)
end

local function is_closed()
  local closes_at = num('closes_at')
  return room.state == 'CLOSED' or (closes_at > 0 and closes_at <= now)
end

local function is_early()
  return now < num('opens_at')
end

-- The lottery is over for good once the room has opened, even if its opening is postponed later.
local function lottery_runs()
  return is_early() and not room.last_slot
end

-- Tokens and the exit log write 0 for a place drawn by lottery: it is a secret, and can be drawn again.
local function public_slot(slot)
  return slot <= EARLY and 0 or slot
end

local function bytes(hex)
  return (hex:gsub('%x%x', function(pair) return string.char(tonumber(pair, 16)) end))
end

-- HMAC-SHA1 (RFC 2104) under the room's key, whose two padded blocks the room keeps ready; the first 48 bits.
local function draw(user)
  local inner = redis.sha1hex(room.lottery_inner .. room.concert .. ':' .. user)
  local digest = redis.sha1hex(room.lottery_outer .. bytes(inner))
  return tonumber(digest:sub(1, 12), 16) + 1
end

-- While the concert is offline no visitor can use a turn, so all turns stand still, and begin anew when it is published again.
local function is_withdrawn()
  return room.state == 'WITHDRAWN'
end

-- Give a visit `began_at`, the moment from which its turn counts, and the lease that it has therefore at least.
local function with_turn(visit)
  visit.began_at = math.max(visit.admitted_at, is_withdrawn() and now or num('resumed_at'))
  if visit.began_at > visit.admitted_at then
    local span = visit.has_shown_up and num('lease') or SHOW_UP
    visit.lease_until = math.max(visit.lease_until, visit.began_at + span)
  end
  return visit
end

local function visit_of(user)
  local record = redis.call('HGET', VISITS, user)
  if not record then
    return nil
  end
  local slot, admitted_at, shown = record:match('(%d+):(%d+):(%d)')
  return { slot = tonumber(slot), admitted_at = tonumber(admitted_at), has_shown_up = shown == '1' }
end

local function save_visit(user, visit, lease_until)
  local shown = visit.has_shown_up and ':1' or ':0'
  redis.call('HSET', VISITS, user, text(visit.slot) .. ':' .. text(visit.admitted_at) .. shown)
  redis.call('ZADD', ACTIVE, text(lease_until), user)
end

-- Return the state of the user now: ACTIVE with the visit, WAITING with the place, or nil.
local function find(user)
  local lease_until = redis.call('ZSCORE', ACTIVE, user)
  if lease_until then
    local visit = visit_of(user)
    visit.outcome, visit.lease_until = 'ACTIVE', tonumber(lease_until)
    return with_turn(visit)
  end
  local slot = redis.call('ZSCORE', WAITING, user)
  if slot then
    return { outcome = 'WAITING', slot = tonumber(slot) }
  end
  return nil
end

local function was_interrupted()
  local ticked_at = num('ticked_at')
  return ticked_at > 0 and now - ticked_at > INTERRUPTION
end

-- Tell whether a lease has ended; not that of an admitted visitor who could not show up because of an outage.
local function is_over(visit)
  if visit.lease_until > now then
    return false
  end
  return visit.has_shown_up or not (was_interrupted() or visit.lease_until <= num('interrupted_at'))
end

local function remove(user, found)
  if found.outcome == 'ACTIVE' then
    redis.call('ZREM', ACTIVE, user)
    redis.call('HDEL', VISITS, user)
    redis.call('HINCRBY', ROOM, 'departures', 1)
  else
    redis.call('ZREM', WAITING, user)
    redis.call('ZREM', SEEN, user)
  end
end

-- `ended` scores are milliseconds * 8 + reason: one sorted set answers "how?" and forgets by age.
local function remember_end(user, slot, reason, at)
  local score = math.floor(at / 1000) * 8 + REASONS[reason]
  redis.call('ZADD', ENDED, 'NX', text(score), user .. ':' .. text(slot))
end

local function how_it_ended(user, slot)
  local score = redis.call('ZSCORE', ENDED, user .. ':' .. text(slot))
  return score and REASON_NAMES[tonumber(score) % 8]
end

-- Ends that the room itself found: remembered, and on their way to the exit log. Each visit has user, place and admitted_at.
-- An entry is one string and the ends are remembered with one call: most of such a step is the cost of calls and arguments.
local function log_ends(visits, reason)
  local score, remembered = text(math.floor(now / 1000) * 8 + REASONS[reason]), {}
  for _, visit in ipairs(visits) do
    local slot = public_slot(visit.slot)
    local slot_text = text(slot)
    local joined_at = slot > 0 and slot_text or text(num('opens_at'))
    remembered[#remembered + 1] = score
    remembered[#remembered + 1] = visit.user .. ':' .. slot_text
    redis.call('XADD', EXITS, '*', 'end', table.concat({ visit.user, slot_text, room.generation, reason, joined_at,
      text(visit.admitted_at or 0), text(now) }, ':'))
  end
  if #remembered > 0 then
    redis.call('ZADD', ENDED, 'NX', unpack(remembered))
  end
end

local function log_end(user, found, reason)
  log_ends({ { user = user, slot = found.slot, admitted_at = found.admitted_at } }, reason)
end

local function time_out(user, found)
  remove(user, found)
  log_end(user, found, 'TIMED_OUT')
end

-- A loss may leave a user with two places: the older one is the one, and `place` is over for good.
local function merge(user, slot)
  if not how_it_ended(user, slot) then
    log_end(user, { slot = slot }, 'MERGED')
  end
end

-- Seconds until the visitor at `position` is admitted, as visits are now and at the earliest. Turns free up at capacity / visit
-- (Little's law). Visits may turn out shorter than the mean of before, and the mean counts for nothing until there is one:
-- at the earliest is to say that none takes longer than the room has been full, SHORTEST_VISIT added.
local function waits_for(position)
  local capacity, per_minute, full_since = num('capacity'), num('per_minute'), num('full_since')
  local ahead = math.max(0, position - math.max(0, capacity - redis.call('ZCARD', ACTIVE)))
  local mean_visit = tonumber(room.mean_visit) or num('lease') / SECOND
  local full_for = full_since > 0 and math.max(0, now - full_since) / SECOND or 0
  local visit = math.max(SHORTEST_VISIT, math.min(mean_visit, SHORTEST_VISIT + full_for))
  local wait, earliest = ahead * mean_visit / capacity, ahead * visit / capacity
  if per_minute > 0 then
    wait = math.max(wait, position * 60 / per_minute)
    earliest = math.max(earliest, (position - math.ceil(per_minute / 10)) * 60 / per_minute)
  end
  return wait, earliest
end

-- When to ask again, in seconds: after two thirds of the shortest wait there may be, but so that all together ask no more
-- than HEAD_POLLS * (1 + ln LONGEST_ADVICE) times a second, and those far behind once in LONGEST_ADVICE.
-- `jitter` in [0, 1) spreads a crowd that arrived together; `earliest` is what `waits_for` says, before opening nothing.
local function advice(position, jitter, earliest)
  if is_early() then
    local crowd = redis.call('ZCARD', WAITING)
    local spread = math.max(2, math.min(45, crowd / 2000))  -- seconds; the first one drawn has SHOW_UP to come back
    return math.ceil((num('opens_at') - now) / SECOND + jitter * spread)
  end
  local seconds = math.max(1, math.min(math.max(earliest * 2 / 3, position / HEAD_POLLS), LONGEST_ADVICE))
  return math.floor(seconds * (0.8 + 0.2 * jitter) + 0.5)
end

-- Return the answer of every script about one visitor; -1 stands for null.
local function answer(outcome, fields)
  return { outcome, now, num('generation'), fields.slot or 0, fields.position or -1, fields.wait or -1,
    fields.poll_after or -1, fields.expires_at or 0, fields.admitted_at or 0, fields.new_holds_until or 0,
    fields.reason or '', fields.is_new or 0, COUNTED }
end

local function ended(slot, reason)
  return answer('EXPIRED', { slot = slot, reason = reason })
end

-- Tell a visitor who is there how it stands, and note that they were seen.
local function welcome(user, found, jitter, is_new)
  local slot = public_slot(found.slot)
  if found.outcome == 'ACTIVE' then
    if is_over(found) then
      time_out(user, found)
      return ended(slot, 'TIMED_OUT')
    end
    local lease = num('lease')
    if not found.has_shown_up then
      found.has_shown_up = true
      found.lease_until = math.max(found.lease_until, found.began_at + lease, now + math.min(SHOW_UP, lease))
      save_visit(user, found, found.lease_until)
    end
    return answer('ACTIVE', { slot = slot, position = 0, wait = 0, poll_after = 10, is_new = is_new,
      expires_at = found.lease_until, admitted_at = found.admitted_at,
      new_holds_until = found.began_at + 2 * lease })
  end

  local position = redis.call('ZRANK', WAITING, user) + 1
  local wait, earliest
  if not is_early() then
    wait, earliest = waits_for(position)
  end
  local poll_after = advice(position, jitter, earliest)
  local patience = num('patience')
  local patient_until = math.max(now, num('opens_at')) + math.max(patience, 2 * math.min(poll_after, LONGEST_ADVICE) * SECOND)
  redis.call('ZADD', SEEN, text(patient_until), user)
  local is_shown = not is_early() and not is_healing()
  local is_estimated = is_shown and room.state == 'OPEN' and num('admitted_total') > 0
  return answer('WAITING', { slot = slot, poll_after = poll_after, expires_at = patient_until, is_new = is_new,
    position = is_shown and position or nil, wait = is_estimated and math.ceil(wait) or nil })
end

-- Return the reason for which a token of this generation cannot be looked at; nil if it can.
local function refusal(generation)
  if not room.epoch or generation > num('generation') then
    return answer('LOST', {})
  end
  if generation < num('generation') or is_closed() then
    return ended(0, 'CLOSED')
  end
  return nil
end

-- Tell whether a visitor found in the room is behind the place of the token shown: the two are then different visits.
local function is_later(found, slot)
  local found_slot = public_slot(found.slot)
  if slot == 0 or found_slot == 0 then
    return slot == 0 and found_slot ~= 0
  end
  return found_slot > slot
end

-- Tell whether the token proves more than the room knows: an older visit, or an admission that the store has lost.
local function knows_less(found, slot, lease_until)
  return not found or is_later(found, slot)
    or (lease_until > 0 and found.outcome == 'WAITING' and public_slot(found.slot) == slot)
end
