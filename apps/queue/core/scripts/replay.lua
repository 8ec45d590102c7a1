-- Apply ends from the exit log to a room that may have forgotten them.
-- ARGV: 1 with the last batch, generation, then user, place, reason and time in microseconds of each.

if tonumber(ARGV[2]) ~= num('generation') then
  return 0  -- closed meanwhile: what ended then is over anyway, and may share its places with those of now
end
for i = 3, #ARGV, 4 do
  local user, slot = ARGV[i], tonumber(ARGV[i + 1])
  local found = find(user)
  if found and public_slot(found.slot) == slot then
    remove(user, found)
  end
  remember_end(user, slot, ARGV[i + 2], tonumber(ARGV[i + 3]))
end
if ARGV[1] == '1' then
  redis.call('HDEL', ROOM, 'replay')
end
return 1
