-- Reads sums. ARGV: how many concerts with the most reservations are wanted, of all time, with all that have as many as the last of
-- them; '' for every concert. Then the number of days, the days, then for events to look up the day recorded and the id. No days
-- means all time. Nil when the projection is lost.
local root, best, days = KEYS[1], tonumber(ARGV[1]), tonumber(ARGV[2])
local built = redis.call('GET', root .. ':built')
if not built then return nil end
local base = root .. ':' .. built
local sums
if days == 0 then
  local last = best and redis.call('ZRANGE', base .. ':all', best - 1, best - 1, 'REV', 'WITHSCORES')[2]
  sums = redis.call('ZRANGE', base .. ':all', last or '-inf', '+inf', 'BYSCORE', 'WITHSCORES')
else
  local query = {'ZUNION', days}
  for i = 3, days + 2 do query[#query + 1] = base .. ':day:' .. ARGV[i] end
  query[#query + 1] = 'WITHSCORES'
  sums = redis.call(unpack(query))
end
local counted = {}
for i = days + 3, #ARGV, 2 do
  counted[#counted + 1] = redis.call('SISMEMBER', base .. ':events:' .. ARGV[i], ARGV[i + 1])
end
return {sums, tonumber(redis.call('GET', base .. ':changes') or 0), counted}
