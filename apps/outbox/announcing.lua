-- Say that a drain waits. KEYS: its flag. ARGV: the seconds after which the flag lapses.
-- Returns for how many milliseconds the flag stays up, if it was up already; else nothing.

if redis.call('SET', KEYS[1], 1, 'NX', 'EX', ARGV[1]) then
  return nil
end
return redis.call('PTTL', KEYS[1])
