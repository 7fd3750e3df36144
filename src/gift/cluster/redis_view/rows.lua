-- Adds rows to boards: reads and checks all of them, then writes. A script does not roll back, so
-- nothing that can fail may come after the first write.
--
-- KEYS[3] holds the names of the generation's boards. In KEYS each board has two: a hash of all
-- anchors that ever had a gift, and a sorted set of the places of those above 0. In ARGV each board
-- has its name, its expiry (or nothing), the number of its rows, and per row the field of the
-- anchor (its inverted id), the inverted time, and what is added.
--
-- The value of an anchor is its total and its inverted time, 20 characters each; value and field
-- together are the name of its place. Numbers of equal length sort as text.

-- The range of 64 bits, -2^63 to 2^63 - 1.
local function fits(hi, lo)
  if hi >= 0 then return hi < 922337203 or (hi == 922337203 and lo <= 6854775807) end
  return hi > -922337204 or (hi == -922337204 and lo >= 3145224192)
end

-- What is to be written, and the fields of the anchors that reached the limit; nothing when a total
-- would leave its range.
local function prepare(key, arg, limit)
  local limit_hi, limit_lo = split(limit)
  local boards, full, seen = {}, {}, {}
  while key < #KEYS do
    local count = tonumber(ARGV[arg + 2])
    local fields = {'newest'}
    for row = 1, count do fields[row + 1] = ARGV[arg + 3 * row] end
    local old = redis.call('HMGET', KEYS[key], unpack(fields))
    -- A key of another type fails here, before the first write.
    redis.call('ZCARD', KEYS[key + 1])
    if not old[1] then redis.call('SCARD', KEYS[3]) end
    local newest, values, added, removed = old[1] or ARGV[arg + 4], {'newest', ''}, {}, {}
    for row = 1, count do
      local field, time = fields[row + 1], ARGV[arg + 3 * row + 1]
      local was, hi, lo = old[row + 1], 0, 0
      if time < newest then newest = time end
      if was then
        hi, lo = split(was)
        local before = string.sub(was, 21)
        if before < time then time = before end
      end
      local had_place = hi > 0 or (hi == 0 and lo > 0)
      hi, lo = sum(hi, lo, ARGV[arg + 3 * row + 2])
      if not fits(hi, lo) then return nil end
      local value = join(hi, lo) .. time
      if value ~= was then
        values[#values + 1] = field
        values[#values + 1] = value
        if had_place then removed[#removed + 1] = was .. field end
        if hi > 0 or (hi == 0 and lo > 0) then
          added[#added + 1] = 0
          added[#added + 1] = value .. field
        end
      end
      if (hi > limit_hi or (hi == limit_hi and lo >= limit_lo)) and not seen[field] then
        seen[field] = true
        full[#full + 1] = field
      end
    end
    values[2] = newest
    boards[#boards + 1] = {
      scores = KEYS[key], places = KEYS[key + 1], name = not old[1] and ARGV[arg],
      expires = ARGV[arg + 1], values = values, added = added, removed = removed,
    }
    key, arg = key + 2, arg + 3 + 3 * count
  end
  return boards, full
end

local function write(boards)
  for _, board in ipairs(boards) do
    redis.call('HSET', board.scores, unpack(board.values))
    -- New places first: a sorted set that is empty for a moment is gone, and in a slot that is
    -- being moved Redis would refuse to make it again.
    if #board.added > 0 then redis.call('ZADD', board.places, unpack(board.added)) end
    if #board.removed > 0 then redis.call('ZREM', board.places, unpack(board.removed)) end
    if board.expires ~= '' then
      redis.call('EXPIREAT', board.scores, board.expires)
      redis.call('EXPIREAT', board.places, board.expires)
    end
    if board.name then redis.call('SADD', KEYS[3], board.name) end
  end
end

