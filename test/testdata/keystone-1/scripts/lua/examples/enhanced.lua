-- A cache by request, handlers of errors, bodies, groups and mounts.
chi_middleware(function(request, response, next)
    chi_context_set(request, "seen", request_method(request) .. " " .. request_url(request))
    next()
end)

chi_route("POST", "/echo", function(request, response)
    local body, again = request_body(request), request_body(request)
    if body == "" then
        response_status(response, 400)
        response_write(response, "no body")
        return
    end
    response_header(response, "Content-Type", "text/plain")
    response_write(response, body .. "|" .. #again .. "|" .. chi_context_get(request, "seen"))
end)

chi_route_group("/v1", function()
    chi_middleware(function(request, response, next)
        response_header(response, "X-Version", "1")
        next()
    end)
    chi_route("GET", "/users/{id}", function(request, response)
        response_write(response, "user " .. chi_param(request, "id") .. " " .. request_header(request, "X-None"))
    end)
end)

chi_group(function()
    chi_middleware(function(request, response, next)
        if request_header(request, "Authorization") == "" then
            response_status(response, 401)
            response_write(response, "who?")
            return
        end
        next()
    end)
    chi_route("GET", "/secret", function(request, response) response_write(response, "told") end)
end)

chi_mount("/static", function(request, response) response_write(response, "static " .. request_url(request)) end)

chi_not_found(function(request, response)
    response_status(response, 404)
    response_header(response, "Content-Type", "application/json")
    response_write(response, '{"error": "nothing here"}')
end)

chi_method_not_allowed(function(request, response)
    response_status(response, 405)
    response_write(response, '{"error": "not so"}')
end)
