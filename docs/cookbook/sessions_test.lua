local users = mock("users")

config { env = { USERS_URL = users.url .. "/check", SESSION_SECRET = ("s"):rep(32), SESSION_SECRET_BEFORE = ("b"):rep(32) } }

before_each(function()
	users.respond(function(asked)
		local known = asked:json()
		return { status = known.name == "ada" and known.password == "secret" and 200 or 403 }
	end)
end)

local function sign_in(name, password)
	return request("POST", "/sign-in", { body = "name=" .. name .. "&password=" .. password })
end

local function with(value, path)
	return request("GET", path or "/", { headers = { Cookie = "__Host-session=" .. value } })
end

test("who has signed in is known to targets, for eight hours", function()
	local signed = sign_in("ada", "secret")
	expect(signed.status):equals(303)
	local set = signed.headers["Set-Cookie"]
	expect(set):contains("; Path=/; Max-Age=28800; HttpOnly; Secure; SameSite=Lax")
	local value = set:match("^__Host%-session=([^;]+)")
	expect(value:find("ada", 1, true)):is_nil()
	expect(with(value).status):equals(200)
	expect(upstream.last.headers["X-User"]):equals("ada")
	clock.advance(8 * 3600 - 1)
	expect(with(value).status):equals(200)
	clock.advance(1)
	expect(with(value).headers["Location"]):equals("/sign-in")
end)

test("others are led to the page", function()
	expect(request("GET", "/").headers["Location"]):equals("/sign-in")
	expect(with("made-up").status):equals(303)
	expect(upstream.requests):is_empty()
	expect(request("GET", "/sign-in").body):contains("<form")
end)

test("a wrong password is refused, and what was sent is shown as text", function()
	local refused = sign_in("%3Cscript%3E", "secret")
	expect(refused.status):equals(401)
	expect(refused.body):contains("&lt;script&gt;")
	expect(refused.body:find("<script>", 1, true)):is_nil()
	expect(refused.headers["Set-Cookie"]):is_nil()
	users.respond { status = 500 }
	expect(sign_in("ada", "secret").status):equals(401)
end)

test("signing out takes the cookie away", function()
	local signed = sign_in("ada", "secret")
	local value = signed.headers["Set-Cookie"]:match("^__Host%-session=([^;]+)")
	local out = request("POST", "/sign-out", { headers = { Cookie = "__Host-session=" .. value } })
	expect(out.headers["Set-Cookie"]):contains("Max-Age=0")
end)
