-- Put a visitor back whose token is valid and has no end on record.
-- ARGV: user, jitter, place, generation, lease deadline and admission from the token (0 if it was never ACTIVE).

local user, jitter, slot = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
local lease_until, admitted_at = tonumber(ARGV[5]), tonumber(ARGV[6])

local refused = refusal(tonumber(ARGV[4]))
if refused then
  return refused
end

local full_slot = slot > 0 and slot or draw(user)
local found = find(user)
if found and found.slot < full_slot then
  merge(user, slot)
  return welcome(user, found, jitter)
end
-- It may have ended after the exit log was asked.
local reason = how_it_ended(user, slot)
if reason then
  return ended(slot, reason)
end
if found and found.outcome == 'ACTIVE' then
  return welcome(user, found, jitter)
end

if lease_until > 0 then
  lease_until = with_turn({ admitted_at = admitted_at, lease_until = lease_until, has_shown_up = true }).lease_until
end
if lease_until > 0 and lease_until <= now then
  -- The turn was had; only its end was lost.
  if found and found.slot == full_slot then
    remove(user, found)
  end
  log_end(user, { slot = full_slot, admitted_at = admitted_at }, 'TIMED_OUT')
  return ended(slot, 'TIMED_OUT')
end

if found and found.slot > full_slot then
  merge(user, found.slot)
end

-- Without a free slot the lease is void, but the place is older than all that wait: it is the next to be admitted.
if lease_until > 0 and redis.call('ZCARD', ACTIVE) < num('capacity') then
  if found then
    remove(user, found)
  end
  found = with_turn({ outcome = 'ACTIVE', slot = full_slot, admitted_at = admitted_at, has_shown_up = true,
    lease_until = lease_until })
  save_visit(user, found, lease_until)
else
  found = { outcome = 'WAITING', slot = full_slot }
  redis.call('ZADD', WAITING, text(full_slot), user)
end
if slot > num('last_slot') then
  redis.call('HSET', ROOM, 'last_slot', text(slot))
end
return welcome(user, found, jitter)
