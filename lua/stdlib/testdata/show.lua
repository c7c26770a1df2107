-- Writes results so that Lua 5.1 and we write the same. The expectations in
-- lua51.txt are what the reference implementation, lua5.1, gives.
local function show(v)
  if type(v) == "string" then return (("%q"):format(v):gsub("\\\n", "\\n"):gsub("[\1-\9\11-\31\127-\255]", function(c) return ("\\x%02x"):format(c:byte()) end)) end
  if type(v) == "number" then return ("%.14g"):format(v) end
  if type(v) == "table" or type(v) == "function" then return type(v) end
  return tostring(v)
end
function result(...)
  local r = {}
  for i = 1, select("#", ...) do r[i] = show((select(i, ...))) end
  return table.concat(r, " ")
end
