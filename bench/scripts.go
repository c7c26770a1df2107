//go:build linux

package main

// The gateway's scripts for work that has one.
var gatewayScripts = map[script]string{
	middlewareWork: `
chi_middleware(function(request, response, next)
  if not request:header("X-Api-Key") then
    request:set_header("X-Anon", "1")
  end
  request:set_header("X-Tenant", "shop")
  next()
  response:header("X-Gateway", "keystone")
end)
`,
	scriptAnswerWork: `
chi_route("GET", "/hello", function(request, response)
  response:header("Content-Type", "text/plain")
  response:write("hello\n")
end)
`,
}

// nginxLocations say how nginx does the same. ngx.var reads one field, where
// ngx.req.get_headers makes a table of all: of two usual ways the cheaper one.
// Without content_length it would send chunks.
var nginxLocations = map[script]string{
	noScript: "proxy_pass http://{pool};",
	middlewareWork: `
rewrite_by_lua_block {
    if not ngx.var.http_x_api_key then ngx.req.set_header("X-Anon", "1") end
    ngx.req.set_header("X-Tenant", "shop")
}
header_filter_by_lua_block { ngx.header["X-Gateway"] = "keystone" }
proxy_pass http://{pool};
`,
	scriptAnswerWork: `
content_by_lua_block {
    ngx.header.content_type = "text/plain"
    ngx.header.content_length = 6
    ngx.print("hello\n")
}
`,
}
