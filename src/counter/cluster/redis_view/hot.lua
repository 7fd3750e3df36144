-- The first places of a list.
-- KEYS: current generation, the list's places. ARGV: generation, index of the last place.
local current = redis.call('GET', KEYS[1])
if current ~= ARGV[1] then return {'other', current or ''} end
return {'hot', redis.call('ZRANGE', KEYS[2], 0, ARGV[2])}
