chi_route("GET", "/api/items", function(request, response) response_write(response, "items") end)
chi_route("DELETE", "/api/items/{id}", function(request, response) response_write(response, "gone " .. chi_param(request, "id")) end)
