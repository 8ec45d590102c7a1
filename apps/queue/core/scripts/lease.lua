-- Let a lease follow the visitor's holds. ARGV: user, place, until (0 if nothing is held any more), extend or shorten.
-- Shortened, it is what it would have been, but leaves a minute to choose again while new holds are allowed.

local user, until_, lease = ARGV[1], tonumber(ARGV[3]), num('lease')

local visit = find(user)
if not visit or visit.outcome ~= 'ACTIVE' or public_slot(visit.slot) ~= tonumber(ARGV[2]) then
  return 0
end
if ARGV[4] == 'extend' then
  until_ = math.max(until_, visit.lease_until)
else
  local second_chance = math.min(now + SHOW_UP, visit.began_at + 2 * lease)
  until_ = math.max(until_, visit.began_at + lease, second_chance)
end
visit.has_shown_up = true
save_visit(user, visit, until_)
return 1
