local auth = mock("auth")

config { env = { AUTH_URL = auth.url .. "/introspect" } }

local function ask(token)
	return request("GET", "/", { headers = { Authorization = "Bearer " .. token } })
end

before_each(function()
	auth.respond(function(asked)
		if asked.body == "token=good" then
			return { json = { active = true, username = "ada" } }
		end
		return { json = { active = false } }
	end)
end)

test("a good token lets through, and is asked for once a minute", function()
	expect(ask("good").status):equals(200)
	expect(ask("good").status):equals(200)
	expect(upstream.last.headers["X-User"]):equals("ada")
	expect(upstream.last.headers["Authorization"]):is_nil()
	expect(auth.requests):has_length(1)
	clock.advance(61)
	expect(ask("good").status):equals(200)
	expect(auth.requests):has_length(2)
end)

test("bad tokens are refused", function()
	expect(ask("bad").status):equals(401)
	expect(ask("bad").headers["WWW-Authenticate"]):contains("invalid_token")
	expect(auth.requests):has_length(1)
	expect(request("GET", "/").status):equals(401)
	expect(upstream.requests):is_empty()
end)

test("if the service fails, the door is closed, and not for long", function()
	auth.respond { status = 500 }
	expect(ask("good").status):equals(401)
	auth.respond { body = "not JSON" }
	expect(ask("other").status):equals(401)
	auth.respond { json = { active = true, username = "ada" } }
	expect(ask("good").status):equals(200)
end)

test("a user who isn't a text is none", function()
	auth.respond { json = { active = true, username = { "ada" } } }
	expect(ask("good").status):equals(401)
	auth.respond { json = { active = "true", username = "ada" } }
	expect(ask("another").status):equals(401)
end)
