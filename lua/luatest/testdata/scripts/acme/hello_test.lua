-- The tenant's modules are its own directory's, in scripts and in tests.
local greet = require "lib.greet"

config{services = false}

test("a module by itself", function()
  expect(greet.text("Ann")):equals("hello, Ann")
end)

test("the route that uses it", function()
  expect(request("GET", "/hello/Bob").body):equals("hello, Bob")
end)
