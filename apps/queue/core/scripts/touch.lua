-- Status and heartbeat in one. ARGV: user, jitter, then from the token: place, generation, lease deadline.
-- UNKNOWN: the token proves more than the room knows; UNCERTAIN: what the room knows may be stale. `restore` settles both.

local user, jitter, slot = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])

local refused = refusal(tonumber(ARGV[4]))
if refused then
  return refused
end

local found = find(user)
if knows_less(found, slot, tonumber(ARGV[5])) then
  local reason = how_it_ended(user, slot)
  return reason and ended(slot, reason) or answer('UNKNOWN', { slot = slot })
end
if (found.outcome == 'ACTIVE' or public_slot(found.slot) ~= slot) and is_uncertain() then
  return answer('UNCERTAIN', { slot = public_slot(found.slot) })
end
if public_slot(found.slot) ~= slot then
  merge(user, slot)
end
return welcome(user, found, jitter)
