-- Redirects: moved pages, one host, https, no trailing slash.

local host = "www.example.com"

local moved = {
	["/imprint.html"] = "/legal",
	["/shop/old-catalog"] = "/catalog",
}

-- Patterns, tried in order; $1 is the first capture.
local re = require "keystone.re"
local rules = {
	{ re.compile("^/blog/([0-9]{4})/([a-z0-9-]+)$"), "/posts/$2" },
	{ re.compile("^/u/([A-Za-z0-9_]+)$"), "/users/$1" },
}

local function target(path)
	if moved[path] then
		return moved[path]
	end
	for _, rule in ipairs(rules) do
		if rule[1]:test(path) then
			return (rule[1]:gsub(path, rule[2]))
		end
	end
	if path ~= "/" and path:sub(-1) == "/" then
		return (path:gsub("/+$", ""))
	end
	return path
end

chi_middleware(function(request, response, next)
	local path = target(request.path)
	-- Where a trusted proxy in front ends TLS, it says so. From anyone else
	-- scripts don't see this field.
	local scheme = request:header("X-Forwarded-Proto") or request.scheme
	if request.host == host and scheme == "https" and path == request.path then
		next()
		return
	end
	-- Always with our own host in front: a path alone could begin with two
	-- slashes, which browsers take for another server.
	local url = "https://" .. host .. path
	if request.query ~= "" then
		url = url .. "?" .. request.query
	end
	local reading = request.method == "GET" or request.method == "HEAD"
	response:redirect(url, reading and 301 or 308) -- 308 keeps method and body
end)
