-- Makes a built generation the current one and forgets all others.
-- KEYS: current generation, all generations, the new one's fences.
-- ARGV: what must be current (or nothing), what becomes it, its steps, what all keys begin with.
-- The keys that go are not among KEYS, but share their hash tag.
local ZERO = '00000000000000000000'
local current = redis.call('GET', KEYS[1]) or ''
if current == ARGV[2] then return {'done'} end
if current ~= ARGV[1] then return {'other', current} end
local steps = redis.call('HGET', KEYS[3], 'steps') or ZERO
if steps ~= ARGV[3] then return {'missing', steps} end
local others = redis.call('SMEMBERS', KEYS[2])
redis.call('SET', KEYS[1], ARGV[2])
redis.call('SADD', KEYS[2], ARGV[2])
-- In a slot that is being moved Redis may refuse these. What is left then stays listed, for the
-- next switch.
local function forget(generation)
  local keys = ARGV[4] .. generation .. ':'
  local boards = redis.pcall('SMEMBERS', keys .. 'boards')
  if boards.err then return false end
  for _, board in ipairs(boards) do
    for _, key in ipairs({board .. ':scores', board .. ':places'}) do
      local gone = redis.pcall('UNLINK', keys .. key)
      if type(gone) == 'table' then return false end
    end
  end
  local gone = redis.pcall('UNLINK', keys .. 'boards', keys .. 'fences')
  return type(gone) ~= 'table'
end
for _, generation in ipairs(others) do
  if generation ~= ARGV[2] and forget(generation) then
    redis.call('SREM', KEYS[2], generation)
  end
end
return {'done'}
