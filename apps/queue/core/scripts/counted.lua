-- In front of `join.lua`, and behind a function `count`: count the call against a limit of the caller's, which is on the same server, in
-- the same step. Who is over the limit takes no place.
-- KEYS: one more, the caller's calls. ARGV, before those of the script: limit, span.

COUNTED = count(KEYS[9], tonumber(table.remove(ARGV, 1)), tonumber(table.remove(ARGV, 1)), now)
if COUNTED[1] == 0 then
  return answer('OVER_LIMIT', {})
end
