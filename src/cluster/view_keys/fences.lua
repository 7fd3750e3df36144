-- The current generation with all its fences, at one moment. Where none is current, Redis has lost all
-- it had, and an empty one becomes it. No earlier loss had its name, so what was sent to replace one of
-- those finds another, however late it comes.
-- KEYS: current generation, all generations. ARGV: what all keys begin with.
-- The key of the fences is not among KEYS, but shares their hash tag.
local current = redis.call('GET', KEYS[1])
if not current then
  local time = redis.call('TIME')
  current = string.format('%08x%08x', time[1], time[2])
  redis.call('SADD', KEYS[2], current)
  redis.call('HSET', ARGV[1] .. current .. ':fences', 'hollow', '1')
  redis.call('SET', KEYS[1], current)
end
return {current, redis.call('HGETALL', ARGV[1] .. current .. ':fences')}
