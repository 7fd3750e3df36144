-- wrk script of the counters: `wrk … -s benches/counter.lua URL -- KIND`. KIND is health, get,
-- increment (one hot counter), wide (a million different ones) or batch (100 at a time).
local requests, turn, count = {}, 0, 1

function init(args)
  local kind = args[1] or "get"
  local host = { ["Host"] = "bench" }
  local headers = { ["Content-Type"] = "application/json", ["Host"] = "bench" }
  local name = '{"resource_id":"post_%d","counter_type":"view"}'
  math.randomseed(7)
  -- Made once: what the script costs must not be measured.
  if kind == "health" then
    requests[0] = wrk.format("GET", "/health", host)
  elseif kind == "get" then
    count = 1000
    for i = 0, count - 1 do
      requests[i] = wrk.format("GET", "/api/v1/counter/post_" .. i .. "/view", host)
    end
  elseif kind == "increment" then
    requests[0] = wrk.format("POST", "/api/v1/counter/increment", headers, name:format(1))
  elseif kind == "wide" then
    -- Drawn from a million; more than is sent in one round.
    count = 300000
    for i = 0, count - 1 do
      local body = name:format(math.random(1000000))
      requests[i] = wrk.format("POST", "/api/v1/counter/increment", headers, body)
    end
  elseif kind == "batch" then
    count = 100
    for i = 0, count - 1 do
      local items = {}
      for j = 1, 100 do items[j] = name:format((i * 37 + j * 11) % 1000) end
      local body = '{"items":[' .. table.concat(items, ",") .. "]}"
      requests[i] = wrk.format("POST", "/api/v1/counter/batch", headers, body)
    end
  else
    error("no such kind: " .. kind)
  end
end

function request()
  turn = (turn + 1) % count
  return requests[turn]
end
