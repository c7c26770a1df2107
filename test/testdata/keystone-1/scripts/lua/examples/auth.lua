-- All below /api needs a key: 401 without one, 403 with a wrong one. Login is
-- open.
chi_middleware("/*", function(request, response, next)
    response:header("X-Powered-By", "Keystone")
    response:header("Content-Type", "application/json")
    next()
end)

chi_middleware("/api/*", function(request, response, next)
    local key = request:header("X-API-Key")
    if not key or key == "" then
        response:status(401)
        response:write('{"error": "no key"}')
        return
    end
    if key ~= "right" then
        response:status(403)
        response:write('{"error": "wrong key"}')
        return
    end
    request:set_context("user_id", "user7")
    next()
end)

chi_route("POST", "/auth/login", function(request, response)
    local body = request:body()
    response:write('{"token": "right", "length": ' .. #body .. '}')
end)

chi_route("GET", "/api/profile", function(request, response)
    response:write('{"user": "' .. request:get_context("user_id") .. '"}')
end)

log("auth has been loaded")
