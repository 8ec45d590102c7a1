-- Play the calls of a file in order, over and over; with ONCE each is made once at most.
--
-- A line of the file is tab-separated: method, path, Authorization, Queue-Token, If-None-Match, body; empty fields are left out.
-- With COUNT the status of each answer is counted. That costs the generator time, so floors are measured without.

local calls = {}
local number = 0
statuses = {} -- global, so that `done` can read it

function init()
  for line in io.lines(os.getenv("CALLS")) do
    local fields = {}
    for field in (line .. "\t"):gmatch("([^\t]*)\t") do
      fields[#fields + 1] = field
    end
    local headers = { ["Host"] = wrk.headers["Host"] }
    for i, name in ipairs({ "Authorization", "Queue-Token", "If-None-Match" }) do
      if fields[i + 2] ~= "" then
        headers[name] = fields[i + 2]
      end
    end
    local body = fields[6] ~= "" and fields[6] or nil
    if body then
      headers["Content-Type"] = "application/json"
    end
    calls[#calls + 1] = wrk.format(fields[1], fields[2], headers, body)
  end
end

function request()
  number = number + 1
  if number > #calls and os.getenv("ONCE") then
    exhausted = 1
  end
  return calls[(number - 1) % #calls + 1]
end

if os.getenv("COUNT") then
  function response(status)
    statuses[status] = (statuses[status] or 0) + 1
  end
end

local thread

function setup(started)
  thread = started
end

-- Print the answers to this load as the JSON of a `Load`; latencies come in microseconds.
function done(summary, latency)
  local errors = summary.errors
  local counts = {}
  for status, count in pairs(thread:get("statuses")) do
    counts[#counts + 1] = ('"%d": %d'):format(status, count)
  end
  print(('RESULT {"requests": %d, "seconds": %f, "p50": %f, "p95": %f, "p99": %f, '):format(
    summary.requests, summary.duration / 1e6, latency:percentile(50) / 1e3, latency:percentile(95) / 1e3, latency:percentile(99) / 1e3
  ) .. ('"refused": %d, "broken": %d, "is_exhausted": %s, "statuses": {%s}}'):format(
    errors.status, errors.connect + errors.read + errors.write + errors.timeout,
    tostring(thread:get("exhausted") == 1), table.concat(counts, ", ")
  ))
end
