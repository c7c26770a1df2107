test("ten at once, then one a second", function()
	for i = 1, 10 do
		local r = request("GET", "/")
		expect(r.status):equals(200)
		expect(r.headers["RateLimit-Remaining"]):equals(tostring(10 - i))
	end
	local r = request("GET", "/")
	expect(r.status):equals(429)
	expect(r.headers["Retry-After"]):equals("1")
	expect(upstream.requests):has_length(10)
	clock.advance(1)
	expect(request("GET", "/").status):equals(200)
	expect(request("GET", "/").status):equals(429)
end)

test("each address has its own, whatever it says in headers", function()
	for _ = 1, 10 do
		request("GET", "/")
	end
	expect(request("GET", "/", { headers = { ["X-Forwarded-For"] = "192.0.2.1" } }).status):equals(429)
	expect(request("GET", "/", { from = "127.0.0.2" }).status):equals(200)
end)

test("logging in is slower", function()
	for _ = 1, 5 do
		expect(request("POST", "/login").status):equals(200)
	end
	expect(request("POST", "/login").status):equals(429)
	expect(request("GET", "/").status):equals(200)
	clock.advance(12)
	expect(request("POST", "/login").status):equals(200)
end)
