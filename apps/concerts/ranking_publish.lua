-- Publishes a generation. ARGV: the one that is complete; then the days whose keys the old generation may have.
local root, generation = KEYS[1], ARGV[1]
if redis.call('GET', root .. ':rebuilding') ~= generation then return 0 end
local old = redis.call('GET', root .. ':built')
redis.call('PERSIST', root .. ':' .. generation .. ':changes')
redis.call('PERSIST', root .. ':' .. generation .. ':all')
redis.call('SET', root .. ':built', generation)
redis.call('DEL', root .. ':rebuilding')
if old then
  local base = root .. ':' .. old
  redis.call('UNLINK', base .. ':changes', base .. ':all')
  for i = 2, #ARGV do redis.call('UNLINK', base .. ':day:' .. ARGV[i], base .. ':events:' .. ARGV[i]) end
end
return 1
