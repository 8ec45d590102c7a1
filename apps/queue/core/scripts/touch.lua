-- Status and heartbeat in one. ARGV: user, jitter, then from the token: place, generation, lease deadline.
-- UNKNOWN: the token proves more than the room knows; UNCERTAIN: the room may tell an old story. `restore` settles both.

local user, jitter, place = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])

local refused = refusal(tonumber(ARGV[4]))
if refused then
  return refused
end

local found = find(user)
if knows_less(found, place, tonumber(ARGV[5])) then
  local reason = how_it_ended(user, place)
  return reason and ended(place, reason) or answer('UNKNOWN', { place = place })
end
if (found.standing == 'ACTIVE' or public_place(found.place) ~= place) and is_uncertain() then
  return answer('UNCERTAIN', { place = public_place(found.place) })
end
if public_place(found.place) ~= place then
  merge(user, place)
end
return welcome(user, found, jitter)
