-- Put a visitor back whose token is valid and has no end on record.
-- ARGV: user, jitter, place, generation, lease deadline and admission from the token (0 if it was never ACTIVE).

local user, jitter, place = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
local lease_until, admitted_at = tonumber(ARGV[5]), tonumber(ARGV[6])

local refused = refusal(tonumber(ARGV[4]))
if refused then
  return refused
end

local full_place = place > 0 and place or draw(user)
local found = find(user)
if found and found.place < full_place then
  merge(user, place)
  return welcome(user, found, jitter)
end
-- It may have ended after the exit log was asked.
local reason = how_it_ended(user, place)
if reason then
  return ended(place, reason)
end
if found and found.standing == 'ACTIVE' then
  return welcome(user, found, jitter)
end

if lease_until > 0 then
  lease_until = with_turn({ admitted_at = admitted_at, lease_until = lease_until, has_shown_up = true }).lease_until
end
if lease_until > 0 and lease_until <= now then
  -- The turn was had; only its end was lost.
  if found and found.place == full_place then
    remove(user, found)
  end
  log_end(user, { place = full_place, admitted_at = admitted_at }, 'TIMED_OUT')
  return ended(place, 'TIMED_OUT')
end

if found and found.place > full_place then
  merge(user, found.place)
end

-- Without a free slot the lease is void, but the place is older than all that wait: it is the next to be admitted.
if lease_until > 0 and redis.call('ZCARD', ACTIVE) < num('capacity') then
  if found then
    remove(user, found)
  end
  found = with_turn({ standing = 'ACTIVE', place = full_place, admitted_at = admitted_at, has_shown_up = true,
    lease_until = lease_until })
  save_visit(user, found, lease_until)
else
  found = { standing = 'WAITING', place = full_place }
  redis.call('ZADD', WAITING, text(full_place), user)
end
if place > num('last_place') then
  redis.call('HSET', ROOM, 'last_place', text(place))
end
return welcome(user, found, jitter)
