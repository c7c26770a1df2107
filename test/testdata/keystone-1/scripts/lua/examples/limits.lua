-- Three requests a minute for each client, then 429.
local seen = {}
local window, most = 60, 3

chi_middleware("/api/*", function(request, response, next)
    local client, now = request:remote_addr(), os.time()
    local start = math.floor(now / window) * window
    if not seen[client] or seen[client].start + 10 * window < start then
        seen[client] = {count = 0, start = start}
    end
    if seen[client].count >= most then
        response:header("X-RateLimit-Remaining", "0")
        response:status(429)
        response:write('{"error": "too many"}')
        return
    end
    seen[client].count = seen[client].count + 1
    response:header("X-RateLimit-Limit", tostring(most))
    response:header("X-RateLimit-Remaining", tostring(most - seen[client].count))
    next()
end)

chi_route("GET", "/api/test", function(request, response)
    response:write('{"message": "fine"}')
end)
