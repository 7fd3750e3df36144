-- Fields of hashes of the current generation, at one moment; nothing is said of a field as ''.
-- KEYS: current generation, hashes. ARGV: generation, and per hash the number of fields, and these.
local current = redis.call('GET', KEYS[1])
if current ~= ARGV[1] then return {'other', current or ''} end
local found, arg = {}, 2
for key = 2, #KEYS do
  local fields = {}
  for at = 1, tonumber(ARGV[arg]) do fields[at] = ARGV[arg + at] end
  local values = redis.call('HMGET', KEYS[key], unpack(fields))
  for at = 1, #fields do found[#found + 1] = values[at] or '' end
  arg = arg + 1 + #fields
end
return {'look', found}
