-- A maintenance page, switched on and off without a reload:
--
--   curl -X PUT    -H 'Authorization: Bearer TOKEN' https://…/_maintenance -d '1800'
--   curl -X DELETE -H 'Authorization: Bearer TOKEN' https://…/_maintenance
--
-- The body is how long it will take, in seconds. MAINTENANCE_TOKEN has the
-- token; without one nobody can switch.

local crypto = require "keystone.crypto"

local page = [[
<!doctype html><meta charset="utf-8"><title>Back soon</title>
<h1>We are working on it</h1><p>Please come back in a few minutes.</p>
]]

local function may_switch(request)
	local token = get_env("MAINTENANCE_TOKEN")
	local given = (request:header("Authorization") or ""):match("^[Bb]earer +(%S+)$")
	return token ~= "" and given ~= nil and crypto.equal(crypto.sha256(given), crypto.sha256(token))
end

local function switch(change)
	return function(request, response)
		if not may_switch(request) then
			response:header("WWW-Authenticate", "Bearer")
			response:status(401)
			return
		end
		change(request)
		response:status(204)
	end
end

chi_route("PUT", "/_maintenance", switch(function(request)
	local seconds = tonumber(request.body) or 600
	shared.set("maintenance", true, math.min(math.max(seconds, 1), 86400)) -- it ends by itself
end))

chi_route("DELETE", "/_maintenance", switch(function()
	shared.delete("maintenance")
end))

chi_middleware(function(request, response, next)
	local left = shared.get("maintenance") and shared.ttl("maintenance")
	if not left or request.path == "/_maintenance" then
		next()
		return
	end
	response:status(503)
	response:header("Retry-After", math.ceil(left))
	response:header("Cache-Control", "no-store")
	if (request:header("Accept") or ""):find("text/html", 1, true) then
		response:header("Content-Type", "text/html; charset=utf-8")
		response:write(page)
	else
		response:json({ error = "maintenance" })
	end
end)
