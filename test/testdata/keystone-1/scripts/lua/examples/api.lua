-- Fields on every response, and two routes.
chi_middleware("/*", function(request, response, next)
    response:header("X-Gateway", "Keystone")
    response:header("Access-Control-Allow-Origin", "*")
    next()
end)

chi_route("GET", "/health", function(request, response)
    response:header("Content-Type", "application/json")
    response:write('{"status": "healthy", "at": "' .. os.date("!%Y-%m-%dT%H:%M:%SZ", 0) .. '"}')
end)

chi_route("GET", "/time", function(request, response)
    response:write(os.date("!%Y", 0))
end)

print("✅ loaded")
