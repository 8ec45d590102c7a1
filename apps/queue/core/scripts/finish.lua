-- End one visit, not whatever visit the user has now. ARGV: user, place, generation, reason.
-- Returns whether it was there, when it had been admitted (0 if it had not), and when it ended.

local user, place, reason = ARGV[1], tonumber(ARGV[2]), ARGV[4]

if not room.epoch or tonumber(ARGV[3]) ~= num('generation') then
  return { 0, 0, now }
end
remember_end(user, place, reason, now)
local found = find(user)
if not found or public_place(found.place) ~= place then
  return { 0, 0, now }
end
remove(user, found)
return { 1, found.admitted_at or 0, now }
