package test

import (
	"encoding/json"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
)

// TestLuaErrors makes scripts fail in every way, and sees what clients,
// upstreams and operators are told.
func TestLuaErrors(t *testing.T) {
	const failing = `
		chi_middleware("/early", function(request, response, next) response:header("X-Half", "1") error("s3cret") end)
		chi_middleware("/late", function(request, response, next) next() error("s3cret") end)
		chi_middleware("/written", function(request, response, next) response:write("half") error("s3cret") end)
		chi_middleware("/table", function(request, response, next) error({code = "s3cret"}) end)
		chi_middleware("/nil", function(request, response, next) error() end)
		chi_middleware("/index", function(request, response, next) local x = nil; return x.y end)
		chi_middleware("/loop", function(request, response, next) while true do end end)
		chi_middleware("/pcallloop", function(request, response, next) while true do pcall(function() while true do end end) end end)
		chi_middleware("/memory", function(request, response, next) local t, s = {}, ("x"):rep(1e6) while true do t[#t + 1] = s .. #t end end)
		chi_middleware("/deep", function(request, response, next) local function f() return 1 + f() end return f() end)
		chi_middleware("/coroutine", function(request, response, next) coroutine.wrap(function() error("s3cret") end)() end)
		chi.get("/route", function(request, response) error("s3cret") end)
	`
	paths := []string{"/early", "/written", "/table", "/nil", "/index", "/deep", "/coroutine", "/route"}
	limits := []string{"/loop", "/pcallloop", "/memory"}
	// Loops end by their instructions, of which the default takes its time.
	const bounded = "max_instructions: 1000000, quarantine_after: 0"
	hidden := []any{answerWithout("X-Half"), bodyLacks("s3cret", ".lua", ".lua", "traceback", "half")}
	var closed, open, exposed []said
	for _, path := range paths {
		closed = append(closed, fails("GET "+path))
		if path == "/route" {
			open = append(open, say("GET "+path, 200, relayed("GET", path), answerWithout("X-Half")))
		} else {
			open = append(open, say("GET "+path, 200, relayed("GET", path), target(path), answerWithout("X-Half")))
		}
	}
	for _, path := range limits {
		closed = append(closed, say("GET "+path, 500, "*", answerLine("X-Gateway-Error: script_limit"), unsent{}))
		open = append(open, say("GET "+path, 200, relayed("GET", path)))
	}
	for i := range closed {
		closed[i].checks = append(closed[i].checks, hidden...)
	}
	closed = append(closed, say("GET /late", 500, "*", append(hidden, answerLine("X-Gateway-Error: script_error"), target("/late"))...),
		say("POST /early\n\nhello", 500, "*", unsent{}), say("GET /fine", 200, relayed("GET", "/fine")))
	open = append(open, say("GET /late", 500, "*", target("/late")), say("POST /early\n\nhello", 200, "*", body("hello")), say("GET /fine", 200, relayed("GET", "/fine")))
	exposed = append(exposed, say("GET /early", 500, "*", bodyHas("s3cret", ".lua:2")), say("GET /index", 500, "*", bodyHas(".lua:7", "index")), say("GET /late", 500, "*", bodyHas("s3cret")))
	runLuaCases(t, []luaCase{
		{name: "fail closed", script: failing, tenant: "lua: {" + bounded + "}", talk: closed},
		{name: "on_error continue", script: failing, tenant: "lua: {on_error: continue, " + bounded + "}", talk: open},
		{name: "on_error continue with a body read", tenant: "lua: {on_error: continue}",
			script: `chi_middleware(function(request, response, next) local body = request.body error("after " .. #body) end)`,
			talk: []said{
				say("POST /a\n\nhello", 200, "*", body("hello")), say("POST /b\nTransfer-Encoding: chunked\n\n5\r\nhello\r\n0\r\n\r\n", 200, "*", body("hello")),
			}},
		{name: "on_error continue without services", alone: true, tenant: "lua: {on_error: continue}",
			script: `chi_middleware(function() error("boom") end)`, talk: []said{say("GET /", 500, "*", answerLine("X-Gateway-Error: script_error"))}},
		{name: "expose_errors", script: failing, tenant: "lua: {expose_errors: true}", talk: exposed},
		{name: "strict_globals", tenant: "lua: {strict_globals: true}", alone: true,
			script: `
				counter = 0
				chi.get("/read", function(request, response) response:write(tostring(counter)) end)
				chi.get("/write", function(request, response) counter = counter + 1 end)
				chi.get("/new", function(request, response) fresh = 1 end)
				chi.get("/g", function(request, response) _G.fresh = 1 end)
				chi.get("/raw", function(request, response) rawset(_G, "fresh", 1) end)
				chi.get("/local", function(request, response) local t = {} t.x = 1 response:write(t.x) end)`,
			talk: []said{
				say("GET /read", 200, "0"), fails("GET /write"), fails("GET /new"), fails("GET /g"), fails("GET /raw"),
				say("GET /read", 200, "0"), say("GET /local", 200, "1"),
			}},
		{name: "globals without strict_globals", alone: true,
			script: `chi.get("/", function(request, response) counter = (counter or 0) + 1 response:write(counter >= 1 and "ok" or "no") end)`,
			talk:   []said{say("GET /", 200, "ok"), say("GET /", 200, "ok")}},
		{name: "the sandbox has only what is allowed", alone: true,
			script: `
				local missing = {}
				for _, name in ipairs{"io", "debug", "loadfile", "dofile", "collectgarbage", "channel", "module", "newproxy"} do
					if _G[name] ~= nil then missing[#missing + 1] = name end
				end
				for _, name in ipairs{"execute", "exit", "getenv", "remove", "rename", "tmpname", "setlocale"} do
					if os and os[name] ~= nil then missing[#missing + 1] = "os." .. name end
				end
				if string.dump then missing[#missing + 1] = "string.dump" end
				chi.get("/", function(request, response) response:write(table.concat(missing, " "), "|", type(os.time()), type(os.date("%Y")), type(os.clock())) end)
				chi.get("/freeze", function(request, response)
					local function try(f) response:write(tostring((pcall(f)))," ") end
					try(function() string.rep = nil end) try(function() ("").x = 1 end) try(function() getmetatable("").__index = nil end)
					try(function() table.insert = print end) try(function() math.pi = 3 end) try(function() chi.get = nil end)
					try(function() rawset(string, "rep", nil) end) try(function() json.encode = nil end)
					response:write(("x"):rep(2))
				end)`,
			talk: []said{say("GET /", 200, "|numberstringnumber"), say("GET /freeze", 200, "false false false false false false false false xx")}},
	})
}

// TestLuaTenantsApart checks that tenants share nothing that scripts can reach.
func TestLuaTenantsApart(t *testing.T) {
	const script = `
		stain = stain or request_count
		chi.get("/stain", function(request, response)
			stain = "from " .. request.tenant
			pcall(function() string.stain = stain end) pcall(function() rawset(_G, "stain2", stain) end)
			pcall(function() getmetatable("").stain = stain end) pcall(function() getmetatable("").__index.stain = stain end)
			pcall(function() chi.stain = stain end) pcall(function() require("keystone.json").stain = stain end)
			shared.set("stain", stain)
			request:set("stain", stain)
		end)
		chi.get("/look", function(request, response)
			local seen = {tostring(stain), tostring(rawget(_G, "stain2")), tostring(string.stain), tostring(("").stain), tostring(chi.stain),
				tostring(require("keystone.json").stain), tostring(shared.get("stain")), tostring(request:get("stain"))}
			response:write(table.concat(seen, " "))
		end)`
	cases := []luaCase{{script: script, alone: true}, {script: script, alone: true}}
	g, mocks := startLuaCases(t, cases)
	client := dial(t, g.address)
	for range 20 {
		client.send(t, (&said{send: "GET /stain"}).raw(mocks[0].host()))
		client.answer(t, "GET")
		client.send(t, (&said{send: "GET /look"}).raw(mocks[1].host()))
		if answer := client.answer(t, "GET"); answer.status != 200 || string(answer.body) != strings.TrimSpace(strings.Repeat("nil ", 8)) {
			t.Fatalf("the other tenant sees %d %q", answer.status, answer.body)
		}
	}
}

// TestLuaQuarantine exhausts a script until it is refused, and releases it.
func TestLuaQuarantine(t *testing.T) {
	directory := t.TempDir()
	write := func(name, script string) {
		if err := os.WriteFile(filepath.Join(directory, name), []byte(script), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	const rest = `chi.get("/fine", function(request, response) response:write("fine") end)
		chi.get("/error", function(request, response) error("x") end)`
	const loop = `chi.get("/loop", function(request, response) while true do end end)` + "\n" + rest
	write("a.lua", loop)
	write("b.lua", rest)
	write("half.lua", `chi.get("/other", function(request, response) response:write("other") end)`)
	g := startGateway(t, `
lua_routing: {enabled: true, scripts_dir: `+directory+`}
tenants:
  - {name: a, domains: [a.example], lua_routes: [a.lua, half.lua], lua: {quarantine_after: 3, max_instructions: 100000, `+patientLua+`}}
  - {name: c, domains: [c.example], lua_routes: [a.lua], lua: {quarantine_after: 3, max_instructions: 100000, `+patientLua+`}}
  - {name: b, domains: [b.example], lua_routes: [b.lua], lua: {`+patientLua+`}}
`)
	ask := func(host, path string) *response {
		client := dial(t, g.address)
		defer client.close()
		client.send(t, (&said{send: "GET " + path}).raw(host))
		return client.answer(t, "GET")
	}
	expect := func(when, host, path string, status int, code string) {
		t.Helper()
		if answer := ask(host, path); answer.status != status || strings.Join(answer.values("X-Gateway-Error"), "") != code {
			t.Errorf("%s: %s%s got %d %q, want %d %q", when, host, path, answer.status, answer.values("X-Gateway-Error"), status, code)
		}
	}
	for range 5 {
		expect("errors aren't for want of anything", "a.example", "/error", 500, "script_error")
	}
	for range 8 {
		expect("most runs are fine", "c.example", "/fine", 200, "")
	}
	for range 4 {
		expect("not the most", "c.example", "/loop", 500, "script_limit")
	}
	expect("a row of failures among many that aren't", "c.example", "/fine", 200, "")
	exhaust := func() {
		t.Helper()
		for range 3 {
			expect("before", "a.example", "/loop", 500, "script_limit")
		}
	}
	// The first quarantine is of a second, which may be too short to look at all
	// of it; the next ones are longer.
	eventually(t, 2*patience, "a quarantine that lasts", func() bool {
		exhaust()
		loop, other, others, shown := ask("a.example", "/loop"), ask("a.example", "/other"), ask("b.example", "/fine"), adminText(t, g, "/tenants")
		fine := ask("a.example", "/fine")
		if fine.status == 200 {
			return false
		}
		for path, answer := range map[string]*response{"/loop": loop, "/fine": fine} {
			if answer.status != 503 || strings.Join(answer.values("X-Gateway-Error"), "") != "script_quarantined" {
				t.Errorf("in quarantine: %s got %d %q", path, answer.status, answer.values("X-Gateway-Error"))
			}
		}
		if other.status != 200 || others.status != 200 {
			t.Errorf("another script of the tenant got %d, another tenant %d, want 200", other.status, others.status)
		}
		if !strings.Contains(shown, "quarantined_until") {
			t.Error("the admin API doesn't show the quarantine")
		}
		return true
	})
	eventually(t, 2*patience, "the quarantine ends", func() bool { return ask("a.example", "/fine").status == 200 })
	eventually(t, 2*patience, "another quarantine", func() bool {
		exhaust()
		return ask("a.example", "/fine").status == 503
	})
	write("a.lua", loop+"\n-- mended")
	if err := g.command.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	eventually(t, patience, "a reload releases it", func() bool { return ask("a.example", "/fine").status == 200 })
}

// TestLuaClientsCantQuarantine has clients, not a script, use up what requests
// may have: other clients of the tenant mustn't pay for it.
//
// TestLuaClientsCantQuarantine: what slow clients use up is no fault of the script.
func TestLuaClientsCantQuarantine(t *testing.T) {
	const script = `
		chi.post("/read", function(request, response) response:write(#request.body) end)
		chi_middleware("/wait", function(request, response, next) local body = request.body next() end)
		local time = require("keystone.time")
		chi.get("/sse", function(request, response) while true do response:write("data:\n\n") response:flush() time.sleep(0.02) end end)
		chi.get("/fine", function(request, response) response:write("fine") end)`
	gate := make(chan struct{})
	waiting := func(r *request) reply { return reply{step: gate, parts: []string{"", okTo(r)}} }
	const short = "lua: {total_timeout: 3s, timeout: 3s, quarantine_after: 3}"
	cases := []luaCase{
		{name: "stalled bodies", tenant: short},
		{name: "streams that reach their end at once", tenant: short},
		{name: "many bodies at once", tenant: "lua: {max_vm_memory: 1MiB, quarantine_after: 3}", pool: waiting},
	}
	for i := range cases {
		cases[i].script = script
	}
	sent := []string{"POST /read\nContent-Length: 10\n\nhalf", "GET /sse", "POST /wait\n\n" + strings.Repeat("x", 300<<10)}
	g, mocks := startLuaCases(t, cases)
	t.Cleanup(func() { close(gate) })
	for i, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			const many = 24 // more bodies than fit into the VMs of a few processors
			raw := (&said{send: sent[i]}).raw(mocks[i].host())
			var ended atomic.Int64
			for range many {
				client := dial(t, g.address)
				client.write([]string{raw}, false)
				go func() {
					_, _ = readResponse(client.reader, "GET")
					ended.Add(1)
				}()
			}
			eventually(t, patience, "all have ended or wait at the upstream", func() bool {
				return len(mocks[i].seen())+int(ended.Load()) >= many
			})
			fine := dial(t, g.address)
			fine.send(t, (&said{send: "GET /fine"}).raw(mocks[i].host()))
			if answer := fine.answer(t, "GET"); answer.status != 200 {
				t.Errorf("another client got %d %q", answer.status, answer.values("X-Gateway-Error"))
			}
		})
	}
}

// adminText returns what the admin API answers.
func adminText(t *testing.T, g *gateway, path string) string {
	t.Helper()
	answer, err := http.Get("http://" + g.admin + "/admin" + path) // #nosec G107 -- the gateway of this test
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = answer.Body.Close() }()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// TestLuaErrorsShown checks that a failure is in the log and in the admin
// API's last errors with script, line, stack and the id the client was told.
func TestLuaErrorsShown(t *testing.T) {
	g, mocks := startLuaCases(t, []luaCase{{script: "local function inner() error('the cause') end\nchi.get('/x', function() inner() end)"}})
	client := dial(t, g.address)
	client.send(t, (&said{send: "GET /x"}).raw(mocks[0].host()))
	answer := client.answer(t, "GET")
	id := strings.Join(answer.values("X-Request-Id"), "")
	if !strings.Contains(string(answer.body), id) || id == "" {
		t.Errorf("the answer %q doesn't name the request's id %q", answer.body, id)
	}
	eventually(t, patience, "the failure is logged", func() bool {
		for line := range strings.Lines(g.output.String()) {
			var entry map[string]any
			if json.Unmarshal([]byte(line), &entry) == nil && entry["request_id"] == id && entry["level"] == "error" {
				for key, want := range map[string]string{"error": "c000.lua:1: the cause", "stack": "c000.lua:2", "tenant": "c000", "script": "c000.lua"} {
					if text, _ := entry[key].(string); !strings.Contains(text, want) {
						t.Errorf("the log's %s is %q, want %q in it", key, text, want)
					}
				}
				return true
			}
		}
		return false
	})
	shown := adminText(t, g, "/tenants")
	for _, want := range []string{id, "c000.lua:1: the cause", "last_errors"} {
		if !strings.Contains(shown, want) {
			t.Errorf("the admin API lacks %q: %.2000s", want, shown)
		}
	}
}
