package test

import (
	"fmt"
	"strings"
	"testing"
)

// TestLuaRequest reads every property and method of the request that issue 3
// lists, and sees what upstreams get of what scripts change.
func TestLuaRequest(t *testing.T) {
	const dump = `local function dump(...)
		local parts = {}
		for i = 1, select("#", ...) do parts[i] = tostring((select(i, ...))) end
		return table.concat(parts, "|")
	end
	`
	runLuaCases(t, []luaCase{
		{
			name: "properties", alone: true,
			script: dump + `chi.post("/users/{id}", function(request, response)
				response:header("X-Id-Seen", request.id)
				response:write(dump(request.method, request.path, request.url, request.query, request.host, request.scheme,
					request.remote_addr, request.protocol, request.tenant, request.route, request.body, request.headers["X-A"],
					#request.id > 8))
			end)`,
			talk: []said{
				say("POST /users/7%20?a=1&b=%20\nX-A: va\n\nhello", 200,
					"POST|/users/7%20|/users/7%20?a=1&b=%20|a=1&b=%20|{host}|http|127.0.0.1|HTTP/1.1|{tenant}|/users/{id}|hello|va|true", sameID),
				say("POST /users/8 HTTP/1.0\nX-A: vb\nContent-Length: 2\nConnection: close\n\nhi", 200, "*", bodyHas("|HTTP/1.0|", "|hi|vb|")),
			},
		},
		{
			name: "the call form beside the properties", alone: true,
			script: dump + `chi.post("/x", function(request, response)
				response:write(dump(request:method(), request:path(), request:body(), request:remote_addr(), request:host(),
					request:header("x-a"), request.header("X-A")))
			end)`,
			talk: []said{say("POST /x?q\nX-A: va\n\nhello", 200, "POST|/x|hello|127.0.0.1|{host}|va|va")},
		},
		{
			name: "header fields are found in any case", alone: true,
			script: dump + `chi.get("/", function(request, response)
				local pairs_of = {}
				for name, value in pairs(request.headers) do
					if name:lower():sub(1, 4) == "x-m-" then pairs_of[#pairs_of + 1] = name:lower() .. "=" .. value end
				end
				table.sort(pairs_of)
				response:write(dump(request:header("x-m-one"), request.headers["X-M-ONE"], request.headers["x-m-One"], request:header("X-None"),
					request.headers["X-None"], #request:headers_all("x-m-two"), request:headers_all("X-M-Two")[2], #request:headers_all("X-None"),
					request.headers.Host, table.concat(pairs_of, ",")))
			end)`,
			talk: []said{say("GET /\nX-m-OnE: 1\nX-M-Two: a\nx-m-two: b", 200,
				"1|1|1|nil|nil|2|b|0|{host}|x-m-one=1,x-m-two=a,x-m-two=b")},
		},
		{
			name: "query_param and cookie", alone: true,
			script: dump + `chi.get("/", function(request, response)
				response:write(dump(request:query_param("a"), request:query_param("b"), request:query_param("none"), request:query_param("e"),
					request:query_param("f g"), request:cookie("c1"), request:cookie("c2"), request:cookie("C1"), request:cookie("q"), request:cookie("c4")))
			end)`,
			talk: []said{
				say("GET /?a=1&a=2&b=x%20y%2B+z&e&f+g=%zz\nCookie: c1=v1; c2=a=b;q=\"quoted\"\nCookie: c4=later", 200,
					"1|x y+ z|nil||%zz|v1|a=b|nil|quoted|later"),
				say("GET /", 200, "nil|nil|nil|nil|nil|nil|nil|nil|nil|nil"),
			},
		},
		{
			name: "set and get hold any value for one request",
			script: `
				chi_middleware(function(request, response, next)
					request:set("t", {list = {1, 2}}) request:set("n", 7) request:set("f", function() return "called" end)
					request:set("gone", 1) request:set("gone", nil) request:set("no", false)
					if request.path == "/first" then request:set("leak", "leaked") end
					next()
					response:header("X-Back", tostring(request:get("back")))
				end)
				chi.get("/{x}", function(request, response)
					request:set("back", "from the route")
					response:write(#request:get("t").list, " ", request:get("n") + 1, " ", request:get("f")(), " ", tostring(request:get("gone")),
						" ", tostring(request:get("no")), " ", tostring(request:get("leak")))
				end)`,
			talk: []said{
				say("GET /first", 200, "2 8 called nil false leaked", answerLine("X-Back: from the route")),
				say("GET /second", 200, "2 8 called nil false nil"),
			},
		},
		{
			name: "upstreams see the changed fields",
			script: `chi_middleware(function(request, response, next)
				request:set_header("X-Set", "new") request:set_header("x-replaced", "new") request:add_header("X-Added", "2")
				request:remove_header("X-GONE") request.headers["X-Assigned"] = "a" request:set_header("Authorization", "Bearer t")
				request.headers["X-Nil"] = nil
				if request:header("X-Set") ~= "new" or request:header("X-Gone") ~= nil then error("not seen by the script itself") end
				next()
			end)`,
			talk: []said{say("GET /\nX-Replaced: 1\nX-Replaced: 2\nX-Added: 1\nX-Gone: 1\nx-gone: 2\nX-Nil: 1", 200, "*",
				values("X-Set", "new"), values("X-Replaced", "new"), values("X-Added", "1", "2"), without("X-Gone", "X-Nil"),
				values("X-Assigned", "a"), values("Authorization", "Bearer t"))},
		},
		{
			name: "fields of the framing can't be set",
			script: `chi_middleware(function(request, response, next)
				for _, name in ipairs{"Content-Length", "Transfer-Encoding", "Connection", "Upgrade", "TE", "Trailer", "Keep-Alive", "Expect", "Proxy-Connection"} do
					pcall(request.set_header, request, name, "100")
					pcall(request.add_header, request, name, "chunked")
					pcall(function() request.headers[name] = "close" end)
				end
				pcall(request.remove_header, request, "Content-Length")
				next()
			end)`,
			talk: []said{
				say("POST /a\n\nhello", 200, relayed("POST", "/a"), values("Content-Length", "5"), body("hello"), without("Transfer-Encoding", "Upgrade", "TE", "Trailer", "Expect")),
				say("POST /b\nTransfer-Encoding: chunked\n\n5\r\nhello\r\n0\r\n\r\n", 200, relayed("POST", "/b"), body("hello")),
				say("GET /c", 200, relayed("GET", "/c"), without("Transfer-Encoding", "Content-Length")),
			},
		},
		{
			name: "path, query, method and host",
			script: `
				chi_middleware("/path", function(request, response, next) request:set_path("/new/p%20q") next() end)
				chi_middleware("/query", function(request, response, next) request:set_query("x=1&y=a%20b") next() end)
				chi_middleware("/qmark", function(request, response, next) request:set_query("?x=1") next() end)
				chi_middleware("/noquery", function(request, response, next) request:set_query("") next() end)
				chi_middleware("/method", function(request, response, next) request:set_method("PUT") next() end)
				chi_middleware("/host", function(request, response, next) request:set_host("other.example") next() end)
				chi_middleware("/hostport", function(request, response, next) request:set_host("other.example:81") next() end)
				chi_middleware("/both", function(request, response, next)
					request:set_path("/a") request:set_query("b")
					if request.path ~= "/a" or request.query ~= "b" or request.url ~= "/a?b" then error("not seen") end
					next()
				end)`,
			tenant: "preserve_host: true",
			talk: []said{
				say("GET /path?q=1", 200, "*", target("/new/p%20q?q=1")),
				say("GET /query?q=1", 200, "*", target("/query?x=1&y=a%20b")),
				say("GET /qmark", 200, "*", target("/qmark?x=1")),
				say("GET /noquery?q", 200, "*", target("/noquery")),
				say("GET /method", 200, relayed("PUT", "/method"), method("PUT")),
				say("GET /host", 200, "*", values("Host", "other.example")),
				say("GET /hostport", 200, "*", values("Host", "other.example:81")),
				say("GET /both?q", 200, "*", target("/a?b")),
				say("GET /none?q", 200, "*", target("/none?q"), notIn("other.example")),
			},
		},
		{
			name: "set_path decides which middleware and route come next", alone: true,
			script: `
				chi_middleware("/old/*", function(request, response, next) request:set_path("/admin/x") next() end)
				chi_middleware("/admin/*", function(request, response, next) response:header("X-Guard", "yes") next() end)
				chi.get("/admin/{p}", function(request, response) response:write("admin ", request:param("p")) end)
				chi.get("/old/*", function(request, response) response:write("old") end)`,
			talk: []said{say("GET /old/y", 200, "admin x", answerLine("X-Guard: yes"))},
		},
		{
			name: "bad paths, queries, methods and hosts are refused",
			script: `chi_middleware(function(request, response, next)
				local function bad(name, ...) for _, value in ipairs{...} do
					if pcall(request[name], request, value) then response:write(name, " took ", value:sub(1, 40), "\n") end
				end end
				bad("set_path", "", "x", "/a b", "/a\r\nX: y", "/a\0", "/a?b", "/a#b", "/../..", "/a/../../b", "*", "http://x/", ("/x"):rep(1e5))
				bad("set_query", "a b", "a\r\nb", "a\0", "a#b", ("x"):rep(1e6))
				bad("set_method", "", "G T", "GET\r\nX: y", "GET\0", "CONNECT", "(", ("X"):rep(1e4))
				bad("set_host", "", "a b", "a\r\nX: y", "a\0", "a/b", "a@b", "a:b", "a:99999", "[::1", ("x"):rep(1e5))
				response:write("done")
			end)`,
			talk: []said{say("GET /", 200, "done", unsent{})},
		},
		{
			name: "GET made HEAD, and HEAD made GET",
			script: `
				chi_middleware("/tohead", function(request, response, next) request:set_method("HEAD") next() end)
				chi_middleware("/toget", function(request, response, next) request:set_method("GET") next() end)`,
			talk: []said{
				say("GET /tohead", 200, "", method("HEAD")),
				say("HEAD /toget", 200, "", method("GET"), answerWithoutValue("Content-Length", "0")),
				say("GET /x", 200, relayed("GET", "/x")),
			},
		},
		{
			name: "upstream by name",
			tenant: "services:\n" +
				"  - {name: blue, url: \"http://{pool}\"}\n" +
				"  - {name: down, url: \"http://127.0.0.1:1\"}",
			alone: true,
			script: `
				chi_middleware("/blue", function(request, response, next) request:upstream("blue") next() end)
				chi_middleware("/down", function(request, response, next) request:upstream("down") next() end)
				chi_middleware("/none", function(request, response, next) request:upstream("none") next() end)`,
			talk: []said{
				say("GET /blue/1", 200, "*", target("/blue/1")), say("GET /blue/2", 200, "*", target("/blue/2")),
				say("GET /blue/3", 200, "*", target("/blue/3")), say("GET /blue/4", 200, "*", target("/blue/4")),
				say("GET /down", 502, "*", unsent{}), fails("GET /none"), say("GET /blue/5", 200, "*", target("/blue/5")),
			},
		},
		{
			name: "fields the gateway owns stay its own",
			script: `chi_middleware(function(request, response, next)
				for _, name in ipairs{"X-Forwarded-For", "X-Forwarded-Proto", "X-Forwarded-Host", "Forwarded", "X-Request-Id"} do
					pcall(request.set_header, request, name, "evil")
					pcall(request.add_header, request, name, "evil")
					pcall(function() request.headers[name] = "evil" end)
				end
				pcall(request.remove_header, request, "X-Forwarded-For")
				next()
			end)`,
			talk: []said{say("GET /", 200, "*", notIn("evil"), values("X-Forwarded-For", "127.0.0.1"), values("X-Forwarded-Proto", "http"))},
		},
		{
			name: "no other property can be assigned", alone: true,
			script: `chi.get("/", function(request, response)
				for _, name in ipairs{"path", "method", "body", "mine", "header", "id"} do
					response:write(name, "=", tostring(pcall(function() request[name] = "x" end)), " ")
				end
				response:write(request.path, request.method)
			end)`,
			talk: []said{say("GET /", 200, "path=false method=false body=false mine=false header=false id=false /GET")},
		},
	})
}

// sameID demands that the script saw the id that the answer names.
func sameID(r *response) string {
	return differs("request.id", strings.Join(r.values("X-Id-Seen"), ","), strings.Join(r.values("X-Request-Id"), ","))
}

// TestLuaArguments calls every method of request and response with arguments
// that are none, uncaught: 500, nothing sent on, and the connection in step.
func TestLuaArguments(t *testing.T) {
	values := []string{"", "nil", "{}", "true", "print", `"a\r\nX-Evil: 1"`, `"a\nb"`, `"a\0b"`, `"a\127"`, `("x"):rep(100000)`, "0/0", "math.huge", "-1", "1e300", "request"}
	// right are the values that the call may take; a space at the end says that
	// it may lack one.
	calls := []struct{ call, right string }{
		{"request:header(%s)", "0/0 math.huge -1 1e300"},
		{"request:headers_all(%s)", "0/0 math.huge -1 1e300"},
		{"request:remove_header(%s)", "0/0 math.huge -1 1e300"},
		{`request:set_header("X-A", %s)`, "0/0 math.huge -1 1e300 nil "},
		{`request:set_header(%s, "v")`, "0/0 math.huge -1 1e300 "},
		{`request:add_header("X-A", %s)`, "0/0 math.huge -1 1e300"},
		{`request:add_header(%s, "v")`, "0/0 math.huge -1 1e300"},
		{`request:set_method(%s)`, "0/0 math.huge -1 1e300"},
		{`request:set_path(%s)`, ""},
		{`request:upstream(%s)`, ""},
		{`response:status(%s)`, ""},
		{`response:header("X-A", %s)`, "0/0 math.huge -1 1e300 nil "},
		{`response:header(%s, "v")`, "0/0 math.huge -1 1e300 "},
		{`response:add_header("X-A", %s)`, "0/0 math.huge -1 1e300"},
		{`response:remove_header(%s)`, "0/0 math.huge -1 1e300"},
		{`response:redirect("/", %s)`, "nil "},
		{`response:redirect(%s)`, "0/0 math.huge -1 1e300"},
		{`response:cookie(%s)`, ""},
		{`response:cookie({name = %s, value = "v"})`, "0/0 math.huge -1 1e300"},
		{`response:set_body(%s)`, `"a\r\nX-Evil: 1" "a\nb" "a\0b" "a\127" ("x"):rep(100000) 0/0 math.huge -1 1e300`},
		{`request:set_body(%s)`, `"a\r\nX-Evil: 1" "a\nb" "a\0b" "a\127" ("x"):rep(100000) 0/0 math.huge -1 1e300`},
		{`response_status(response, %s)`, ""},
		{`response_header(response, "X-A", %s)`, "0/0 math.huge -1 1e300 nil "},
		{`request_header(request, %s)`, "0/0 math.huge -1 1e300"},
		{`request_header(%s, "X-A")`, "request"},
		{`request_method(%s)`, "request"},
		{`chi_param(%s, "id")`, "request"},
		{`chi_middleware(%s)`, ""},
		{`chi_route("GET", "/late", %s)`, ""},
	}
	var script strings.Builder
	c := luaCase{name: "wrong arguments"}
	for i, call := range calls {
		for j, value := range values {
			right := value != "" && strings.Contains(" "+call.right+" ", " "+value+" ") || value == "" && strings.HasSuffix(call.right, " ")
			if right {
				continue
			}
			path := fmt.Sprintf("/%d/%d", i, j)
			expression := fmt.Sprintf(call.call, value)
			if value == "" {
				expression = strings.NewReplacer(", )", ")", "(, ", "(", "= , ", "= nil, ").Replace(expression)
			}
			fmt.Fprintf(&script, "chi_middleware(%q, function(request, response, next) %s next() end)\n", path, expression)
			s := fails("GET " + path)
			s.checks = append(s.checks, func(r *response) string {
				if wrong := answerWithout("X-Evil", "X-A", "Set-Cookie", "Location")(r); wrong != "" {
					return expression + ": " + wrong
				}
				return differs(expression, r.start, "HTTP/1.1 500 Internal Server Error")
			})
			c.talk = append(c.talk, s)
		}
	}
	c.script = script.String()
	runLuaCases(t, []luaCase{c})
}
