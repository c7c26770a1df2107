package redis

// dictionary does one thing with an entry, at once. KEYS[1] has the entries, each as its
// end (in ms; 0 is none), its size and its value, and under ” the sum of sizes; KEYS[2]
// when each was used last, KEYS[3] the ends. What is past its end goes a few at a time,
// as in a Memory; of what was least recently used no more goes at once than the server
// does in some milliseconds, the rest with the next entries.
var dictionary = newScript(`
local op, id, budget, unused = ARGV[1], ARGV[2], tonumber(ARGV[3]), ARGV[4]
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
local function whole(n) return string.format('%.0f', n) end
local function forget(one)
  local kept = redis.call('HGET', KEYS[1], one)
  if kept then
    redis.call('HDEL', KEYS[1], one)
    redis.call('HINCRBY', KEYS[1], '', '-' .. (string.match(kept, '^%d+:(%d+):') or '0'))
  end
  redis.call('ZREM', KEYS[2], one)
  redis.call('ZREM', KEYS[3], one)
end
local function use()
  redis.call('ZADD', KEYS[2], whole(now), id)
  for i = 1, 3 do redis.call('PEXPIRE', KEYS[i], unused) end
end
local kept = redis.call('HGET', KEYS[1], id)
local ends, size, at = 0, 0, nil
if kept then
  ends, size, at = string.match(kept, '^(%d+):(%d+):()')
  if not at then return {'foreign'} end
  ends, size = tonumber(ends), tonumber(size)
  if ends > 0 and ends <= now then
    forget(id)
    kept, ends, size = false, 0, 0
  end
end
local function put(text, need, life)
  for _, one in ipairs(redis.call('ZRANGEBYSCORE', KEYS[3], '-inf', whole(now), 'LIMIT', '0', '4')) do
    if one ~= id then forget(one) end
  end
  if life > 0 then
    ends = now + life
    redis.call('ZADD', KEYS[3], whole(ends), id)
  else
    ends = 0
    redis.call('ZREM', KEYS[3], id)
  end
  redis.call('HSET', KEYS[1], id, whole(ends) .. ':' .. whole(need) .. ':' .. text)
  local sum = tonumber(redis.call('HINCRBY', KEYS[1], '', whole(need - size)))
  use()
  for _ = 1, 2000 do
    if sum <= budget then break end
    local one = redis.call('ZRANGE', KEYS[2], '0', '0')[1]
    if not one or one == id then break end
    forget(one)
    sum = tonumber(redis.call('HGET', KEYS[1], ''))
  end
end
if op == 'get' then
  if not kept then return {'none'} end
  use()
  return {'ok', string.sub(kept, at)}
elseif op == 'ttl' then
  if not kept then return {'none'} end
  return {'ok', ends == 0 and '0' or whole(ends - now)}
elseif op == 'delete' then
  if not kept then return {'none'} end
  forget(id)
  return {'ok'}
elseif op == 'incr' then
  local old = tonumber(ARGV[8])
  if kept then
    if string.sub(kept, at, at) ~= 'n' then return {'number'} end
    old = tonumber(string.sub(kept, at + 1))
  end
  local sum = (old or math.huge) + tonumber(ARGV[5])
  if sum ~= sum or sum == math.huge or sum == -math.huge then return {'finite'} end
  local text = 'n' .. string.gsub(string.format('%.17g', sum), 'e%+', 'e')
  if kept then
    redis.call('HSET', KEYS[1], id, whole(ends) .. ':' .. whole(size) .. ':' .. text)
    use()
  else
    put(text, tonumber(ARGV[6]), tonumber(ARGV[7]))
  end
  return {'ok', text}
end
if op == 'add' and kept then return {'none'} end
put(ARGV[5], tonumber(ARGV[6]), tonumber(ARGV[7]))
return {'ok'}
`)
