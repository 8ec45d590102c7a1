-- Add counts to those of a minute. KEYS: the counts of that minute. ARGV: milliseconds for which they are kept, then code and number in turn.

for i = 2, #ARGV, 2 do
  redis.call('HINCRBY', KEYS[1], ARGV[i], ARGV[i + 1])
end
redis.call('PEXPIRE', KEYS[1], ARGV[1])
