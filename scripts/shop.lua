-- The demo's shop (config.yaml): what a first script needs.
--
-- This file runs once, when the gateway loads it, and declares things. The
-- functions in it run later, for every request.

-- A middleware is wrapped around everything that follows: what stands before
-- next() happens before the request goes on, what stands after it happens
-- when the response is there.
chi_middleware(function(request, response, next)
	request:remove_header("X-Shop-Group") -- it is for us to say, see below
	next()
	response:header("X-Content-Type-Options", "nosniff")
	response:header("X-Frame-Options", "DENY")
end)

-- A route answers by itself; no target is asked.
--
--   curl http://shop.localhost:8080/hello/Ada
chi_route("GET", "/hello/{name}", function(request, response)
	response:json({ hello = request:param("name"), tenant = request.tenant })
end)

-- A middleware with a pattern covers that path and all below. Half of the
-- visitors of /catalog see the new one, on the target shop-2. A cookie makes
-- them see the same one the next time.
--
--   curl -i http://shop.localhost:8080/catalog
--   curl -H 'Cookie: group=new' http://shop.localhost:8080/catalog
local groups = { old = "shop-1", new = "shop-2" }

chi_middleware("/catalog", function(request, response, next)
	local group = request:cookie("group")
	if not groups[group] then -- a client may send anything
		group = math.random(2) == 1 and "old" or "new"
		response:cookie({ name = "group", value = group, max_age = 30 * 86400, http_only = true, same_site = "Lax" })
	end
	request:set_header("X-Shop-Group", group)
	request:upstream(groups[group])
	next()
end)
