-- The current generation with all its fences, at one moment.
-- KEYS: current generation. ARGV: what all keys begin with.
-- The key of the fences is not among KEYS, but shares their hash tag.
local current = redis.call('GET', KEYS[1])
if not current then return {''} end
return {current, redis.call('HGETALL', ARGV[1] .. current .. ':fences')}
