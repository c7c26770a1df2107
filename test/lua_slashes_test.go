package test

import "testing"

// TestStripSlashes: a slash at the end of a path makes no difference to routes
// where a tenant says so, opens nothing that middleware guards, and reaches the
// target as it came.
func TestStripSlashes(t *testing.T) {
	const script = `
		chi_middleware("/guarded/*", function(request, response, next) response:status(403) end)
		chi_route("GET", "/health", function(request, response) response:write("health ", request.path) end)
		chi_route("POST", "/slash/", function(request, response) response:write("slash ", request.path) end)
		chi_route("GET", "/users/{id}", function(request, response) response:write("user ", request:param("id")) end)
		chi_route_group("/group", function()
			chi_middleware(function(request, response, next) response:header("X-Group", "1") next() end)
			chi_route("GET", "/", function(request, response) response:write("group ", request.route) end)
		end)`
	runLuaCases(t, []luaCase{
		{
			name: "routes", alone: true, tenant: "strip_slashes: true", script: script,
			talk: []said{
				say("GET /health", 200, "health /health"), say("GET /health/", 200, "health /health/"), say("GET /health//", 200, "health /health/"),
				say("GET /users/7/", 200, "user 7"), say("GET /users/", 404, "*"), say("GET /", 404, "*"),
				say("POST /health/", 405, "*", answerLine("Allow: GET")),
				say("POST /slash/", 200, "slash /slash/"), say("POST /slash", 404, "*"),
				say("GET /group/", 200, "group /group", answerLine("X-Group: 1")), say("GET /group", 200, "group /group", answerLine("X-Group: 1")),
			},
		},
		{
			name: "a route beats a catch-all", alone: true, tenant: "strip_slashes: true",
			script: script + `chi.get("/*", function(request, response) response:write("all ", request:param("*")) end)`,
			talk:   []said{say("GET /health/", 200, "health /health/"), say("GET /other/", 200, "all other"), say("GET /", 200, "all ")},
		},
		{
			name: "below a prefix", alone: true, tenant: "strip_slashes: true\npath_prefix: /t", script: script + `
				chi_route("GET", "/t/long", function(request, response) response:write("long") end)
				chi_route("GET", "/", function(request, response) response:write("root") end)`,
			talk: []said{
				say("GET /t/health/", 200, "health /t/health/"), say("GET /t/long/", 200, "long"),
				say("GET /t", 200, "root"), say("GET /t/", 200, "root"), say("GET /t/guarded/", 403, ""),
			},
		},
		{
			name: "what is guarded, and what the target gets", tenant: "strip_slashes: true", script: script,
			talk: []said{
				say("GET /guarded/", 403, "", unsent{}), say("GET /guarded/x/", 403, "", unsent{}),
				say("GET /dir/", 200, relayed("GET", "/dir/")), say("GET /dir", 200, relayed("GET", "/dir")),
				say("GET /slash/", 200, relayed("GET", "/slash/")),
			},
		},
		{
			name: "off", alone: true, script: script,
			talk: []said{say("GET /health/", 404, "*"), say("GET /users/7/", 404, "*"), say("POST /slash/", 200, "slash /slash/")},
		},
	})
}
