-- Takes out of the outbox what is in the record. KEYS: pool, places, users, outbox. ARGV: rain,
-- chunk, then for each packet: place, what the outbox has of it, user and the user's number.
local pool = redis.call('HMGET', KEYS[1], 'generation', 'rain', 'number', 'is_last')
if pool[2] ~= ARGV[1] or pool[3] ~= ARGV[2] then return {'none'} end
if #ARGV > 2 then
  local places, users = {}, {}
  for at = 3, #ARGV, 4 do
    places[#places + 1], users[#users + 1] = ARGV[at], ARGV[at + 2]
  end
  local entries = redis.call('HMGET', KEYS[4], unpack(places))
  local counts = redis.call('HMGET', KEYS[3], unpack(users))
  local gone, fields = {}, {}
  for nth, place in ipairs(places) do
    local at = 4 * nth - 1
    if entries[nth] == ARGV[at + 1] then
      gone[#gone + 1] = place
      if counts[nth] == ARGV[at + 3] .. '*' then
        fields[#fields + 1] = users[nth]
        fields[#fields + 1] = ARGV[at + 3]
      end
    end
  end
  if #gone > 0 then redis.call('HDEL', KEYS[4], unpack(gone)) end
  if #fields > 0 then redis.call('HSET', KEYS[3], unpack(fields)) end
end
return {'left', redis.call('LLEN', KEYS[2]), redis.call('HLEN', KEYS[4]), pool[4]}
