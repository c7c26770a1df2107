config { tenant = "api", path_prefix = "/api/", env = { DEMO_API_KEY = "secret" } }

local function ask(authorization)
	return request("GET", "/api/users", { headers = { Authorization = authorization } })
end

test("the key lets through, and stays here", function()
	expect(ask("Bearer secret").status):equals(200)
	expect(ask("bearer  secret").status):equals(200)
	expect(upstream.last.headers["Authorization"]):is_nil()
end)

test("everything else is refused", function()
	for _, authorization in ipairs { "Bearer secre", "Bearer secrets", "Bearer ", "Bearer", "secret", "Basic secret", "" } do
		expect(ask(authorization).status):equals(401)
	end
	expect(request("GET", "/api/users").headers["WWW-Authenticate"]):equals('Bearer realm="api"')
	expect(upstream.requests):is_empty()
end)

test("without a key in the environment nobody gets in", function()
	config { env = { DEMO_API_KEY = "" } }
	for _, authorization in ipairs { "Bearer ", "Bearer secret", "" } do
		expect(ask(authorization).status):equals(401)
	end
end)
