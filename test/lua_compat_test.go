package test

import "testing"

// TestLuaFirstStyle runs scripts in the first style of the earlier Keystone:
// objects with methods.
func TestLuaFirstStyle(t *testing.T) {
	runLuaCases(t, []luaCase{
		{
			name: "an API behind a key, declared late and with a prefix", alone: true,
			script: `
				chi_group("/api", function()
					chi_route("GET", "/me", function(request, response)
						response:header("Content-Type", "application/json")
						response:write('{"user":"' .. request:get_context("user") .. '"}')
					end)
				end)
				chi_route("POST", "/login", function(request, response)
					local text = request:body()
					response:status(201)
					response:header("X-Length", tostring(#text))
					response:write('{"method":"' .. request:method() .. '","path":"' .. request:path() .. '"}')
				end)
				chi_middleware("/", function(request, response, next)
					response:header("X-Gateway", "yes")
					next()
				end)
				chi_middleware("/api/*", function(request, response, next)
					local key = request:header("X-API-Key")
					if not key or key == "" then
						response:status(401)
						response:write('{"error":"no key"}')
						return
					end
					request:set_context("user", key .. "@" .. request:remote_addr() .. "@" .. request:host())
					next()
				end)
				print("loaded") log("loaded")`,
			talk: []said{
				say("GET /api/me", 401, `{"error":"no key"}`, answerLine("X-Gateway: yes")),
				say("GET /api/me\nX-Api-Key: k", 200, `{"user":"k@127.0.0.1@{host}"}`, answerLine("Content-Type: application/json", "X-Gateway: yes")),
				say("POST /login\n\nname=x", 201, `{"method":"POST","path":"/login"}`, answerLine("X-Length: 6")),
			},
		},
		{
			name: "oauth: assigns request.headers before next and parses request.url",
			script: `
				local function wants(request)
					local uri = request.query and request.query["redirect_uri"]
					if not uri then uri = request.url and request.url:match("%?(.+)") end
					return uri
				end
				chi_middleware("/*", function(request, response, next)
					local uri = wants(request)
					if not uri then response:status(400) response:write("no uri") return end
					request.headers["Authorization"] = "Bearer " .. uri
					next()
				end)`,
			talk: []said{say("GET /a?redirect_uri=x", 200, "*", values("Authorization", "Bearer redirect_uri=x")), say("GET /a", 400, "no uri", unsent{})},
		},
		{
			name: "the dot forms and set_header", alone: true,
			script: `
				chi_route("POST", "/x", function(request, response)
					response.status(202)
					response.header("X-Dot", request.header("X-In"))
					response:set_header("X-Set", "1")
					response.write("body of " .. #request:body())
				end)
				chi_route("POST", "/body", function(request, response) response.write(request.body()) end)`,
			talk: []said{
				say("POST /x\nX-In: in\n\nhello", 202, "body of 5", answerLine("X-Dot: in", "X-Set: 1")),
				say("POST /body\n\nhello", 200, "hello"),
			},
		},
		{
			name: "context_get of what was never set", alone: true,
			script: `chi_route("GET", "/", function(request, response) response:write(tostring(request:get_context("none"))) end)`,
			talk:   []said{say("GET /", 200, "nil")},
		},
		{
			name: "body as a property, and pairs over the headers", alone: true,
			script: `chi_route("POST", "/", function(request, response)
				local body = request.body or ""
				local lines = {}
				for name, value in pairs(request.headers) do
					if name:lower():match("^x%-t") then lines[#lines + 1] = name .. ": " .. value end
				end
				table.sort(lines)
				response:write(request.method .. " " .. request.path .. " " .. body .. " " .. table.concat(lines, ","))
			end)`,
			talk: []said{say("POST /\nX-Ta: 1\nX-Tb: 2\n\nhello", 200, "POST / hello X-Ta: 1,X-Tb: 2")},
		},
		{
			name: "a counter by address in an upvalue", alone: true,
			script: `
				local seen = {}
				chi_middleware("/api/*", function(request, response, next)
					local address = request:remote_addr()
					seen[address] = (seen[address] or 0) + 1
					response:header("X-Remaining", tostring(100 - seen[address]))
					next()
				end)
				chi_route("GET", "/api/x", function(request, response)
					response:write(os.date("!%Y-%m-%dT%H:%M:%SZ", 0) .. " " .. math.floor(os.time() / 1e9))
				end)`,
			talk: []said{say("GET /api/x", 200, "1970-01-01T00:00:00Z 1", answerLine("X-Remaining: 99"))},
		},
	})
}

// TestLuaSecondStyle runs scripts in the second style: flat functions.
func TestLuaSecondStyle(t *testing.T) {
	t.Setenv("KEYSTONE_TEST_ALLOWED", "allowed")
	t.Setenv("KEYSTONE_TEST_DENIED", "denied")
	runLuaCases(t, []luaCase{
		{
			name: "every function of the issue", alone: true,
			script: `
				chi_middleware(function(request, response, next)
					chi_context_set(request, "user", "me")
					response_header(response, "X-Mw", "1")
					next()
				end)
				chi_route_group("/v1", function()
					chi_route("POST", "/u/{id}", function(request, response)
						response_status(response, 201)
						response_header(response, "X-Trace", request_method(request) .. " " .. request_url(request) .. " " .. #request_host(request))
						response_write(response, request_path(request) .. "|" .. request_query(request) .. "|" .. request_body(request) .. "|")
						response_write(response, chi_param(request, "id") .. "|" .. chi_param(request, "none") .. "|" .. chi_context_get(request, "user"))
						response_write(response, "|" .. tostring(chi_context_get(request, "none")) .. "|" .. request_header(request, "x-in") .. request_header(request, "None"))
						local headers = request_headers(request)
						response_write(response, "|" .. type(headers) .. (headers["X-In"] or headers["x-in"]))
					end)
				end)
				chi_mount("/m", function(request, response) response_write(response, request_method(request) .. request_url(request)) end)
				chi_not_found(function(request, response) response_status(response, 404) response_write(response, "nothing") end)
				chi_method_not_allowed(function(request, response) response_status(response, 405) response_write(response, "wrong method") end)
				chi_group(function()
					chi_middleware(function(request, response, next) response_header(response, "X-G", "1") next() end)
					chi_route("GET", "/in", function(request, response) response_write(response, "in") end)
				end)
				chi_route("GET", "/after", function(request, response) response_write(response, "after") end)`,
			talk: []said{
				say("POST /v1/u/7?a=1&b\nX-In: x\n\nhello", 201, "/v1/u/7|a=1&b|hello|7||me|nil|x|tablex", answerLine("X-Mw: 1", "X-Trace: POST /v1/u/7?a=1&b 12")),
				say("GET /m/x?y", 200, "GET/m/x?y"), say("DELETE /m", 200, "DELETE/m"), say("GET /none", 404, "nothing"), say("GET /v1/u/7", 405, "wrong method"),
				say("GET /in", 200, "in", answerLine("X-G: 1")), say("GET /after", 200, "after", answerWithout("X-G")),
			},
		},
		{
			name: "get_env reads only what the configuration allows", alone: true, tenant: "lua: {env: [KEYSTONE_TEST_ALLOWED, KEYSTONE_TEST_UNSET]}",
			script: `
				local at_load = get_env("KEYSTONE_TEST_ALLOWED")
				chi_route("GET", "/", function(request, response)
					response_write(response, at_load .. "|" .. get_env("KEYSTONE_TEST_ALLOWED") .. "|" .. get_env("KEYSTONE_TEST_DENIED") .. "|" .. get_env("KEYSTONE_TEST_UNSET") .. "|" .. get_env("PATH"))
				end)`,
			talk: []said{say("GET /", 200, "allowed|allowed|||")},
		},
		{
			name: "http_get and http_post",
			pool: func(r *request) reply {
				if r.method == "POST" {
					return reply{parts: []string{"HTTP/1.1 201 Created\r\nContent-Length: 4\r\nX-Kind: " + firstOf(r.values("Content-Type")) + "\r\n\r\nmade"}}
				}
				return answerOK(r)
			},
			script: `
				chi_route("GET", "/get", function(request, response)
					local body, status, headers = http_get("http://{pool}/fetched?x=1", {["X-In"] = "in"})
					response_write(response, body .. "|" .. status .. "|" .. headers["X-Answer-To"])
				end)
				chi_route("GET", "/nil", function(request, response) response_write(response, (http_get("http://{pool}/plain", nil))) end)
				chi_route("GET", "/opts", function(request, response)
					response_write(response, (http_get("http://{pool}/opts", {headers = {["X-In"] = "opt"}, follow_redirects = false})))
				end)
				chi_route("GET", "/post", function(request, response)
					local body, status, headers = http_post("http://{pool}/posted", "the body", {["Content-Type"] = "text/x"})
					response_write(response, body .. "|" .. status .. "|" .. headers["X-Kind"])
				end)
				chi_route("GET", "/fail", function(request, response)
					local body, status, headers = http_get("http://127.0.0.1:1/")
					local n = 0
					for _ in pairs(headers) do n = n + 1 end
					response_write(response, "[" .. body .. "]" .. (status or 502) .. type(headers) .. n)
				end)
				chi_route("GET", "/bad", function(request, response)
					local body, status, headers = http_get("nonsense")
					response_write(response, "[" .. body .. "]" .. status .. type(headers))
				end)
				chi_route("GET", "/postfail", function(request, response)
					local body, status, headers = http_post("http://127.0.0.1:1/", "x")
					response_write(response, "[" .. body .. "]" .. status .. type(headers))
				end)
				-- What it fetched, with all its fields, as the oauth proxy did.
				chi_route("GET", "/proxy", function(request, response)
					local body, status, headers = http_get("http://{pool}/fetched")
					response_status(response, status)
					for name, value in pairs(headers) do response_header(response, name, value) end
					response_write(response, body)
				end)
				chi_route("GET", "/late", function(request, response) response_write(response, "x") response_status(response, 404) end)`,
			talk: []said{
				say("GET /get", 200, "answer to GET /fetched?x=1|200|/fetched?x=1", values("X-In", "in")),
				say("GET /nil", 200, "answer to GET /plain"), say("GET /opts", 200, "answer to GET /opts", values("X-In", "opt")),
				say("GET /post", 200, "made|201|text/x", body("the body")),
				say("GET /fail", 200, "[]0table0"), say("GET /bad", 200, "[]0table"), say("GET /postfail", 200, "[]0table"),
				say("GET /proxy", 200, "answer to GET /fetched", answerValues("Content-Length", "22"), answerLine("X-Answer-To: /fetched")), say("GET /late", 404, "x"),
			},
		},
		{
			name: "redirects are followed, as they were",
			pool: func(r *request) reply {
				if r.target == "/from" {
					return reply{parts: []string{"HTTP/1.1 302 Found\r\nLocation: /to\r\nContent-Length: 0\r\n\r\n"}}
				}
				return answerOK(r)
			},
			script: `
				chi_route("GET", "/follow", function(request, response) response_write(response, (http_get("http://{pool}/from"))) end)
				chi_route("GET", "/stay", function(request, response)
					local body, status = http_get("http://{pool}/from", {follow_redirects = false})
					response_write(response, body .. status)
				end)`,
			talk: []said{say("GET /follow", 200, "answer to GET /to"), say("GET /stay", 200, "302")},
		},
		{
			name: "the request as an argument of http_get and http_post",
			script: `
				chi_route("GET", "/get", function(request, response) response_write(response, (http_get("http://{pool}/a", request, {["X-In"] = "1"}))) end)
				chi_route("GET", "/post", function(request, response) response_write(response, (http_post("http://{pool}/b", "x", request, {["X-In"] = "2"}))) end)`,
			talk: []said{say("GET /get", 200, "answer to GET /a", values("X-In", "1")), say("GET /post", 200, "answer to POST /b", values("X-In", "2"))},
		},
		{
			name: "print and log at request time", alone: true,
			script: `chi_route("GET", "/", function(request, response)
				for i = 1, 40 do print("[DEBUG]", i, nil, {}, true) end
				log("text") log(nil) log(5) log({})
				response_write(response, "ok")
			end)`,
			talk: []said{say("GET /", 200, "ok")},
		},
	})
}

func firstOf(values []string) string {
	if len(values) == 0 {
		return ""
	}
	return values[0]
}

// TestLuaModulesReachable calls each module once, by require and as a global
// where it is one.
func TestLuaModulesReachable(t *testing.T) {
	runLuaCases(t, []luaCase{
		{
			name: "modules", alone: true,
			script: `
				local checks = {
					json = function(m) return m.encode({1}) == "[1]" and m.decode('{"a":[]}').a end,
					http = function(m) return m.get end,
					shared = function(m) m.set("k", 1) return m.incr("k") == 2 end,
					crypto = function(m) return m.sha256 and m.uuid end,
					jwt = function(m) return m.verify end,
					re = function(m) return m.match("a+", "xaay") or m.match("xaay", "a+") end,
					time = function(m) return m.now() > 1e9 end,
					url = function(m) return m.escape and m.parse end,
					log = function(m) m.info("x") return true end,
					limit = function(m) return type(m) == "table" end,
				}
				chi.get("/require/{name}", function(request, response)
					local name = request:param("name")
					response:write(tostring(not not checks[name](modules[name])))
				end)
				chi.get("/global/{name}", function(request, response)
					local name = request:param("name")
					response:write(type(_G[name]), " ", tostring(_G[name] == modules[name]))
				end)
				modules = {}
				for name in pairs(checks) do modules[name] = require("keystone." .. name) end`,
			talk: []said{
				say("GET /require/json", 200, "true"), say("GET /require/http", 200, "true"), say("GET /require/shared", 200, "true"), say("GET /require/crypto", 200, "true"),
				say("GET /require/jwt", 200, "true"), say("GET /require/re", 200, "true"), say("GET /require/time", 200, "true"), say("GET /require/url", 200, "true"),
				say("GET /require/log", 200, "true"), say("GET /require/limit", 200, "true"),
				say("GET /global/json", 200, "table true"), say("GET /global/shared", 200, "table true"), say("GET /global/http", 200, "table true"), say("GET /global/limit", 200, "table true"),
				say("GET /global/log", 200, "table true"),
			},
		},
		{
			name: "what require refuses", alone: true,
			script: `
				local out = {}
				for _, name in ipairs{"os" --[[ a standard name ]], "io", "../c000", "keystone.none", "/etc/passwd", "lib/../../x", "..", "", "c000", "lib.none", "lib..x", "lib\0x", "chi"} do
					out[#out + 1] = tostring((pcall(require, name)))
				end
				chi.get("/", function(request, response) response:write(table.concat(out, " "), " ", tostring((pcall(require, "lib.none")))) end)`,
			talk: []said{say("GET /", 200, "true false false false false false false false false false false false false false")},
		},
	})
}
