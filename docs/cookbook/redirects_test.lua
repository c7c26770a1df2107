config {
	domains = { "www.example.com", "example.com" },
	gateway = { server = { trusted_proxies = { "127.0.0.1" } } }, -- which is where the tests are
}

local function leads(method, path, host, scheme)
	local r = request(method, path, { host = host or "www.example.com", headers = { ["X-Forwarded-Proto"] = scheme or "https" } })
	return r.status .. " " .. (r.headers["Location"] or "")
end

test("the right host, scheme and path go to the target", function()
	expect(leads("GET", "/")):equals("200 ")
	expect(leads("POST", "/catalog?page=2")):equals("200 ")
	expect(upstream.requests):has_length(2)
end)

test("only a trusted proxy says what the scheme is", function()
	config { gateway = { server = { trusted_proxies = { "192.0.2.1" } } } }
	expect(leads("GET", "/")):equals("301 https://www.example.com/")
end)

test("the rules", function()
	expect(leads("GET", "/", nil, "http")):equals("301 https://www.example.com/")
	expect(leads("GET", "/a?b=c", "example.com")):equals("301 https://www.example.com/a?b=c")
	expect(leads("GET", "/imprint.html")):equals("301 https://www.example.com/legal")
	expect(leads("GET", "/blog/2024/hello-world?x=1")):equals("301 https://www.example.com/posts/hello-world?x=1")
	expect(leads("GET", "/u/ada")):equals("301 https://www.example.com/users/ada")
	expect(leads("GET", "/page/")):equals("301 https://www.example.com/page")
	expect(leads("POST", "/u/ada")):equals("308 https://www.example.com/users/ada")
	expect(upstream.requests):is_empty()
end)

test("nothing leads elsewhere", function()
	for _, path in ipairs { "/%2Fevil.example.com/", "/evil.example.com/", "/u/$1", "/u/@evil.example.com", "/blog/2024/a%2Fb" } do
		expect(leads("GET", path, nil, "http")):matches("^30[18] https://www%.example%.com/")
	end
end)
