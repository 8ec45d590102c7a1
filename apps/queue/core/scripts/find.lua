-- Find a user, without counting as being seen. ARGV: user. Returns place and generation, or nothing.

local found = find(ARGV[1])
return found and { public_slot(found.slot), num('generation') } or {}
