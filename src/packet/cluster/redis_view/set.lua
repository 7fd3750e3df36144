-- Changes fields of a pool that is not frozen. KEYS: pool. ARGV: the generation that must be there,
-- then fields and values.
local pool = redis.call('HMGET', KEYS[1], 'generation', 'is_frozen')
if pool[1] ~= ARGV[1] then return {'other'} end
if pool[2] == '1' then return {'kept'} end
redis.call('HSET', KEYS[1], unpack(ARGV, 2))
return {'done'}
