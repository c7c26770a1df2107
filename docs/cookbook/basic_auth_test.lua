local crypto = require "keystone.crypto"

config { env = { BASIC_USERS = "ada:" .. crypto.sha256("correct horse") .. ",bob:" .. crypto.sha256("") } }

local function ask(authorization, headers)
	headers = headers or {}
	headers.Authorization = authorization
	return request("GET", "/", { headers = headers })
end
local function basic(text) return "Basic " .. crypto.base64_encode(text) end

test("the right password lets through, and the target learns who it is", function()
	expect(ask(basic("ada:correct horse"), { ["X-User"] = "root" }).status):equals(200)
	expect(upstream.last.headers["X-User"]):equals("ada")
	expect(upstream.last.headers["Authorization"]):is_nil()
end)

test("everything else is refused", function()
	for _, authorization in ipairs {
		basic("ada:wrong"), basic("ada:"), basic("eve:correct horse"), basic(":"), basic("ada"), basic(""),
		"Basic", "Basic ???", "Bearer " .. crypto.base64_encode("ada:correct horse"), "",
	} do
		local r = ask(authorization)
		expect(r.status):equals(401)
		expect(r.headers["WWW-Authenticate"]):matches("^Basic realm=")
	end
	expect(request("GET", "/").status):equals(401)
	expect(upstream.requests):is_empty()
end)

test("without users nobody gets in", function()
	config { env = { BASIC_USERS = "" } }
	expect(ask(basic(":")).status):equals(401)
end)
