-- wrk script: counts the answers whose body does not say `"code":0`, and prints their number.
local threads = {}

function setup(thread)
  table.insert(threads, thread)
end

failed = 0

function response(status, _, body)
  if status ~= 200 or not string.find(body, '"code":0', 1, true) then
    failed = failed + 1
  end
end

function done()
  local sum = 0
  for _, thread in ipairs(threads) do
    sum = sum + thread:get("failed")
  end
  io.write(string.format("Bodies without code 0: %d\n", sum))
end
