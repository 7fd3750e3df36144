-- An anchor's index with its neighbourhood, best first, and the index that this begins with.
-- KEYS: current generation, the board's scores and places. ARGV: generation, field, neighbours.
local current = redis.call('GET', KEYS[1])
if current ~= ARGV[1] then return {'other', current or ''} end
local value = redis.call('HGET', KEYS[2], ARGV[2])
local rank = value and redis.call('ZREVRANK', KEYS[3], value .. ARGV[2])
if not rank then return {'none'} end
local first = math.max(0, rank - tonumber(ARGV[3]))
return {'rank', rank, first, redis.call('ZREVRANGE', KEYS[3], first, rank + tonumber(ARGV[3]))}
