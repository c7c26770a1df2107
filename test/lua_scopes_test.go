package test

import "testing"

// TestLuaScopes checks where middleware runs, and in what order.
func TestLuaScopes(t *testing.T) {
	const trace = `
		local function mark(name)
			return function(request, response, next)
				request:set("trace", (request:get("trace") or "") .. name .. ">")
				next()
				response:header("X-Trace", (response:header("X-Trace") or request:get("trace")) .. "<" .. name)
			end
		end
		local function show(request, response) response:write(request:get("trace") or "none") end
	`
	runLuaCases(t, []luaCase{
		{
			name: "in order of declaration, outside-in", alone: true,
			script: trace + `chi_middleware(mark("a")) chi.use(mark("b"), mark("c")) chi.get("/", show)`,
			talk:   []said{say("GET /", 200, "a>b>c>", answerLine("X-Trace: a>b>c><c<b<a"))},
		},
		{
			name: "declared after the routes", alone: true,
			script: trace + `
				chi.get("/x", show)
				chi_group("/v", function() chi.get("/x", show) chi_middleware(mark("v")) end)
				chi_middleware(mark("late"))`,
			talk: []said{say("GET /x", 200, "late>"), say("GET /v/x", 200, "late>v>")},
		},
		{
			name: "groups inherit and don't leak", alone: true,
			script: trace + `
				chi_middleware(mark("root"))
				chi_group(function()
					chi_middleware(mark("g"))
					chi.get("/g", show)
					chi_group("/in", function() chi_middleware(mark("in")) chi.get("/x", show) end)
					chi.get("/g2", show)
				end)
				chi_route_group("/v1", function()
					chi.use(mark("v1"))
					chi.route("/deep", function() chi.use(mark("deep")) chi.get("/", show) chi.get("/x", show) end)
					chi.get("/x", show)
				end)
				chi.group(function() chi.use(mark("h")) chi.get("/h", show) end)
				chi.get("/plain", show)`,
			talk: []said{
				say("GET /g", 200, "root>g>"), say("GET /in/x", 200, "root>g>in>"), say("GET /g2", 200, "root>g>"),
				say("GET /v1/x", 200, "root>v1>"), say("GET /v1/deep/x", 200, "root>v1>deep>"),
				say("GET /v1/deep/", 200, "root>v1>deep>"), say("GET /h", 200, "root>h>"), say("GET /plain", 200, "root>"),
			},
		},
		{
			name: "with", alone: true,
			script: trace + `
				chi.use(mark("root"))
				local guarded = chi.with(mark("w1"), mark("w2"))
				guarded.get("/a", show)
				guarded.with(mark("w3")).post("/b", show)
				guarded.route("/r", function() chi.get("/x", show) end)
				chi.get("/c", show)`,
			talk: []said{
				say("GET /a", 200, "root>w1>w2>"), say("POST /b", 200, "root>w1>w2>w3>"),
				say("GET /r/x", 200, "root>w1>w2>"), say("GET /c", 200, "root>"),
			},
		},
		{
			name: "patterns of middleware", alone: true,
			script: trace + `
				chi_middleware("/", mark("slash"))
				chi_middleware("/*", mark("star"))
				chi_middleware("/api/*", mark("api"))
				chi_middleware("/api/v1", mark("v1"))
				chi_middleware("/u/{id}/*", mark("u"))
				chi_middleware("/n/{n:[0-9]+}", mark("n"))
				chi.use("/used/*", mark("used"))
				chi.handle("/*", show)`,
			talk: []said{
				say("GET /", 200, "slash>star>"), say("GET /x", 200, "slash>star>"), say("GET /api", 200, "slash>star>api>"),
				say("GET /api/", 200, "slash>star>api>"), say("GET /api/v1/x", 200, "slash>star>api>v1>"),
				say("GET /apix", 200, "slash>star>"), say("GET /u/7/x", 200, "slash>star>u>"), say("GET /u", 200, "slash>star>"),
				say("GET /n/7", 200, "slash>star>n>"), say("GET /n/x", 200, "slash>star>"), say("GET /used/a", 200, "slash>star>used>"),
			},
		},
		{
			name: "patterns within a group", alone: true,
			script: trace + `
				chi_group("/v1", function()
					chi_middleware("/", mark("all"))
					chi_middleware("/a/*", mark("a"))
					chi.handle("/*", show)
				end)
				chi.handle("/*", show)`,
			talk: []said{
				say("GET /v1/a/b", 200, "all>a>"), say("GET /v1/b", 200, "all>"), say("GET /a/b", 200, "none"), say("GET /x", 200, "none"),
			},
		},
		{
			name: "a group's middleware guards the pool too",
			script: trace + `
				chi_group("/admin", function()
					chi_middleware(function(request, response, next) response:status(403) response:write("no") end)
				end)`,
			talk: []said{say("GET /admin/x", 403, "no", unsent{}), say("GET /adminx", 200, relayed("GET", "/adminx"))},
		},
		{
			name: "neither next nor write ends the request with what it set",
			script: `chi_middleware(function(request, response, next)
				response:status(418) response:header("X-Set", "yes")
			end)`,
			talk: []said{say("GET /", 418, "", answerLine("X-Set: yes"), unsent{})},
		},
		{
			name:   "an empty middleware ends the request with 200",
			script: `chi_middleware(function() end)`,
			talk:   []said{say("GET /", 200, "", unsent{})},
		},
		{
			name: "next twice is an error",
			script: `
				chi_middleware("/plain", function(request, response, next) next() next() end)
				chi_middleware("/caught", function(request, response, next)
					next()
					local ok, err = pcall(next)
					response:header("X-Twice", tostring(ok))
				end)`,
			talk: []said{
				say("GET /plain", 500, "*", answerLine("X-Gateway-Error: script_error")),
				say("GET /caught", 200, relayed("GET", "/caught"), answerLine("X-Twice: false"), target("/caught")),
			},
		},
		{
			name: "next kept from an earlier request",
			script: `
				local kept
				chi_middleware("/keep", function(request, response, next) kept = next next() end)
				chi_middleware("/use", function(request, response, next)
					-- It may be refused, or count as this request's.
					local ok = kept and pcall(kept)
					response:set_body(tostring(response.status_code))
				end)`,
			talk: []said{say("GET /keep", 200, "*", target("/keep")), say("GET /use", 200, "200"), say("GET /keep", 200, "*", target("/keep"))},
		},
		{
			name: "request and response kept from an earlier request",
			script: `
				local req, resp
				chi_middleware(function(request, response, next)
					if req and request.path == "/use" then
						-- They may work as this request's, or fail; they may not show the other's.
						local ok, header = pcall(function() return req:header("X-Secret") end)
						response:header("X-Seen", tostring(ok and header))
						pcall(function() resp:header("X-Old", "1") end)
					end
					req, resp = request, response
					next()
				end)`,
			talk: []said{
				say("GET /keep\nX-Secret: s3cret", 200, "*"), say("GET /use", 200, "*", answerWithoutValue("X-Seen", "s3cret")),
			},
		},
		{
			name: "next in a coroutine, and through pcall",
			script: `
				chi_middleware("/co", function(request, response, next)
					local co = coroutine.create(function() next() coroutine.yield("y") response:header("X-In", "co") end)
					local ok, y = coroutine.resume(co)
					coroutine.resume(co)
					response:header("X-Got", tostring(ok) .. tostring(y))
				end)
				chi_middleware("/pcall", function(request, response, next)
					local ok, err = pcall(next)
					response:header("X-Ok", tostring(ok))
				end)`,
			talk: []said{
				say("GET /co", 200, relayed("GET", "/co"), answerLine("X-In: co", "X-Got: truey")),
				say("GET /pcall", 200, relayed("GET", "/pcall"), answerLine("X-Ok: true")),
			},
		},
		{
			name: "an error of a handler caught by an outer middleware",
			script: `
				chi_middleware(function(request, response, next)
					local ok, err = pcall(next)
					if not ok then response:status(503) response:set_body("caught: " .. tostring(err):match("boom")) end
				end)
				chi.get("/x", function(request, response) response:header("X-Half", "1") response:write("half") error("boom") end)`,
			talk: []said{say("GET /x", 503, "caught: boom")},
		},
	})
}
