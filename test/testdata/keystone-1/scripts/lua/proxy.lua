-- All that begins with /auth is fetched from where redirect_uri says, with a
-- token from a file that another program keeps.
local function token()
    local file = io.open("no-such-token", "r")
    if not file then return nil, "no token" end
    return file:read("*all")
end

chi_middleware(function(request, response, next)
    local url = request_url(request)
    if not url:match("^[^?]*/auth") then
        next()
        return
    end
    local target = url:match("redirect_uri=([^&]*)")
    if not target then
        response_status(response, 404)
        response_header(response, "Content-Type", "application/json")
        response_write(response, '{"error": "no redirect_uri"}')
        return
    end
    local bearer, err = token()
    if not bearer then
        response_status(response, 503)
        response_write(response, err)
        return
    end
    local body, status, fields = http_get(target, {Authorization = "Bearer " .. bearer})
    for name, value in pairs(fields) do response_header(response, name, value) end
    response_status(response, status)
    response_write(response, body)
end)
