-- Return the counts of some minutes, as one list for each. KEYS: the counts of each minute.

local found = {}
for i, key in ipairs(KEYS) do
  found[i] = redis.call('HGETALL', key)
end
return found
