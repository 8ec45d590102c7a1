-- Return what was read last, how old it is, and whether the caller is to read anew. KEYS: reading, claim. ARGV: milliseconds for which a
-- reading is fresh, for which it is kept, for which a claim lasts; the caller's claim.
-- How old it is follows from what is left of its life, so only the clock of this server counts.

local kept = redis.call('GET', KEYS[1])
local age = -1
if kept then
  age = tonumber(ARGV[2]) - redis.call('PTTL', KEYS[1])
  if age < tonumber(ARGV[1]) then
    return { kept, age, 0 }
  end
end
local is_claimed = redis.call('SET', KEYS[2], ARGV[4], 'NX', 'PX', ARGV[3])
return { kept, age, is_claimed and 1 or 0 }
