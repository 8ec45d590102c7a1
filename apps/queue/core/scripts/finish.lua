-- End visits, not whatever visits their users have now. ARGV: reason; then for each its user, place and generation.
-- Returns when they ended; then for each whether it was there, and when it had been admitted (0 if it had not).

local reason, generation = ARGV[1], num('generation')

local answers = { now }
for i = 2, #ARGV, 3 do
  local user, slot = ARGV[i], tonumber(ARGV[i + 1])
  local was_there, admitted_at = 0, 0
  if room.epoch and tonumber(ARGV[i + 2]) == generation then
    remember_end(user, slot, reason, now)
    local found = find(user)
    if found and public_slot(found.slot) == slot then
      remove(user, found)
      was_there, admitted_at = 1, found.admitted_at or 0
    end
  end
  answers[#answers + 1], answers[#answers + 2] = was_there, admitted_at
end
return answers
