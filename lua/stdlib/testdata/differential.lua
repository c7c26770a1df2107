local at
local function text(v, depth)
  local kind = type(v)
  if kind == "table" then
    if depth > 3 then return "deep" end
    local names, list = {}, {}
    for k in next, v do
      local name = tostring(k):gsub(": .*", "") -- without an address
      names[#names + 1] = (type(k) == "number" and "1" or "2") .. name
      names[name] = k
    end
    table.sort(names)
    for i = 1, #names do
      local k = names[i]:sub(2)
      list[i] = k .. "=" .. text(v[names[k]], depth + 1)
    end
    return "{" .. table.concat(list, ",") .. "}"
  elseif kind == "string" then return (string.format("%q", v):gsub("0x%x%x%x%x%x+", "address"))
  elseif kind == "number" then return v ~= v and "nan" or v == 0 and "0" or tostring(v)
  elseif kind == "function" or kind == "thread" then return kind end
  return tostring(v)
end
local lines
function log(...)
  local list = {}
  for i = 1, select("#", ...) do list[i] = text((select(i, ...)), 0) end
  lines[#lines + 1] = table.concat(list, " ")
  return ...
end
function co() return coroutine.create(function(a) return coroutine.yield(a) end) end
function dead(...)
  local c = coroutine.create(function() end)
  coroutine.resume(c)
  return coroutine.status(c), coroutine.resume(c, ...)
end
function all(s, p)
  local list = {}
  for a, b in string.gmatch(s, p) do list[#list + 1] = text(a, 0) .. text(b, 0) end
  return unpack(list)
end
function f(...) return select("#", ...) < 9 and ... end
function id(...) return ... end
function add(a, b) return a + b end
function P(number, call)
  lines = {}
  E, L, M, W = {}, {30, 10, 20}, {a = 1, l = "L", hello = true}, {10, 20, n = 1, [1.5] = 2}
  T = setmetatable({1}, {__tostring = function() return "T!" end, __index = function(t, k) return k end, __metatable = "locked"})
  local ok, message = pcall(call)
  if not ok then log("error", type(message) == "string" and message:gsub("^[^ ]*:%d+: ", "") or message) end
  log(E, L, M, W)
  print(number .. "\t" .. (table.concat(lines, "; "):gsub("[\n\r%z]", "?")))
end
