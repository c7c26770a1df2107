chi_middleware(function(request, response, next)
    if request_header(request, "X-Key") == "" then
        response_status(response, 401)
        response_write(response, "no key")
        return
    end
    next()
end)
