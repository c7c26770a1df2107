-- Every request gets a token, which is fetched once and kept until it expires;
-- /auth fetches what redirect_uri names with it.
local id, secret = get_env("OAUTH_CLIENT_ID") or nil, get_env("OAUTH_CLIENT_SECRET") or nil
local url = get_env("OAUTH_URL") or nil
local leeway = tonumber((get_env("OAUTH_LEEWAY")) or "60") or 60

local kept = {token = nil, until_when = 0}

local function token()
    if kept.token and os.time() < kept.until_when then
        return kept.token
    end
    for name, value in pairs({OAUTH_CLIENT_ID = id, OAUTH_CLIENT_SECRET = secret}) do
        if value == "" then return nil, "missing_env: " .. name end
    end
    local body, status = http_post(url, "client_id=" .. id .. "&client_secret=" .. secret,
        {["Content-Type"] = "application/x-www-form-urlencoded"})
    if status ~= 200 then
        return nil, "status " .. status
    end
    kept.token = body:match('"access_token"%s*:%s*"([^"]+)"')
    kept.until_when = os.time() + (tonumber(body:match('"expires_in"%s*:%s*(%d+)')) or 3600) - leeway
    return kept.token
end

local function decoded(text)
    return (text:gsub("+", " "):gsub("%%(%x%x)", function(hex) return string.char(tonumber(hex, 16)) end))
end

chi_middleware("/*", function(request, response, next)
    local path = request.path or ""
    local bearer, err = token()
    if not bearer then
        response:status(err:match("missing_env") and 500 or 503)
        response:header("Content-Type", "application/json")
        response:write('{"error": "' .. err .. '"}')
        return
    end
    if path == "/auth" or path == "/api/auth" or path == "/api/auth/" then
        local target = request.query and request.query["redirect_uri"]
        if not target then
            target = (request.url or ""):match("[?&]redirect_uri=([^&]*)")
            target = target and decoded(target)
        end
        if not target or target == "" then
            response:status(400)
            response:write('{"error": "missing redirect_uri"}')
            return
        end
        local body, status = http_get(target, {["Authorization"] = "Bearer " .. bearer})
        response:status(status)
        response:write(body)
        return
    end
    request.headers["Authorization"] = "Bearer " .. bearer
    next()
end)
