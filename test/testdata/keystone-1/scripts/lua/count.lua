local n = 0
chi_middleware(function(request, response, next)
    n = n + 1
    response_header(response, "X-Counted", "yes")
    next()
end)
