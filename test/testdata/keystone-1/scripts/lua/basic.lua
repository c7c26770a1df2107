-- Two answers; everything else is the target's.
chi_route("GET", "/", function(request, response)
    response:header("Content-Type", "application/json")
    response:write('{"message": "welcome"}')
end)

chi_route("GET", "/api/health", function(request, response)
    response:header("Content-Type", "application/json")
    response:write('{"status": "healthy"}')
end)
