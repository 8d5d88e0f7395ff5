-- beacon.lua -- for wrk: beacons with event ids of their own, 10,000 contents, as a browser sends them.
-- FRESH=1 in the environment asks for a new connection each time.
local thread_no = 0
function setup(thread)
  thread:set("no", thread_no)
  thread_no = thread_no + 1
end

local n = 0
local fresh = os.getenv("FRESH") == "1"
local headers = {
  ["Content-Type"] = "text/plain;charset=UTF-8",
  ["User-Agent"] = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/141.0.0.0 Safari/537.36",
  ["Accept"] = "*/*",
  ["Accept-Language"] = "en-GB,en;q=0.9",
  ["Accept-Encoding"] = "gzip, deflate",
  ["Referer"] = "http://library.example.org/videos/17",
  ["Cookie"] = "session=0123456789abcdef0123456789abcdef; theme=dark",
}
if fresh then headers["Connection"] = "close" end

function init(args)
  seed = os.time() * 64 + no
end

function request()
  n = n + 1
  local body = string.format(
    '{"content_type":"video","content_id":"6f1c2a30-5d77-4be2-9a3c-%012x","event_id":"%08x-%04x-4be2-9a3c-%012x"}',
    n * 7919 % 10000, seed % 0x100000000, no, n)
  return wrk.format("POST", "/api/track-view/", headers, body)
end

function done(summary, latency, requests)
  local e = summary.errors
  io.write(string.format("RESULT %d %d %d %d %f\n", summary.requests, summary.duration,
    e.connect + e.read + e.write + e.timeout, e.status, latency:percentile(50)))
end
