-- What wrk sends: the tokens of the file TOKENS in turn, or requests without any; prints a line of JSON.
local all, at = {}, 0

function init()
  local file = os.getenv("TOKENS")
  if not file then all[1] = wrk.format() return end
  for token in io.lines(file) do
    all[#all + 1] = wrk.format(nil, nil, { Host = wrk.headers.Host, Authorization = "Bearer " .. token })
  end
end

function request()
  at = at % #all + 1
  return all[at]
end

function done(summary, latency)
  local errors = summary.errors
  local broken = errors.connect + errors.read + errors.write + errors.timeout
  print(string.format('{"answers":%d,"seconds":%f,"bytes":%d,"refused":%d,"broken":%d,"p50":%d,"p99":%d}', summary.requests,
    summary.duration / 1e6, summary.bytes, errors.status, broken, latency:percentile(50), latency:percentile(99)))
end
