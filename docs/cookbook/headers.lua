-- Headers: what the targets get, and what the clients see of theirs.

local security = {
	["X-Content-Type-Options"] = "nosniff",
	["X-Frame-Options"] = "DENY",
	["Referrer-Policy"] = "strict-origin-when-cross-origin",
	["Content-Security-Policy"] = "default-src 'self'",
}

local private = { "Server", "X-Powered-By", "X-AspNet-Version", "X-Debug" }

chi_middleware(function(request, response, next)
	-- To the target: fields that only the gateway may set are removed first.
	for name in pairs(request_headers(request)) do
		if name:lower():match("^x%-internal%-") then
			request:remove_header(name)
		end
	end
	request:set_header("X-Internal-Request", request.id)

	next()

	-- To the client. What the target has set itself it may know better.
	for name, value in pairs(security) do
		if not response:header(name) then
			response:header(name, value)
		end
	end
	if request.scheme == "https" then
		response:header("Strict-Transport-Security", "max-age=31536000")
	end
	for _, name in ipairs(private) do
		response:remove_header(name)
	end
end)
