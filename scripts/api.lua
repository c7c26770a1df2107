-- The demo's API (config.yaml): nobody gets in without the key.
--
--   curl -i http://127.0.0.1:8080/api/users
--   curl -H 'Authorization: Bearer demo' http://127.0.0.1:8080/api/users
--
-- docs/cookbook.md has more of this kind: passwords, JWT, several keys.

local crypto = require "keystone.crypto"

-- The key comes from the environment; config.yaml says that this script may
-- read it, and -demo sets it. Where it is missing there is no right key, so
-- everything is refused: a mistake must close the door, not open it.
local function is_right(given)
	local key = get_env("DEMO_API_KEY")
	if key == "" or not given then
		return false
	end
	-- == would take longer the more of the key is right, and so give it away
	-- byte by byte. Digests are all equally long.
	return crypto.equal(crypto.sha256(given), crypto.sha256(key))
end

chi_middleware(function(request, response, next)
	local authorization = request:header("Authorization") or ""
	if not is_right(authorization:match("^[Bb]earer +(%S+)$")) then
		response:header("WWW-Authenticate", 'Bearer realm="api"')
		response:json({ error = "a key is needed" }, 401)
		return -- without next(): no target sees the request
	end
	request:remove_header("Authorization") -- the targets need not know the key
	next()
end)
