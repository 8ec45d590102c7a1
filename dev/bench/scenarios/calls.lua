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

function done(summary, latency)
  local errors = summary.errors
  print("RESULT " .. table.concat({
    "requests=" .. summary.requests,
    "microseconds=" .. summary.duration,
    "bytes=" .. summary.bytes,
    "broken=" .. (errors.connect + errors.read + errors.write + errors.timeout),
    "refused=" .. errors.status,
    "p50=" .. latency:percentile(50),
    "p95=" .. latency:percentile(95),
    "p99=" .. latency:percentile(99),
    "exhausted=" .. (thread:get("exhausted") or 0),
  }, " "))
  local counts = {}
  for status, count in pairs(thread:get("statuses")) do
    counts[#counts + 1] = status .. ":" .. count
  end
  print("STATUSES " .. table.concat(counts, " "))
end
