-- Puts a pool in the place of another. KEYS: pool, places, users, outbox. ARGV: the generation that
-- must be there (or empty), how many fields of the pool follow with their values, those, the places.
local there = redis.call('HGET', KEYS[1], 'generation') or ''
if there ~= ARGV[1] then return {'kept'} end
redis.call('UNLINK', KEYS[1], KEYS[2], KEYS[3], KEYS[4])
local fields = 2 + 2 * tonumber(ARGV[2])
redis.call('HSET', KEYS[1], unpack(ARGV, 3, fields))
if #ARGV > fields then redis.call('RPUSH', KEYS[2], unpack(ARGV, fields + 1)) end
return {'done'}
