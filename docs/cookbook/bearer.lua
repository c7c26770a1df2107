-- Bearer tokens that another service knows: it is asked about each token once
-- a minute (RFC 7662). AUTH_URL is its address.

local crypto = require "keystone.crypto"
local url = require "keystone.url"

local lifetime = 60 -- seconds for which an answer is believed

-- Returns the user of a token, or nil: for a bad token, and also where the
-- service can't be asked. The answers are kept under a digest, so that the
-- tokens themselves are nowhere.
local function user_of(token)
	local key = "token:" .. crypto.sha256(token)
	local known = shared.get(key)
	if known then
		return known ~= "" and known or nil
	end
	local answer, message = http.post(get_env("AUTH_URL"), url.encode_query({ token = token }), {
		headers = { ["Content-Type"] = "application/x-www-form-urlencoded" }, timeout = 2,
	})
	if not answer or answer.status ~= 200 then
		log.error("cannot check a token", { cause = message or answer.status })
		return nil -- and nothing is kept: the next request asks again
	end
	local said, user = answer:json(), ""
	if type(said) == "table" and said.active == true and type(said.username) == "string" then
		user = said.username
	end
	shared.set(key, user, lifetime)
	return user ~= "" and user or nil
end

chi_middleware(function(request, response, next)
	local token = (request:header("Authorization") or ""):match("^[Bb]earer +(%S+)$")
	local user = token and user_of(token)
	if not user then
		response:header("WWW-Authenticate", 'Bearer realm="api"' .. (token and ', error="invalid_token"' or ""))
		response:status(401)
		return
	end
	request:remove_header("Authorization")
	request:set_header("X-User", user)
	next()
end)
