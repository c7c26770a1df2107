package test

import (
	"fmt"
	"strings"
	"testing"
)

// TestLuaEdges combines what the other tables have one by one.
func TestLuaEdges(t *testing.T) {
	const trace = `
		local function mark(name)
			return function(request, response, next) request:set("trace", (request:get("trace") or "") .. name .. ">") next() end
		end
		local function show(request, response) response:write(request:get("trace") or "none") end
	`
	big := strings.Repeat("0123456789abcdef", 1<<14)
	runLuaCases(t, []luaCase{
		{
			name: "not_found in a group without a prefix is the scope's around it, behind the group's middleware", alone: true,
			script: trace + `
				chi.group(function() chi.use(mark("g")) chi.not_found(function(request, response) response:status(404) response:write("mine ") show(request, response) end) end)
				chi.get("/x", show)`,
			talk: []said{say("GET /none", 404, "mine g>"), say("GET /x", 200, "none")},
		},
		{
			name: "a group's not_found is behind its middleware", alone: true,
			script: trace + `chi.use(mark("root")) chi.route("/v", function()
				chi.use(mark("v")) chi.not_found(show) chi.method_not_allowed(show) chi.get("/x", show)
			end)`,
			talk: []said{say("GET /v/none", 200, "root>v>"), say("POST /v/x", 200, "root>v>")},
		},
		{
			name:   "another method of a route goes to the pool",
			script: `chi.get("/x", function(request, response) response:write("lua") end)`,
			talk:   []said{say("POST /x\n\nhello", 200, relayed("POST", "/x"), body("hello")), say("GET /x", 200, "lua", unsent{})},
		},
		{
			name: "parameters in the middleware of a group", alone: true,
			script: `chi_group("/u/{id}", function()
				chi_middleware(function(request, response, next) response:header("X-Id", tostring(request:param("id"))) next() response:header("X-Route", request.route) end)
				chi.get("/x/{y}", function(request, response) response:write(request:param("id"), request:param("y")) end)
			end)`,
			talk: []said{say("GET /u/7/x/8", 200, "78", answerLine("X-Id: 7", "X-Route: /u/{id}/x/{y}"))},
		},
		{
			name: "yields where nothing resumes", alone: true,
			script: `
				chi_middleware("/through", function(request, response, next)
					local co = coroutine.wrap(function() next() return "end" end)
					response:header("X-First", tostring((pcall(co))))
				end)
				chi.get("/through", function(request, response) coroutine.yield(1) response:write("resumed") end)
				chi.get("/bare", function(request, response) coroutine.yield(1) end)
				chi.get("/pcall", function(request, response) response:write(tostring((pcall(coroutine.yield, 1)))) end)
				chi.get("/gsub", function(request, response)
					local co = coroutine.wrap(function() return (("abc"):gsub(".", function(c) coroutine.yield(c) end)) end)
					response:write(tostring((pcall(co))))
				end)
				chi.get("/self", function(request, response)
					local co co = coroutine.create(function() return coroutine.resume(co) end)
					response:write(tostring((coroutine.resume(co))))
				end)
				chi.get("/fine", function(request, response) local f = coroutine.wrap(function() coroutine.yield("y") end) response:write(f()) end)`,
			talk: []said{
				say("GET /through", 0, "*"), say("GET /bare", 500, "*"), say("GET /pcall", 0, "*"), say("GET /gsub", 0, "*"), say("GET /self", 0, "*"),
				say("GET /fine", 200, "y"),
			},
		},
		{
			name: "on_error continue forgets what the script had changed", tenant: "lua: {on_error: continue}",
			script: `chi_middleware(function(request, response, next)
				request:set_header("Authorization", "Bearer secret") request:remove_header("X-In") request:set_path("/changed") request:set_query("q")
				request:set_method("DELETE") request:set_host("changed.example") request:set_body("changed") response:header("X-Changed", "1")
				error("boom")
			end)`,
			talk: []said{say("POST /a?b\nX-In: 1\n\nhello", 200, relayed("POST", "/a?b"), without("Authorization"), values("X-In", "1"), body("hello"), notIn("changed"), answerWithout("X-Changed"))},
		},
		{
			name: "on_error continue after next has begun", tenant: "lua: {on_error: continue}",
			script: `
				chi_middleware("/route", function(request, response, next) next() end)
				chi.get("/route", function(request, response) response:header("X-Half", "1") response:write("half") error("boom") end)
				chi_middleware("/caught", function(request, response, next) pcall(next) error("boom") end)`,
			talk: []said{say("GET /route", 200, relayed("GET", "/route"), answerWithout("X-Half")), say("GET /caught", 500, "*", target("/caught"))},
		},
		{
			name: "what was read of the request stays while its body is read",
			script: `
				chi_middleware(function(request, response, next)
					local path, query, header, host, id = request.path, request.query, request:header("X-In"), request.host, request.id
					local body = request.body
					if path ~= request.path or query ~= request.query or header ~= request:header("X-In") or host ~= request.host or id ~= request.id then error("changed") end
					next()
					if path ~= request.path or query ~= request.query or header ~= request:header("X-In") or #body ~= #request.body then error("changed") end
					response:header("X-In", header .. path .. query)
				end)`,
			talk: []said{
				say("POST /a?q\nX-In: in\n\n"+big, 200, "*", body(big), values("X-In", "in"), answerLine("X-In: in/aq"), interim()),
				say("POST /b?q\nX-In: in\nTransfer-Encoding: chunked\n\n"+fmt.Sprintf("%x\r\n", len(big))+big+"\r\n1\r\nx\r\n0\r\nX-Trailer: 1\r\n\r\n", 200, "*", body(big+"x"), values("X-In", "in"), answerLine("X-In: in/bq"), interim()),
			},
		},
		{
			name: "asterisk and absolute form",
			script: `
				chi_middleware(function(request, response, next) response:header("X-Path", request.path) next() end)
				chi.get("/abs", function(request, response) response:write(request.url, " ", request.host) end)`,
			talk: []said{
				say("GET http://{host}/abs?x", 200, "/abs?x {host}", answerLine("X-Path: /abs")), say("OPTIONS *", 0, "*"), say("GET /fine", 200, "*", target("/fine")),
			},
		},
		{
			name: "a cut request body is not answered by the script", alone: true,
			script: `chi.post("/", function(request, response) response:write("read ", #request.body) end)`,
			talk:   []said{say("POST /\nTransfer-Encoding: chunked\n\n5\r\nhelloXX0\r\n\r\n", 400, "*")},
		},
		{
			name: "copying all fields both ways corrupts nothing",
			script: `chi_middleware(function(request, response, next)
				local copied = {}
				for name, value in pairs(request.headers) do copied[name] = value end
				for name, value in pairs(copied) do pcall(request.set_header, request, name, value) end
				next()
				copied = {}
				for name, value in pairs(response.headers) do copied[name] = value end
				for name, value in pairs(copied) do response:header(name, value) end
				response:set_body("longer than it was: " .. response.body)
			end)`,
			talk: []said{
				say("POST /a\nX-In: 1\n\nhello", 200, "longer than it was: "+relayed("POST", "/a"), body("hello"), values("X-In", "1"), values("Content-Length", "5")),
				say("GET /b\nConnection: keep-alive, X-Hop\nX-Hop: 1", 200, "longer than it was: "+relayed("GET", "/b"), without("X-Hop")),
			},
		},
		{
			name: "a body for 205, 204 and 304 by Lua", alone: true,
			script: `chi.get("/{n}", function(request, response) response:status(tonumber(request:param("n"))) response:write("content") end)`,
			talk: []said{
				say("GET /205", 205, "", answerWithoutValue("Content-Length", "7")), say("GET /204", 204, ""), say("GET /304", 304, "")},
		},
	})
}

// TestLuaHeaderMemory reads an upstream's body, so that its connection goes
// back, and looks at the fields after another request has used it.
func TestLuaHeaderMemory(t *testing.T) {
	gate := make(chan struct{})
	g, mocks := startLuaCases(t, []luaCase{{
		pool: func(r *request) reply {
			if r.target == "/gate" {
				return reply{step: gate, parts: []string{"", okTo(r)}}
			}
			return reply{parts: []string{fmt.Sprintf("HTTP/1.1 200 OK\r\nX-Of: %s\r\nX-Long: %s\r\nContent-Length: 4\r\n\r\nbody", r.target, strings.Repeat(r.target, 20))}}
		},
		script: `
			chi_middleware("/first", function(request, response, next)
				next()
				local body = response.body
				http_get("http://{pool}/gate")
				response:header("X-Seen", response:header("X-Of"))
			end)`,
	}})
	m := mocks[0]
	first, second := dial(t, g.address), dial(t, g.address)
	first.send(t, (&said{send: "GET /first"}).raw(m.host()))
	eventually(t, patience, "the script waits at the gate", func() bool { return len(m.seen()) == 2 })
	for range 5 {
		second.send(t, (&said{send: "GET /other"}).raw(m.host()))
		if answer := second.answer(t, "GET"); answer.status != 200 {
			t.Fatalf("got %d", answer.status)
		}
	}
	close(gate)
	answer := first.answer(t, "GET")
	for name, want := range map[string]string{"X-Of": "/first", "X-Seen": "/first", "X-Long": strings.Repeat("/first", 20)} {
		if wrong := answerValues(name, want)(answer); wrong != "" {
			t.Error(wrong)
		}
	}
}
