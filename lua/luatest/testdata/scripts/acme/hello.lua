local greet = require "lib.greet"

chi_route("GET", "/hello/{name}", function(request, response)
  response:write(greet.text(request:param("name")))
end)
