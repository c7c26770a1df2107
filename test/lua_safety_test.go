package test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// attack is a way to hurt others: what a tenant's script does in every request.
type attack struct {
	name string
	// top stands at the top of the script, body in its route's handler, where q
	// is the request and r the response.
	top, body string
	// ends are the statuses that the requests may end with; 0 is any.
	ends int
}

// attacks are the promised ones: those of the issue, all within what the
// defaults allow a script.
func attacks() []attack {
	return []attack{
		{name: "endless loop", body: `while true do end`},
		{name: "endless loop in pcall", body: `while true do pcall(function() while true do end end) end`},
		{name: "pcall swallows", body: `local function f() pcall(f) pcall(f) end while true do pcall(f) end`},
		{name: "string doubling", body: `local s = "x" while true do s = s .. s end`},
		{name: "string doubling kept", body: `local t, s = {}, "x" while true do s = s .. s t[#t + 1] = s .. "y" end`},
		{name: "numeric keys", body: `local t, i = {}, 0 while true do i = i + 1 t[i] = i end`},
		{name: "sparse keys", body: `local t, i = {}, 1 while true do i = i + 1 t[i * 7919 % 1e9] = i end`},
		{name: "string keys", body: `local t, i = {}, 0 while true do i = i + 1 t["k" .. i] = i end`},
		{name: "constant keys", body: `local l = {} while true do local t = {a = 1, b = 2} t.c = 3 t.next = l l = t end`},
		{name: "table keys", body: `local t = {} while true do t[{}] = {} end`},
		{name: "huge index", body: `local t, i = {}, 2^26 t[i] = 1 t[i - 1] = 1 t[2^53] = 1 r:write(#t)`, ends: 200},
		{name: "concat", body: `local t = {} for i = 1, 1000 do t[i] = ("x"):rep(60000) end while true do t[1] = table.concat(t, t[1]) end`},
		{name: "rep", body: `local t = {} while true do t[#t + 1] = ("x"):rep(2^24) end`},
		{name: "rep huge", body: `return ("x"):rep(2^40)`},
		{name: "gsub", body: `local s = ("x"):rep(1e5) while true do s = s:gsub("x", "%0%0%0%0") end`},
		{name: "gsub function", body: `local s = ("x"):rep(1e6) while true do s:gsub("x", function() return s end) end`},
		{name: "pattern", body: `while true do ("a"):rep(50000):find((".-"):rep(20) .. "b") end`},
		{name: "pattern with captures", body: `while true do ("a"):rep(30000):match(("(a*)"):rep(10) .. "b") end`},
		{name: "regexp", body: `while true do require("keystone.re").test(("a"):rep(20000), ("(a?)"):rep(40) .. ("a{0,20}"):rep(20) .. "b") end`},
		{name: "regexp compiled", body: `local i = 0 while true do i = i + 1 pcall(require("keystone.re").compile, "(a{1,90}){1,90}" .. i) end`},
		{name: "recursion", body: `local function f(x) return 1 + f(x) end f(1)`},
		{name: "recursion, caught", body: `local function f(x) return 1 + f(x) end while true do pcall(f, 1) end`},
		{name: "recursion, metamethods", body: `local t = setmetatable({}, {}) getmetatable(t).__index = function(t, k) return t[k .. "x"] end return t.x`},
		{name: "recursion, pcall", body: `local function f() return pcall(f) or f() end f()`},
		{name: "recursion, sort", body: `local function f() table.sort({3, 2, 1}, function(a, b) f() return a < b end) end while true do pcall(f) end`},
		{name: "recursion, tostring", body: `local t = setmetatable({}, {__tostring = function(t) return tostring(t) end}) while true do pcall(tostring, t) end`},
		{name: "recursion, coroutines", body: `local function f() return coroutine.wrap(f)() end while true do pcall(f) end`},
		{name: "recursion, gsub", body: `local function f() return (("x"):gsub("x", f)) end while true do pcall(f) end`},
		{name: "coroutines", body: `local t = {} for i = 1, 10000 do t[i] = coroutine.wrap(function() coroutine.yield(t) end) t[i]() end`},
		{name: "coroutines, caught", body: `local t = {} while true do pcall(function() t[#t + 1] = coroutine.wrap(function() coroutine.yield() end) t[#t]() end) end`},
		{name: "json.encode", body: `local t = {} for i = 1, 1000 do t = {t, t} end json.encode(t)`},
		{name: "json.encode shared", body: `local t = {("x"):rep(1000)} for i = 1, 30 do t = {t, t} end json.encode(t)`},
		{name: "json.decode", body: `local s = ("["):rep(1e6) while true do json.decode(s) json.decode("[" .. ("{},"):rep(1e6) .. "1]") end`},
		{name: "log", body: `for i = 1, 1e7 do print(("x"):rep(4000)) log.info("x", {a = i}) end`},
		{name: "errors", body: `error({("x"):rep(1000)})`},
		{name: "errors with messages", body: `error(("x"):rep(100000))`},
		{name: "globals that grow", top: `hoard = {}`, body: `for i = 1, 5000 do hoard[#hoard + 1] = i .. "x" end r:write("x")`, ends: 200},
		{name: "closures", body: `local f while true do local g = f f = function() return g end end`},
		{name: "unpack", body: `local t = {} for i = 1, 7999 do t[i] = i end while true do local u = {unpack(t)} select("#", unpack(t)) end`},
		{name: "varargs", body: `local function f(...) return f(1, ...) end f()`},
		{name: "shared", body: `local i = 0 while true do i = i + 1 shared.set("k" .. i, ("x"):rep(1000)) end`},
		{name: "response", body: `while true do r:write(("x"):rep(1e6)) end`},
		{name: "format", body: `local s = ("%99s"):rep(1000) while true do string.format(s, unpack({}, 1, 1000)) end`},
	}
}

// script is the attacker's.
func (a *attack) script() string {
	return a.top + "\nchi_route(\"GET\", \"/attack\", function(q, r)\n" + a.body + "\nend)\n" +
		"chi_route(\"GET\", \"/fine\", function(q, r) r:write(\"fine\") end)\n"
}

// victim is the script of tenant b, as most are.
const victim = `
chi_middleware(function(request, response, next)
	if request:header("X-Api-Key") == nil then request:set_header("X-Anon", "1") end
	request:set_header("X-Tenant", "b")
	next()
	response:header("X-Gateway", "keystone")
end)
chi_route("GET", "/users/{id}", function(request, response) response:write("user " .. request:param("id")) end)`

// maxHeap is what the gateway may have in its heap whatever a script does, in
// bytes. The attacker has the defaults: lua.max_vm_memory is 96 MiB.
const maxHeap = 256 << 20

// duel is a gateway with the tenants a and b, the attacker and the victim.
type duel struct {
	*gateway
	client *http.Client
}

// startDuel starts a gateway; a's scripts have the paths of the attacks'
// indexes. settings is the attacker's section lua.
func startDuel(t *testing.T, settings string, list ...attack) *duel {
	t.Helper()
	directory := t.TempDir()
	write := func(name, script string) {
		if err := os.WriteFile(filepath.Join(directory, name), []byte(script), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("b.lua", victim)
	var names []string
	for i := range list {
		name := fmt.Sprintf("a%d.lua", i)
		names = append(names, name)
		write(name, strings.ReplaceAll(list[i].script(), `"/`, fmt.Sprintf(`"/%d/`, i)))
	}
	pool := startMock(t, "pool", nil)
	g := startGateway(t, fmt.Sprintf("lua_routing: {enabled: true, scripts_dir: %q}\ntenants:\n"+
		"  - {name: a, domains: [a.example], lua_routes: [%s], lua: {%s}}\n"+
		"  - {name: b, domains: [b.example], lua_routes: [b.lua], lua: {%s}, services: [{name: main, url: \"http://%s\"}]}\n",
		directory, strings.Join(names, ", "), settings, patientLua, pool.address))
	limit := patience
	if raceEnabled { // one match of a pattern can't be interrupted, and takes ten times as long
		limit *= 4
	}
	d := &duel{gateway: g, client: &http.Client{Timeout: limit, Transport: &http.Transport{
		MaxIdleConnsPerHost: 1000, DisableCompression: true,
	}}}
	t.Cleanup(d.client.CloseIdleConnections)
	return d
}

// ask sends one request; status 0 is none.
func (d *duel) ask(host, path string) (status int, body string, err error) {
	request, err := http.NewRequestWithContext(context.Background(), http.MethodGet, "http://"+d.address+path, nil)
	if err != nil {
		return 0, "", err
	}
	request.Host = host
	response, err := d.client.Do(request)
	if err != nil {
		return 0, "", err
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	return response.StatusCode, string(text), err
}

// askVictim asks tenant b, in turn for its route and for its pool.
func (d *duel) askVictim(n int) error {
	path, want := fmt.Sprintf("/users/%d", n), fmt.Sprintf("user %d", n)
	if n%2 == 0 {
		path, want = fmt.Sprintf("/pool/%d", n), relayed("GET", fmt.Sprintf("/pool/%d", n))
	}
	status, body, err := d.ask("b.example", path)
	if err != nil || status != 200 || body != want {
		return fmt.Errorf("GET %s of the victim: status %d, body %.100q, %w", path, status, body, err)
	}
	return nil
}

// awaitFine demands that the script of an attack serves well, if not at once: it
// has a time-out that a busy machine may use up.
func (d *duel) awaitFine(t *testing.T, i int) {
	t.Helper()
	eventually(t, patience, fmt.Sprintf("script %d is fine", i), func() bool {
		status, body, err := d.ask("a.example", fmt.Sprintf("/%d/fine", i))
		return status == 200 && body == "fine" && err == nil
	})
}

// awaitGoroutines demands that the gateway has about as many goroutines again: a dozen
// begin when they are first needed, an attack that leaves one behind leaves many. What
// the client's connections are is known late: one is idle, and can be closed, only
// some time after its response.
func (d *duel) awaitGoroutines(t *testing.T, before int) {
	t.Helper()
	eventually(t, patience, fmt.Sprintf("about %d goroutines, as before", before), func() bool {
		d.client.CloseIdleConnections()
		return goroutines(t, d.gateway) <= before+12
	})
}

// TestLuaSafety lets one tenant's script attack in all the ways, one after the
// other, on one gateway, and watches another tenant. It times nothing; the
// promise in full is TestLuaSafetyPromise.
func TestLuaSafety(t *testing.T) {
	// Short, so that there is time for all of them; few requests fit, so that
	// the default of quarantine_after, 5, would hardly be reached.
	const quarantine, none = "timeout: 25ms, max_memory_rate: 1GiB, quarantine_after: 1", "timeout: 25ms, max_memory_rate: 1GiB, quarantine_after: 0"
	for _, settings := range []string{quarantine, none} {
		t.Run("lua: {"+settings+"}", func(t *testing.T) {
			t.Parallel()
			list := attacks()
			d := startDuel(t, settings, list...)
			w := watch(t, d)
			before := goroutines(t, d.gateway)
			v := assault{duel: d, rate: 200, host: "b.example", victim: true, most: 4} // as many as the machine can
			v.start()
			refused := 0
			for i := range list {
				a := assault{duel: d, host: "a.example", path: fmt.Sprintf("/%d/attack", i)}
				w.now(list[i].name)
				a.volley(2)
				a.volley(1) // which quarantine refuses
				a.judge(t, &list[i])
				refused += a.results["503"]
			}
			v.stop()
			v.judge(t, nil)
			w.end(t)
			if settings == quarantine && refused == 0 {
				t.Error("no request was refused: quarantine has not been tried")
			}
			for i := range list {
				if settings == quarantine {
					break // most scripts are in it
				}
				d.awaitFine(t, i)
			}
			d.awaitGoroutines(t, before)
		})
	}
}

// TestLuaSafetyPromise is the promise: while a tenant's script attacks, at 200
// requests a second, another tenant's 1,000 requests a second have no errors,
// and a p99 within twice that of a quiet gateway.
func TestLuaSafetyPromise(t *testing.T) {
	if os.Getenv("KEYSTONE_LONG") == "" {
		t.Skip("it takes minutes, and a machine of its own: KEYSTONE_LONG=1 runs it")
	}
	for _, settings := range []string{"", "quarantine_after: 0"} {
		list := attacks()
		for i := range list {
			t.Run(list[i].name+", lua: {"+settings+"}", func(t *testing.T) {
				d := startDuel(t, settings, list[i])
				before := goroutines(t, d.gateway)
				measure := func(seconds int) *assault {
					v := &assault{duel: d, rate: 1000, host: "b.example", victim: true}
					v.start()
					eventually(t, patience, "the victim is served", func() bool { return v.answered() >= seconds*v.rate })
					v.stop()
					v.judge(t, nil)
					return v
				}
				measure(1) // warm
				quiet := measure(3)
				w := watch(t, d)
				w.now(list[i].name)
				a := assault{duel: d, rate: 200, host: "a.example", path: "/0/attack"}
				a.start()
				under := measure(6)
				a.stop()
				w.end(t)
				a.judge(t, &list[i])
				t.Logf("p50 %v, p99 %v quiet; p50 %v, p99 %v attacked; heap %d MiB, RSS %d MiB at most; attacker: %s",
					quiet.quantile(0.5), quiet.quantile(0.99), under.quantile(0.5), under.quantile(0.99), w.heap>>20, w.resident>>20, a.summary())
				if p99 := under.quantile(0.99); p99 > 2*quiet.quantile(0.99) {
					t.Errorf("p99 of the victim is %v, expected at most twice the quiet %v", p99, quiet.quantile(0.99))
				}
				d.awaitGoroutines(t, before)
			})
		}
	}
}
