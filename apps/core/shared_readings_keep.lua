-- Keep what was read, and give the claim back. KEYS: reading, claim. ARGV: the reading, milliseconds for which it is kept, the claim.

redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
if redis.call('GET', KEYS[2]) == ARGV[3] then
  redis.call('DEL', KEYS[2])
end
