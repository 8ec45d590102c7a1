-- Counts additions. ARGV: the generation being filled ('' for what has just happened), seconds without progress after which another
-- rebuild may start, and those after which what a dead rebuild left is dropped; then per addition: the event's id ('' for a sum of
-- many), the day it was recorded and when ids of that day are forgotten; concert, day ('' when too old to be kept), change, and
-- when the day's key ends.
-- Returns 1 when it was counted where it must be, 0 when there is no such generation.
local root, filling, patience, abandoned_after = KEYS[1], ARGV[1], ARGV[2], ARGV[3]
local built = redis.call('GET', root .. ':built')
local rebuilding = redis.call('GET', root .. ':rebuilding')

local function is_new(base, i)
  if ARGV[i] == '' then return true end
  local ids = base .. ':events:' .. ARGV[i + 1]
  if redis.call('SADD', ids, ARGV[i]) == 0 then return false end
  redis.call('EXPIREAT', ids, ARGV[i + 2])
  return true
end

local function count(generation, temporary)
  local base = root .. ':' .. generation
  for i = 4, #ARGV, 7 do
    if is_new(base, i) then
      redis.call('ZINCRBY', base .. ':all', ARGV[i + 5], ARGV[i + 3])
      if ARGV[i + 4] ~= '' then
        local day = base .. ':day:' .. ARGV[i + 4]
        redis.call('ZINCRBY', day, ARGV[i + 5], ARGV[i + 3])
        redis.call('EXPIREAT', day, ARGV[i + 6])
      end
      redis.call('INCR', base .. ':changes')
    end
  end
  if temporary then
    redis.call('EXPIRE', base .. ':changes', temporary)
    redis.call('EXPIRE', base .. ':all', temporary)
  end
end

if filling ~= '' then
  if rebuilding ~= filling then return 0 end
  redis.call('EXPIRE', root .. ':rebuilding', patience)
  count(filling, abandoned_after)
  return 1
end
if rebuilding then count(rebuilding, abandoned_after) end
if not built then return 0 end
count(built)
return 1
