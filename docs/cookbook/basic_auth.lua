-- HTTP Basic authentication.
--
-- BASIC_USERS has the users with the SHA-256 digests of their passwords:
--   ada:2bb80d53…,bob:9f86d081…       (printf %s 'the password' | sha256sum)
-- Such a digest protects long random passwords, as for machines, and not
-- those that people choose.

local crypto = require "keystone.crypto"

local digests = {}
for name, digest in get_env("BASIC_USERS"):gmatch("([^:,%s]+):(%x+)") do
	digests[name] = digest:lower()
end

-- Compared with when there is no such user, so that this takes as long.
local nobody = crypto.random_hex(32)

local function user_of(authorization)
	local encoded = (authorization or ""):match("^[Bb]asic +(%S+)$")
	local name, password = (encoded and crypto.base64_decode(encoded) or ""):match("^([^:]*):(.*)$")
	if not name then
		return nil
	end
	local known = digests[name]
	local right = crypto.equal(crypto.sha256(password), known or nobody)
	return right and known and name or nil
end

chi_middleware(function(request, response, next)
	local user = user_of(request:header("Authorization"))
	if not user then
		response:header("WWW-Authenticate", 'Basic realm="private", charset="UTF-8"')
		response:status(401)
		return
	end
	request:remove_header("Authorization")
	request:set_header("X-User", user) -- in place of what the client may have sent
	next()
end)
