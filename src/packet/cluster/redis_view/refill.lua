-- Puts the next chunk into an empty pool. KEYS: pool, places, users, outbox. ARGV: generation, how
-- many packets, whether nothing is left behind it, then the chunk's fields, the number first.
local pool = redis.call('HMGET', KEYS[1], 'generation', 'number', 'is_last')
if pool[1] ~= ARGV[1] then return {'other'} end
if pool[3] == '1' or tonumber(pool[2]) + 1 ~= tonumber(ARGV[5])
  or redis.call('EXISTS', KEYS[2], KEYS[4]) > 0 then
  return {'kept'}
end
redis.call('HSET', KEYS[1], 'is_last', ARGV[3], unpack(ARGV, 4))
local places = {}
for place = 0, tonumber(ARGV[2]) - 1 do places[#places + 1] = place end
redis.call('RPUSH', KEYS[2], unpack(places))
return {'done'}
