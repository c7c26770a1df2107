-- JSON Web Tokens: who is it, and what may they do?
--
-- JWT_KEY is a public key as PEM. With a key set instead: jwks = get_env(…).

local jwt = require "keystone.jwt"

assert(get_env("JWT_KEY") ~= "", "JWT_KEY is missing") -- then the script doesn't load

local options = {
	key = get_env("JWT_KEY"),
	issuer = "https://login.example.com/",
	audience = "shop",
	leeway = 30,
}

local function authenticate(request, response, next)
	local token = (request:header("Authorization") or ""):match("^[Bb]earer +(%S+)$")
	local claims, message = jwt.verify(token, options)
	if not claims or type(claims.sub) ~= "string" then
		log.info("refused", { cause = claims and "no sub" or message })
		response:header("WWW-Authenticate", 'Bearer realm="shop"')
		response:json({ error = "a valid token is needed" }, 401)
		return
	end
	request:set("claims", claims)
	request:set_header("X-User", claims.sub)
	next()
end

-- Returns a middleware that asks for a scope, a word of the claim scope.
local function scope(wanted)
	return function(request, response, next)
		local scopes = request:get("claims").scope
		for word in (type(scopes) == "string" and scopes or ""):gmatch("%S+") do
			if word == wanted then
				return next()
			end
		end
		response:json({ error = "the scope " .. wanted .. " is needed" }, 403)
	end
end

chi_middleware(authenticate) -- always before what uses its claims
chi_middleware("/admin", scope("admin"))

chi_route("GET", "/me", function(request, response)
	response:json({ user = request:get("claims").sub })
end)
