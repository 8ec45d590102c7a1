-- Forget an empty room, once the exit log has all its ends; any room if told "all". Returns whether it is gone.

local ALL = ARGV[1]

if ALL ~= 'all' and redis.call('ZCARD', WAITING) + redis.call('ZCARD', ACTIVE) + redis.call('XLEN', EXITS) > 0 then
  return 0
end
redis.call('UNLINK', unpack(KEYS))
return 1
