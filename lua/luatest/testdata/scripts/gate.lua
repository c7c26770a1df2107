-- What the tests of luatest test: a little of everything.
local json = require "keystone.json"
local time = require "keystone.time"

chi_middleware("/users/*", function(request, response, next)
  local key = request:header("X-Api-Key")
  if key == nil then
    log.warn("refused", {by = "the gate", count = 3})
    response:status(401)
    response:json({error = "key needed"})
    return
  end
  request:set_header("X-User", key)
  next()
  response:header("X-Gate", "open")
end)

chi_route("GET", "/count", function(request, response)
  response:json({count = shared:incr("count", 1), name = get_env("LUATEST_NAME")})
end)

chi_route("GET", "/sleep", function(request, response)
  time.sleep(3600)
  response:write(time.format())
end)

chi_route("GET", "/both", function(request, response)
  local answers = http.all{
    {url = get_env("LUATEST_USERS") .. "/u/1"},
    {url = get_env("LUATEST_ORDERS") .. "/o?user=1"},
  }
  response:json({user = json.decode(answers[1].body), orders = json.decode(answers[2].body)})
end)

chi_route("ANY", "/echo", function(request, response)
  response:json({
    method = request.method, query = request.query, host = request.host, body = request.body,
    type = request:header("Content-Type"), cookie = request:cookie("who"), remote = request.remote_addr,
  })
end)

chi_route("GET", "/cookies", function(request, response)
  response:cookie{name = "who", value = "me"}
  response:cookie{name = "more", value = "1"}
end)

chi_route("GET", "/ticks", function(request, response)
  for i = 1, 1000000 do
    response:write("tick " .. i .. "\n")
    response:flush()
    time.sleep(1)
  end
end)

chi_route("GET", "/fail", function(request, response)
  local nothing = nil
  return nothing.field
end)

chi_route("GET", "/loop", function() while true do end end)
