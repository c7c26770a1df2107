package test

import (
	"strings"
	"testing"
)

// TestLuaRoutes declares routes in every way that issue 3 lists.
func TestLuaRoutes(t *testing.T) {
	runLuaCases(t, []luaCase{
		{
			name: "a function for each method", alone: true,
			script: `
				for _, m in ipairs{"get", "post", "put", "patch", "delete", "options", "head"} do
					chi[m]("/" .. m, function(request, response) response:header("X-By", m) response:write("chi." .. m) end)
				end
				chi.method("REPORT", "/method", function(request, response) response:write("chi.method ", request.method) end)
				chi.handle("/handle", function(request, response) response:write("chi.handle ", request.method) end)
				chi_route("GET", "/route", function(request, response) response:write("chi_route") end)
				chi_route("put", "/lower", function(request, response) response:write("lower") end)
				chi_route("ANY", "/any", function(request, response) response:write("any ", request.method) end)
				chi_route("*", "/star", function(request, response) response:write("star ", request.method) end)
				chi.method("ANY", "/many", function(request, response) response:write("many ", request.method) end)`,
			talk: []said{
				say("GET /get", 200, "chi.get"), say("POST /post", 200, "chi.post"), say("PUT /put", 200, "chi.put"),
				say("PATCH /patch", 200, "chi.patch"), say("DELETE /delete", 200, "chi.delete"), say("OPTIONS /options", 200, "chi.options"),
				say("HEAD /head", 200, "", answerLine("X-By: head")),
				say("REPORT /method", 200, "chi.method REPORT"), say("GET /method", 405, "*", answerLine("Allow: REPORT")),
				say("PROPFIND /handle", 200, "chi.handle PROPFIND"), say("GET /handle", 200, "chi.handle GET"),
				say("GET /route", 200, "chi_route"), say("PUT /lower", 200, "lower"),
				say("DELETE /any", 200, "any DELETE"), say("GET /any", 200, "any GET"),
				say("DELETE /star", 200, "star DELETE"), say("PURGE /many", 200, "many PURGE"),
				say("POST /get", 405, "*", answerLine("Allow: GET")),
				say("GET /nowhere", 404, "*"), say("GET /route/", 404, "*"), say("GET /rout", 404, "*"),
			},
		},
		{
			name: "parameters", alone: true,
			script: `
				local function show(...)
					local names = {...}
					return function(request, response)
						response:write(request.route)
						for _, name in ipairs(names) do response:write("|", tostring(request:param(name))) end
					end
				end
				chi_route("GET", "/users/{id}", show("id"))
				chi_route("GET", "/num/{n:[0-9]+}", show("n"))
				chi_route("GET", "/files/*", show("*"))
				chi_route("GET", "/a/{x}/b/{y}", show("x", "y", "z"))
				chi_route("GET", "/d/{y:\\d{4}}-{m:\\d\\d}", show("y", "m"))
				chi_route("GET", "/w/{w:[a-z]+|[0-9]+}", show("w"))`,
			talk: []said{
				say("GET /users/7", 200, "/users/{id}|7"), say("GET /users/", 404, "*"), say("GET /users/7/8", 404, "*"),
				say("GET /users/a%20b", 200, "/users/{id}|a b"), say("GET /users/a%2541+%C3%A9", 200, "/users/{id}|a%41+é"),
				say("GET /users/a%2Fb", 404, "*"), // docs/paths.md: an encoded slash counts as one
				say("GET /num/42", 200, "/num/{n:[0-9]+}|42"), say("GET /num/4x", 404, "*"), say("GET /num/x4", 404, "*"),
				say("GET /files/", 200, "/files/*|"), say("GET /files/a/b/c.txt", 200, "/files/*|a/b/c.txt"), say("GET /filesx", 404, "*"),
				say("GET /a/1/b/2", 200, "/a/{x}/b/{y}|1|2|nil"),
				say("GET /d/2024-05", 200, `/d/{y:\d{4}}-{m:\d\d}|2024|05`), say("GET /d/2024-5", 404, "*"),
				say("GET /w/abc", 200, "/w/{w:[a-z]+|[0-9]+}|abc"), say("GET /w/12", 200, "/w/{w:[a-z]+|[0-9]+}|12"), say("GET /w/a1", 404, "*"),
			},
		},
		{
			name: "static beats parameter beats catch-all, whatever the order", alone: true,
			script: `
				local function says(text) return function(request, response) response:write(text) end end
				chi.get("/*", says("all"))
				chi.get("/u/*", says("rest"))
				chi.get("/u/{id}", says("parameter"))
				chi.get("/u/{id:[0-9]+}", says("regexp"))
				chi.get("/u/me", says("static"))
				chi.get("/u/{id}/x", says("parameter then static"))
				chi.post("/u/me", says("post"))`,
			talk: []said{
				say("GET /u/me", 200, "static"), say("GET /u/you", 200, "parameter"), say("GET /u/12", 200, "regexp"),
				say("GET /u/a/b", 200, "rest"), say("GET /u/me/x", 200, "parameter then static"), say("GET /u/me/y", 200, "rest"),
				say("GET /v", 200, "all"), say("GET /", 200, "all"), say("POST /u/me", 200, "post"),
			},
		},
		{
			name: "405 has Allow with every method of the path", alone: true,
			script: `
				local f = function(request, response) response:write("x") end
				chi.get("/x", f) chi.put("/x", f) chi.delete("/{y}", f)`,
			talk: []said{say("POST /x", 405, "*", func(r *response) string {
				for _, want := range []string{"GET", "PUT", "DELETE"} {
					if wrong := hasMember(r, "Allow", want); wrong != "" {
						return wrong
					}
				}
				return ""
			})},
		},
		{
			name: "HEAD falls back to GET if asked", alone: true,
			script: `
				chi.use(chi.get_head)
				chi.get("/x", function(request, response) response:header("X-Method", request.method) response:write("12345") end)
				chi.head("/y", function(request, response) response:header("X-Of", "head") end)
				chi.get("/y", function(request, response) response:header("X-Of", "get") end)`,
			talk: []said{
				say("HEAD /x", 200, "", answerLine("X-Method: HEAD", "Content-Length: 5")),
				say("GET /x", 200, "12345"), say("HEAD /y", 200, "", answerLine("X-Of: head")), say("HEAD /z", 404, ""),
			},
		},
		{
			name: "HEAD doesn't fall back unasked", alone: true,
			script: `chi.get("/x", function(request, response) response:write("12345") end)`,
			talk:   []said{say("HEAD /x", 405, "", answerLine("Allow: GET")), say("GET /x", 200, "12345")},
		},
		{
			name: "mount", alone: true,
			script: `
				local function says(text) return function(request, response) response:write(text, " ", request.method, " ", request.path) end end
				chi_mount("/static", says("one"))
				chi.mount("/two/", says("two"))
				chi.mount("/m/{id}", function(request, response) response:write(request:param("id"), " ", tostring(request:param("*"))) end)
				chi.get("/static/known", says("route"))`,
			talk: []said{
				say("GET /static", 200, "one GET /static"), say("POST /static/", 200, "one POST /static/"),
				say("DELETE /static/a/b", 200, "one DELETE /static/a/b"), say("GET /staticx", 404, "*"),
				say("GET /two/x", 200, "two GET /two/x"), say("GET /static/known", 200, "route GET /static/known"),
				say("GET /m/7/a/b", 200, "7 a/b"),
			},
		},
		{
			name: "not_found without services", alone: true,
			script: `
				chi_not_found(function(request, response) response:status(404) response:header("X-Nf", "1") response:write("no ", request.path) end)
				chi_method_not_allowed(function(request, response) response:status(405) response:write("not ", request.method) end)
				chi.get("/x", function(request, response) response:write("x") end)`,
			talk: []said{
				say("GET /y", 404, "no /y", answerLine("X-Nf: 1")), say("GET /x", 200, "x"), say("POST /x", 405, "not POST"),
			},
		},
		{
			name: "not_found in chi's words and within a group", alone: true,
			script: `
				chi.not_found(function(request, response) response:status(404) response:write("root") end)
				chi.method_not_allowed(function(request, response) response:status(405) response:write("root method") end)
				chi.get("/y", function(request, response) end)
				chi_group("/v1", function()
					chi.not_found(function(request, response) response:status(404) response:write("v1") end)
					chi.method_not_allowed(function(request, response) response:status(405) response:write("v1 method") end)
					chi.get("/x", function(request, response) response:write("x") end)
				end)`,
			talk: []said{
				say("GET /nowhere", 404, "root"), say("GET /v1/nowhere", 404, "v1"), say("GET /v1/x", 200, "x"),
				say("PUT /v1/x", 405, "v1 method"), say("PUT /y", 405, "root method"), say("GET /v11", 404, "root"),
			},
		},
		{
			name: "what no route matches goes to the pool",
			script: `
				chi_middleware(function(request, response, next) next() response:header("X-Mw", "seen") end)
				chi.get("/lua", function(request, response) response:write("lua") end)`,
			talk: []said{
				say("GET /lua", 200, "lua", answerLine("X-Mw: seen"), unsent{}),
				say("GET /other?q=1", 200, relayed("GET", "/other?q=1"), answerLine("X-Mw: seen"), target("/other?q=1")),
			},
		},
		{
			name:   "a tenant without services answers 404, through its middleware",
			alone:  true,
			script: `chi_middleware(function(request, response, next) next() response:header("X-Status", tostring(response.status_code)) end)`,
			talk:   []said{say("GET /x", 404, "*", answerLine("X-Status: 404"))},
		},
		{
			name: "patterns are not matched by the query", alone: true,
			script: `chi.get("/x", function(request, response) response:write(request.query) end)`,
			talk:   []said{say("GET /x?/y", 200, "/y"), say("GET /x?", 200, ""), say("GET /x", 200, "")},
		},
		{
			name: "path_prefix", alone: true, tenant: "path_prefix: /t/",
			script: `
				chi.get("/short", function(request, response) response:write("short ", request.path) end)
				chi.get("/t/long", function(request, response) response:write("long ", request.path) end)
				chi_middleware("/guarded/*", function(request, response, next) response:status(403) end)`,
			talk: []said{
				say("GET /t/short", 200, "short /t/short"), say("GET /t/long", 200, "long /t/long"),
				say("GET /t/guarded/x", 403, ""), say("GET /t/none", 404, "*"),
			},
		},
	})
}

// TestLuaPathsOfPrefixes rewrites paths of a tenant whose prefix is stripped.
func TestLuaPathsOfPrefixes(t *testing.T) {
	runLuaCases(t, []luaCase{{
		name: "strip_prefix", tenant: "path_prefix: /t/\nstrip_prefix: true",
		script: `
			chi_middleware(function(request, response, next) response:header("X-Path", request.path) next() end)
			chi_middleware("/within", function(request, response, next) request:set_path("/t/other") next() end)
			chi_middleware("/out", function(request, response, next) request:set_path("/outside") next() end)
			chi.get("/lua", function(request, response) response:write("lua ", request.path, " ", request.route) end)`,
		talk: []said{
			say("GET /t/x?q", 200, "*", target("/x?q"), answerLine("X-Path: /t/x")), say("GET /t/within?q", 200, "*", target("/other?q")),
			say("GET /t/out", 200, "*", target("/outside")), say("GET /t/lua", 200, "lua /t/lua /lua", unsent{}), say("GET /t/", 200, "*", target("/")),
		},
	}})
}

// TestLuaPathTricks sends paths that upstreams may read as one below /admin:
// either the middleware for /admin stops them or the gateway refuses them.
func TestLuaPathTricks(t *testing.T) {
	tricks := []string{
		"/admin", "/admin/", "/admin/secret", "/admin?x", "/admin/?x=/y", "/admin;x/secret", "/admin;x", "/admin/;x/secret", "/;x/admin/secret",
		"/admin%2Fsecret", "/admin%2fsecret", "/admin%3Bx/secret", "/admin%5Csecret", `/admin\secret`,
		"//admin/secret", "///admin//secret", "/./admin/secret", "/x/../admin/secret", "/x/..;/admin/secret", "/x/..;y=1/admin/secret",
		"/.;/admin/secret", "/%2e/admin/secret", "/x/%2e%2e/admin/secret", "/x/.%2E/admin/secret", "/%61dmin/secret", "/%61%64min%2Fsecret",
		"/x%2F..%2Fadmin/secret", "/x/..%2Fadmin/secret", "/x%2f%2e%2e%2fadmin%2fsecret", "/%2Fadmin/secret", "/%2F%2Fadmin/secret",
		"/%252e/admin%00/x", "/admin%00/secret", "/admin%20/../admin/x", "/%5Cadmin/secret", "/.//admin/secret", "/x//../admin/secret",
		"http://{host}/admin/secret", "http://{host}//admin/secret",
	}
	guards := map[string]string{
		"middleware":          `chi_middleware("/admin/*", function(request, response, next) response:status(403) response:write("guarded") end)`,
		"use without a slash": `chi.use("/admin", function(request, response, next) response:status(403) response:write("guarded") end)`,
		"group":               `chi_group("/admin", function() chi_middleware(function(request, response, next) response:status(403) response:write("guarded") end) end)`,
		"group with a route beside it": `
			chi_group("/admin", function() chi_middleware(function(request, response, next) response:status(403) response:write("guarded") end) chi.get("/x", function() end) end)
			chi.get("/{a}/nothing/{b}", function(request, response) response:write("passed") end)`,
		"parameter": `chi_middleware("/{a:adm.*}/*", function(request, response, next) response:status(403) response:write("guarded") end)`,
	}
	var cases []luaCase
	for name, script := range guards {
		c := luaCase{name: name, script: script}
		for _, trick := range tricks {
			// No path here is refused by any test of its own; where the gateway
			// says 400 nothing is passed on either.
			c.talk = append(c.talk, say("GET "+trick, 0, "*", unsent{}, func(r *response) string {
				if r.status == 403 && string(r.body) == "guarded" || r.status == 400 {
					return ""
				}
				return "the request got past the guard, status " + r.start
			}))
		}
		cases = append(cases, c)
		// The same below the prefix of a tenant.
		prefixed := luaCase{name: name + " below a prefix", script: script, tenant: "path_prefix: /t/"}
		for _, s := range c.talk {
			s.send = strings.NewReplacer("GET /", "GET /t/", "{host}/", "{host}/t/").Replace(s.send)
			prefixed.talk = append(prefixed.talk, s)
		}
		for _, trick := range []string{"/t;x/admin/secret", "/t%2Fadmin/secret", "/%74/admin/secret", "//t/admin/secret", "/x/../t/admin/secret", "/;/t/admin/x", "/t/../t/admin/x"} {
			s := c.talk[0]
			s.send = "GET " + trick
			prefixed.talk = append(prefixed.talk, s)
		}
		cases = append(cases, prefixed)
	}
	runLuaCases(t, cases)
}
