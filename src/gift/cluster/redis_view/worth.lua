-- An anchor's total and time.
-- KEYS: current generation, the board's scores. ARGV: generation, field.
local current = redis.call('GET', KEYS[1])
if current ~= ARGV[1] then return {'other', current or ''} end
return {'worth', redis.call('HGET', KEYS[2], ARGV[2]) or ''}
