test("hidden fields are taken out, and the rest stays as it was", function()
	upstream.respond {
		headers = { ["Content-Type"] = "application/json; charset=utf-8" },
		body = '{"users":[{"name":"Ada","password_hash":"x","id":12345678901234567890,"tags":[],"boss":null}],"internal_notes":"y"}',
	}
	local r = request("GET", "/users", { headers = { ["Accept-Encoding"] = "gzip" } })
	expect(r.body):equals('{"users":[{"name":"Ada","id":12345678901234567890,"tags":[],"boss":null}]}')
	expect(upstream.last.headers["Accept-Encoding"]):is_nil()
end)

test("other media and errors pass as they are", function()
	upstream.respond { headers = { ["Content-Type"] = "text/plain" }, body = "password_hash" }
	expect(request("GET", "/users").body):equals("password_hash")
	upstream.respond { status = 404, json = { error = "no", password_hash = "x" } }
	expect(request("GET", "/users").status):equals(404)
end)

test("bad JSON of a target is not passed on", function()
	upstream.respond { headers = { ["Content-Type"] = "application/json" }, body = '{"password_hash":"x"' }
	local r = request("GET", "/users")
	expect(r.status):equals(502)
	expect(r.body):not_contains("password_hash")
end)

test("only name and email are sent on", function()
	request("POST", "/users", { json = { name = "Eve", email = "e@example.com", admin = true } })
	expect(json.decode(upstream.last.body)):equals({ name = "Eve", email = "e@example.com" })
end)

test("what isn't a user is refused", function()
	for _, body in ipairs { "", "x", "[]", '"name"', '{"name":1}' } do
		expect(request("POST", "/users", { body = body }).status):equals(400)
	end
	expect(upstream.requests):is_empty()
end)
