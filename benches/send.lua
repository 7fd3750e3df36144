-- wrk script: POST /gift/send for the first `percent` of every 100 requests, GET /gift/top for the
-- rest. `wrk … -s benches/send.lua URL -- 100`; wrk itself counts
-- the answers that are no success.
local requests, turn = {}, 0

function init(args)
  local percent = tonumber(args[1] or "100")
  local headers = { ["Content-Type"] = "application/json", ["Host"] = "bench" }
  -- Made once: what the script costs must not be measured. 7 and 100 have no common factor, so the
  -- two kinds alternate evenly.
  for i = 0, 9899 do
    if (i * 7) % 100 < percent then
      local body = string.format('{"audience_id":%d,"anchor_id":%d,"worth":%d}',
        1000 + i % 1000, 1 + i % 99, 1 + i % 9)
      requests[i] = wrk.format("POST", "/gift/send", headers, body)
    else
      requests[i] = wrk.format("GET", "/gift/top", { ["Host"] = "bench" })
    end
  end
end

function request()
  turn = (turn + 1) % 9900
  return requests[turn]
end
