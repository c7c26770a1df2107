-- The digest of this key stands in the script for "reports".
local key = "example"

local function ask(text)
	return request("GET", "/", { headers = { ["X-Api-Key"] = text, ["X-Client"] = "mobile" } })
end

test("a key lets through, and the target learns whose it is", function()
	expect(ask(key).status):equals(200)
	expect(upstream.last.headers["X-Client"]):equals("reports")
	expect(upstream.last.headers["X-Api-Key"]):is_nil()
end)

test("other keys are refused, digests too", function()
	for _, text in ipairs { "wrong", "", "50d858e0985ecc7f60418aaf0cc5ab587f42c2570a884095a9e8ccacd0f6545c" } do
		expect(ask(text).status):equals(401)
	end
	expect(request("GET", "/").status):equals(401)
	expect(upstream.requests):is_empty()
end)

test("each key has its rate", function()
	for _ = 1, 5 do
		expect(ask(key).status):equals(200)
	end
	local r = ask(key)
	expect(r.status):equals(429)
	expect(r.headers["Retry-After"]):equals("1")
	clock.advance(1)
	expect(ask(key).status):equals(200)
end)
