-- A slice of a board with the fences of the same moment, for who compares them with the journal.
-- KEYS: current generation, its fences, the board's scores and places. ARGV: generation, cursor, count.
-- A place is made here as in rows.lua, without numbers: nine less each digit.
local current = redis.call('GET', KEYS[1])
if current ~= ARGV[1] then return {'other', current or ''} end
local slice = redis.call('HSCAN', KEYS[3], ARGV[2], 'COUNT', ARGV[3])
local rows = {}
for at = 1, #slice[2], 2 do
  local field, value = slice[2][at], slice[2][at + 1]
  local place = string.gsub(string.sub(value, 1, 20), '%d', function(digit) return 9 - digit end)
  rows[#rows + 1] = field
  rows[#rows + 1] = value
  rows[#rows + 1] = redis.call('ZSCORE', KEYS[4], place .. field) and 1 or 0
end
return {
  'slice', slice[1], rows, redis.call('ZCARD', KEYS[4]), redis.call('HGETALL', KEYS[2]),
}
