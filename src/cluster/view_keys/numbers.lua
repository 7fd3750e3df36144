-- Numbers of 20 characters, added exactly. Stands before the rows of every view.

local ZERO = '00000000000000000000'
local BASE = 10000000000

-- 20 characters as hi * BASE + lo with 0 <= lo < BASE. A Lua number is a double and would lose
-- digits beyond 2^53.
local function split(text)
  local hi, lo = tonumber(string.sub(text, 2, 10)), tonumber(string.sub(text, 11, 20))
  if string.byte(text) ~= 45 then return hi, lo end
  if lo == 0 then return -hi, 0 end
  return -hi - 1, BASE - lo
end

local function join(hi, lo)
  if hi >= 0 then return string.format('%010d%010d', hi, lo) end
  if lo > 0 then hi, lo = hi + 1, BASE - lo end
  return string.format('-%09d%010d', -hi, lo)
end

local function sum(hi, lo, text)
  if #text == 20 then
    local more_hi, more_lo = split(text)
    hi, lo = hi + more_hi, lo + more_lo
  else
    lo = lo + tonumber(text)
  end
  local carry = math.floor(lo / BASE)
  return hi + carry, lo - carry * BASE
end

