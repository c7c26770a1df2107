local users, orders = mock("users"), mock("orders")

config { services = false, env = { USERS_URL = users.url, ORDERS_URL = orders.url } }

before_each(function()
	users.on("GET", "/users/7", { json = { name = "Ada" } })
	users.on("GET", "/users/8", { status = 404 })
	orders.respond { json = { { id = 1 } } }
end)

test("both answers come together", function()
	local r = request("GET", "/profile/7")
	expect(r.status):equals(200)
	expect(r:json()):equals({ user = { name = "Ada" }, orders = { { id = 1 } } })
	expect(orders.last.query):equals("user=7")
end)

test("without orders the user is still there", function()
	orders.respond { status = 500 }
	expect(request("GET", "/profile/7").body):equals('{"user":{"name":"Ada"},"orders":null}')
	orders.fail("close")
	expect(request("GET", "/profile/7").body):equals('{"user":{"name":"Ada"},"orders":null}')
end)

test("without a user there is no profile", function()
	expect(request("GET", "/profile/8").status):equals(404)
	users.fail("close")
	expect(request("GET", "/profile/7").status):equals(502)
	expect(request("GET", "/profile/x").status):equals(404)
end)
