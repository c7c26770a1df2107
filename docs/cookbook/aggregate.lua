-- One answer of two services, asked at once. USERS_URL and ORDERS_URL are
-- their addresses.

local url = require "keystone.url"

-- Returns the JSON of a result of http.all, or nil.
local function value_of(result, what)
	if result.error or result.status ~= 200 then
		log.warn("no " .. what, { cause = result.error or result.status })
		return nil
	end
	return (result:json())
end

chi_route("GET", "/profile/{id:[0-9]+}", function(request, response)
	local id = url.escape(request:param("id"))
	local results = http.all({
		{ url = get_env("USERS_URL") .. "/users/" .. id, timeout = 2 },
		{ url = get_env("ORDERS_URL") .. "/orders", query = { user = id }, timeout = 1 },
	})
	if results[1].status == 404 then
		response:json({ error = "no such user" }, 404)
		return
	end
	local user = value_of(results[1], "user")
	if not user then -- without it there is nothing to say
		response:json({ error = "try again later" }, 502)
		return
	end
	-- Without the orders the rest is still worth something.
	response:json({ user = user, orders = value_of(results[2], "orders") or json.null })
end)
