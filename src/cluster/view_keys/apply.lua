-- Batches of one stream, all or nothing.
-- KEYS: current generation, its fences, its boards' names, then the boards.
-- ARGV: generation, stream, where the fence must stand, where it stands then, limit of totals, rows.
local current = redis.call('GET', KEYS[1])
if current ~= ARGV[1] then return {'other', current or ''} end
local fence = redis.call('HGET', KEYS[2], ARGV[2]) or ZERO
if fence >= ARGV[4] then return {'done'} end
if fence ~= ARGV[3] then return {'missing', fence} end
local boards, full = prepare(4, 6, ARGV[5])
if not boards then return {'refused'} end
redis.call('HSET', KEYS[2], ARGV[2], ARGV[4])
write(boards)
return {'done', unpack(full)}
