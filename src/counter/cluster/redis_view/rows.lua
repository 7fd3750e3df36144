-- Adds rows to boards: reads and checks all of them, then writes. A script does not roll back, so
-- nothing that can fail may come after the first write.
--
-- KEYS[3] holds the names of the generation's boards. In KEYS each board has two: a hash, and for
-- lists a sorted set of those above 0. In ARGV each board has its name, its expiry (or nothing), its
-- kind, the number of its rows, and per row the field, an epoch of 20 digits, and what is added.
--
-- A mark is an epoch and a number of 20 digits; the largest stays. The value of a sum is the sum and
-- its epoch, 20 characters each: rows of a newer epoch begin anew, rows of an older one come too late
-- to count. So rows may come in any order. A place is the sum, its digits taken from nine so that
-- the largest comes first, and the field.

local function place(hi, lo, field)
  return string.format('%010d%010d', BASE - 1 - hi, BASE - 1 - lo) .. field
end

local function is_listed(hi, lo) return hi > 0 or (hi == 0 and lo > 0) end

-- Adds one row of a sum to what is to be written; nothing when it would leave 19 digits.
local function add(board, was, field, epoch, more)
  local hi, lo, old_place = 0, 0, false
  if was then
    local before = string.sub(was, 21)
    if before > epoch then return true end
    hi, lo = split(was)
    if is_listed(hi, lo) then old_place = place(hi, lo, field) end
    if before < epoch then hi, lo = 0, 0 end
  end
  hi, lo = sum(hi, lo, more)
  if hi > 999999999 or hi < -999999999 then return false end
  local new_place = is_listed(hi, lo) and place(hi, lo, field)
  board.values[#board.values + 1] = field
  board.values[#board.values + 1] = join(hi, lo) .. epoch
  if old_place == new_place then return true end
  if old_place then board.removed[#board.removed + 1] = old_place end
  if new_place then
    board.added[#board.added + 1] = 0
    board.added[#board.added + 1] = new_place
  end
  return true
end

-- What is to be written; nothing when a sum would leave its range.
local function prepare(key, arg)
  local boards = {}
  while key < #KEYS do
    local kind, count = ARGV[arg + 2], tonumber(ARGV[arg + 3])
    local fields = {}
    for row = 1, count do fields[row] = ARGV[arg + 1 + 3 * row] end
    local old = redis.call('HMGET', KEYS[key], unpack(fields))
    -- A key of another type fails here, before the first write. A key that is there has its expiry.
    local is_new = redis.call('HLEN', KEYS[key]) == 0
    local is_unplaced = kind == 'list' and redis.call('ZCARD', KEYS[key + 1]) == 0
    if is_new then redis.call('SCARD', KEYS[3]) end
    local board = {
      scores = KEYS[key], places = KEYS[key + 1], name = ARGV[arg], expires = ARGV[arg + 1],
      is_new = is_new, is_unplaced = is_unplaced, values = {}, added = {}, removed = {},
    }
    for row = 1, count do
      local epoch, more = ARGV[arg + 2 + 3 * row], ARGV[arg + 3 + 3 * row]
      if kind == 'mark' then
        if not old[row] or old[row] < epoch .. more then
          board.values[#board.values + 1] = fields[row]
          board.values[#board.values + 1] = epoch .. more
        end
      elseif not add(board, old[row], fields[row], epoch, more) then
        return nil
      end
    end
    if kind ~= 'list' then board.added, board.removed = {}, {} end
    boards[#boards + 1] = board
    key, arg = key + 2, arg + 4 + 3 * count
  end
  return boards, {}
end

local function write(boards)
  for _, board in ipairs(boards) do
    if #board.values > 0 then
      redis.call('HSET', board.scores, unpack(board.values))
      -- New places first: a sorted set that is empty for a moment is gone, and in a slot that is
      -- being moved Redis would refuse to make it again.
      if #board.added > 0 then redis.call('ZADD', board.places, unpack(board.added)) end
      if #board.removed > 0 then redis.call('ZREM', board.places, unpack(board.removed)) end
      if board.expires ~= '' then
        if board.is_new then redis.call('EXPIREAT', board.scores, board.expires) end
        if board.is_unplaced then redis.call('EXPIREAT', board.places, board.expires) end
      end
      if board.is_new then redis.call('SADD', KEYS[3], board.name) end
    end
  end
end

