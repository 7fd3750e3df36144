-- Decides some snatches. KEYS: pool, places, users, outbox. ARGV: generation, unix seconds and
-- microseconds, then for each try: user, draw, whether it won, key and known count (or empty).
local pool = redis.call('HMGET', KEYS[1], 'generation', 'starts_at', 'ends_at', 'paused',
  'max_per_user', 'is_last', 'knows_all', 'is_frozen', 'number', 'version_of', 'left_count',
  'left_fen', 'before_count', 'before_fen', 'first_envelope', 'at')
if pool[1] ~= ARGV[1] then return {'other'} end
local now = tonumber(ARGV[2])
local all
if pool[8] == '1' then all = 'w'
elseif now >= tonumber(pool[3]) then all = 'e'
elseif now < tonumber(pool[2]) then all = 's'
elseif pool[4] == '1' then all = 'h' end
local tried, popped = {}, 0
local left = redis.call('LLEN', KEYS[2])
if all then
  for at = 4, #ARGV, 5 do tried[#tried + 1] = all end
else
  local users = {}
  for at = 4, #ARGV, 5 do users[#users + 1] = ARGV[at] end
  local counts = redis.call('HMGET', KEYS[3], unpack(users))
  local count, pending, most = {}, {}, tonumber(pool[5])
  for at, user in ipairs(users) do
    if counts[at] and not count[user] then
      local number, star = string.match(counts[at], '^(%d+)(%*?)$')
      count[user], pending[user] = tonumber(number), star == '*'
    end
  end
  local changed, winners = {}, {}
  for at = 4, #ARGV, 5 do
    local user, won, key, known = ARGV[at], ARGV[at + 2], ARGV[at + 3], ARGV[at + 4]
    if not count[user] then
      if pool[7] == '1' then count[user] = 0
      elseif known ~= '' then count[user], changed[user] = tonumber(known), true end
    end
    local one
    if not count[user] then one = 'a'
    elseif key ~= '' and (known == '' or tonumber(known) ~= count[user]) then one = 'a'
    elseif count[user] >= most then one = 'n'
    elseif left == popped and pool[6] == '1' then one = 'x'
    elseif won ~= '1' then one = 'u'
    elseif pending[user] or left == popped then one = 'w'
    else
      popped = popped + 1
      count[user], pending[user], changed[user] = count[user] + 1, true, true
      one = 'p'
      winners[popped] = {at, #tried + 1, count[user]}
    end
    tried[#tried + 1] = one
  end
  if popped > 0 then
    local places = redis.call('LPOP', KEYS[2], popped)
    local entries = {}
    for nth, winner in ipairs(winners) do
      local at, result, count_of = winner[1], winner[2], winner[3]
      tried[result] = 'p' .. places[nth] .. ' ' .. count_of
      entries[#entries + 1] = places[nth]
      entries[#entries + 1] = ARGV[at] .. ' ' .. count_of .. ' ' .. ARGV[at + 1] .. ' '
        .. ARGV[3] .. ' ' .. ARGV[at + 3]
    end
    redis.call('HSET', KEYS[4], unpack(entries))
  end
  local fields = {}
  for user in pairs(changed) do
    fields[#fields + 1] = user
    fields[#fields + 1] = count[user] .. (pending[user] and '*' or '')
  end
  if #fields > 0 then redis.call('HSET', KEYS[3], unpack(fields)) end
end
if not all then redis.call('HINCRBY', KEYS[1], 'tries', #tried) end
local line = {}
for at = 9, 16 do line[#line + 1] = pool[at] end
return {'here', tried, line, left - popped, redis.call('HLEN', KEYS[4]), pool[6]}
