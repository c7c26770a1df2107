-- A/B: a fifth of the visitors get the target "new", always the same ones.
-- services: [{ name: old, … }, { name: new, … }]

local crypto = require "keystone.crypto"

local share = 20 -- per cent

-- Returns a number from 0 to 99 that is always the same for a visitor. Change
-- the salt to draw again.
local function draw(visitor)
	return tonumber(crypto.sha256("salt 1:" .. visitor):sub(1, 8), 16) % 100
end

chi_middleware(function(request, response, next)
	local visitor = request:cookie("visitor")
	if not visitor or not visitor:match("^[%x-]+$") or #visitor ~= 36 then
		visitor = crypto.uuid()
		response:cookie({
			name = "visitor", value = visitor, max_age = 365 * 86400,
			secure = request.scheme == "https", http_only = true, same_site = "Lax",
		})
	end
	local group = draw(visitor) < share and "new" or "old"
	request:upstream(group)
	request:set_header("X-Group", group)
	response:header("X-Group", group)     -- for caches and for measuring
	response:add_header("Vary", "Cookie") -- a shared cache must not mix the groups
	next()
end)
