-- Count a call. KEYS: the caller's calls. ARGV: limit, span in seconds. Returns what `count` does.

local time = redis.call('TIME')
return count(KEYS[1], tonumber(ARGV[1]), tonumber(ARGV[2]), time[1] * 1000000 + time[2])
