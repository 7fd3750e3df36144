-- A part of a board, best first, after the inverted time of the board's newest change.
-- KEYS: current generation, the board's scores and places. ARGV: generation, first and last index.
local current = redis.call('GET', KEYS[1])
if current ~= ARGV[1] then return {'other', current or ''} end
return {
  'top', redis.call('HGET', KEYS[2], 'newest') or '',
  redis.call('ZREVRANGE', KEYS[3], ARGV[2], ARGV[3]),
}
