-- The whole pool but for its users. KEYS: pool, places, users, outbox.
local pool = redis.call('HGETALL', KEYS[1])
if #pool == 0 then return {'none'} end
return {'pool', pool, redis.call('LLEN', KEYS[2]), redis.call('HGETALL', KEYS[4])}
