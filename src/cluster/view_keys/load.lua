-- A step of a rebuild, into a generation that is not the current one.
-- KEYS: current generation, the new one's fences, its boards' names, all generations, the boards.
-- ARGV: generation, this step, the next one, number of fences, streams with fences, rows.
local current = redis.call('GET', KEYS[1])
if current == ARGV[1] then return {'other', current} end
local steps = redis.call('HGET', KEYS[2], 'steps') or ZERO
if steps > ARGV[2] then return {'done'} end
if steps < ARGV[2] then return {'missing', steps} end
redis.call('SCARD', KEYS[4])
local fences = {'steps', ARGV[3]}
for at = 5, 4 + 2 * tonumber(ARGV[4]) do fences[#fences + 1] = ARGV[at] end
local boards = prepare(5, 5 + 2 * tonumber(ARGV[4]), ZERO)
if not boards then return {'refused'} end
redis.call('HSET', KEYS[2], unpack(fences))
redis.call('SADD', KEYS[4], ARGV[1])
write(boards)
return {'done'}
