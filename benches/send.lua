-- wrk script: POST /gift/send for the first `percent` of every 100 requests, GET /gift/top for the
-- rest. `wrk … -s benches/send.lua URL -- 100 [ANCHORS AUDIENCES]`; wrk itself counts
-- the answers that are no success. With anchors and audiences named, gifts are drawn at random.
local requests, turn, count = {}, 0, 9900

function init(args)
  local percent = tonumber(args[1] or "100")
  local anchors, audiences = tonumber(args[2] or "0"), tonumber(args[3] or "1000")
  local headers = { ["Content-Type"] = "application/json", ["Host"] = "bench" }
  local read = wrk.format("GET", "/gift/top", { ["Host"] = "bench" })
  if anchors > 0 then
    count = 200000
    math.randomseed(7)
  end
  -- Made once: what the script costs must not be measured. 7 and 100 have no common factor, so the
  -- two kinds alternate evenly.
  for i = 0, count - 1 do
    if (i * 7) % 100 < percent then
      local audience, anchor = 1000 + i % 1000, 1 + i % 99
      if anchors > 0 then
        audience, anchor = 999 + math.random(audiences), math.random(anchors)
      end
      local body = string.format('{"audience_id":%d,"anchor_id":%d,"worth":%d}',
        audience, anchor, 1 + i % 9)
      requests[i] = wrk.format("POST", "/gift/send", headers, body)
    else
      requests[i] = read
    end
  end
end

function request()
  turn = (turn + 1) % count
  return requests[turn]
end
