config { env = { MAINTENANCE_TOKEN = "secret" } }

local function switch(method, token, body)
	return request(method, "/_maintenance", { headers = { Authorization = "Bearer " .. token }, body = body })
end

test("on and off", function()
	expect(request("GET", "/").status):equals(200)
	expect(switch("PUT", "secret", "60").status):equals(204)
	local r = request("GET", "/", { headers = { Accept = "text/html,*/*" } })
	expect(r.status):equals(503)
	expect(r.headers["Retry-After"]):equals("60")
	expect(r.body):contains("<h1>")
	expect(request("GET", "/").body):equals('{"error":"maintenance"}')
	expect(switch("DELETE", "secret").status):equals(204)
	expect(request("GET", "/").status):equals(200)
end)

test("it ends by itself", function()
	switch("PUT", "secret", "60")
	clock.advance(61)
	expect(request("GET", "/").status):equals(200)
end)

test("nobody else can switch it", function()
	expect(switch("PUT", "wrong", "60").status):equals(401)
	expect(request("PUT", "/_maintenance").status):equals(401)
	expect(request("GET", "/").status):equals(200)
end)

test("without a token nobody can", function()
	config { env = { MAINTENANCE_TOKEN = "" } }
	expect(request("PUT", "/_maintenance", { headers = { Authorization = "Bearer " } }).status):equals(401)
	expect(request("GET", "/").status):equals(200)
end)
