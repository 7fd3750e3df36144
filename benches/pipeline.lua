-- For wrk: sixteen requests in one write.
local sixteen

function init()
  sixteen = wrk.format("GET"):rep(16)
end

function request()
  return sixteen
end
