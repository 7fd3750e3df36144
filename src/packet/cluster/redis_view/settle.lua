-- Takes out of the outbox what is in the record. KEYS: pool, places, users, outbox. ARGV: rain,
-- chunk, then for each packet: place, what the outbox has of it, user and the user's number.
local pool = redis.call('HMGET', KEYS[1], 'generation', 'rain', 'number', 'is_last')
if not pool[1] then return {'none'} end
if pool[2] == ARGV[1] and pool[3] == ARGV[2] then
  for at = 3, #ARGV, 4 do
    local place, user = ARGV[at], ARGV[at + 2]
    if redis.call('HGET', KEYS[4], place) == ARGV[at + 1] then
      redis.call('HDEL', KEYS[4], place)
      if redis.call('HGET', KEYS[3], user) == ARGV[at + 3] .. '*' then
        redis.call('HSET', KEYS[3], user, ARGV[at + 3])
      end
    end
  end
end
return {'left', redis.call('LLEN', KEYS[2]), redis.call('HLEN', KEYS[4]), pool[4]}
