-- wrk script: POST /snatch for users drawn at random. `wrk … -s benches/snatch.lua URL -- USERS`;
-- with one user all requests are the same.
local requests, turn, count = {}, 0, 200000

function init(args)
  local users = tonumber(args[1] or "1000000")
  math.randomseed(7)
  local headers =
    { ["Content-Type"] = "application/x-www-form-urlencoded", ["Host"] = "bench" }
  -- Made once: what the script costs must not be measured.
  if users == 1 then count = 1 end
  for i = 0, count - 1 do
    requests[i] = wrk.format("POST", "/snatch", headers, "uid=" .. math.random(users))
  end
end

function request()
  turn = (turn + 1) % count
  return requests[turn]
end
