package test

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// attacked starts a gateway whose tenant a has one script and one upstream.
func attacked(t *testing.T, script, tenant string, upstream string) *gateway {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "a.lua"), []byte(script), 0o600); err != nil {
		t.Fatal(err)
	}
	return startGateway(t, fmt.Sprintf("server:\n  timeouts: {body_idle: 300ms}\nlua_routing: {enabled: true, scripts_dir: %q}\ntenants:\n  - name: a\n    path_prefix: /\n    lua_routes: [a.lua]\n%s    services: [{url: \"http://%s\"}]\n",
		dir, patientIn(tenant), upstream))
}

// patientIn is patient for the lines of a section.
func patientIn(tenant string) string {
	var lines strings.Builder
	for line := range strings.Lines(patient(strings.TrimSpace(tenant))) {
		lines.WriteString("    " + strings.TrimSpace(line) + "\n")
	}
	return lines.String()
}

// A body that was never completed must not show what its buffer held before.
func TestLuaSeesNoOtherRequestsBytes(t *testing.T) {
	t.Parallel()
	upstream := serveFunc(t, func(_ http.ResponseWriter, r *http.Request) { _, _ = io.Copy(io.Discard, r.Body) })
	g := attacked(t, `chi_middleware("/", function(q, r, next)
		next()
		local ok, b = pcall(function() return q.body end)
		r:set_body("BODY[" .. tostring(b) .. "]")
	end)`, "", upstream)
	secret := strings.Repeat("SECRET", 400)
	for range 20 {
		if got := talk(t, g, "POST /v HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: "+fmt.Sprint(len(secret))+"\r\n\r\n"+secret); !strings.Contains(got, "SECRET") {
			t.Fatalf("the own body isn't there: %q", got)
		}
	}
	for range 5 {
		if got := talk(t, g, "POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 3000\r\n\r\nabc"); strings.Contains(got, "SECRET") {
			t.Fatalf("another request's body: %.200q", got)
		}
	}
}

// A response of which a script has read a part, and given up, is not sent on.
func TestLuaHalfReadResponse(t *testing.T) {
	for name, length := range map[string]string{"length": "5000", "chunked": ""} {
		upstream := serveFunc(t, func(w http.ResponseWriter, _ *http.Request) {
			if length != "" {
				w.Header().Set("Content-Length", length)
			}
			for _, c := range "ABCDE" {
				_, _ = io.WriteString(w, strings.Repeat(string(c), 1000))
				w.(http.Flusher).Flush()
			}
		})
		g := attacked(t, `chi_middleware("/", function(q, r, next) next() pcall(function() return r.body end) end)`, "lua: {max_body: 2000}", upstream)
		got := talk(t, g, "GET /x HTTP/1.1\r\nHost: a\r\n\r\nGET /y HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
		whole := strings.Count(got, "AAAA") > 0 && strings.Count(got, "EEEE") > 0
		if strings.Contains(got, "EEEE") && !whole || strings.Count(got, "HTTP/1.1 ") != 2 {
			t.Errorf("%s: %.300q", name, got)
		}
	}
}

// 100 Continue can't stand within a response.
func TestLuaNoContinueWithinAResponse(t *testing.T) {
	upstream := serveFunc(t, func(http.ResponseWriter, *http.Request) {})
	g := attacked(t, `chi.post("/x", function(q, r) r:write("hello") r:flush() r:write(tostring(pcall(function() return q.body end))) end)`, "", upstream)
	got := talk(t, g, "POST /x HTTP/1.1\r\nHost: a\r\nConnection: close\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n")
	if strings.Contains(got, "100 Continue") || !strings.Contains(got, "5\r\nhello\r\n5\r\nfalse\r\n") {
		t.Errorf("%q", got)
	}
}

// Many short waits don't make the time between them free.
func TestLuaWaitsAreNoWayAroundTheTimeout(t *testing.T) {
	upstream := serveFunc(t, func(http.ResponseWriter, *http.Request) {})
	g := attacked(t, `chi.get("/x", function(q, r)
		local s, u = ("1"):rep(1e7), ("1"):rep(1e7)
		r:write("x") r:flush()
		for i = 1, 1000 do r:write("y") r:flush() local b = s == u end
		r:write("survived")
	end)`, "lua: {timeout: 100ms}", upstream)
	if got := talk(t, g, "GET /x HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"); strings.Contains(got, "survived") {
		t.Error("the script ran to its end")
	}
}

// Parameters of the route are those that were matched, whatever becomes of the
// path.
func TestLuaParametersOutliveThePath(t *testing.T) {
	upstream := serveFunc(t, func(http.ResponseWriter, *http.Request) {})
	g := attacked(t, `chi_group("/u/{id}", function()
		chi_middleware(function(q, r, next) q:set_path("/zzzzz%20zzzz") next() end)
		chi_route("GET", "/p", function(q, r) r:write("id=" .. q:param("id")) end)
	end)`, "", upstream)
	if got := talk(t, g, "GET /u/joe%20smith/p HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"); !strings.HasSuffix(got, "id=joe smith") {
		t.Errorf("%q", got)
	}
}

// What scripts may take bounds no download that they only let pass.
func TestLuaTotalTimeoutEndsWithTheScripts(t *testing.T) {
	t.Parallel()
	half, proceed := make(chan struct{}), make(chan struct{})
	upstream := serveFunc(t, func(w http.ResponseWriter, _ *http.Request) {
		for i := range 6 {
			if i == 3 {
				close(half)
				<-proceed
			}
			_, _ = io.WriteString(w, "part ")
			w.(http.Flusher).Flush()
		}
	})
	g := attacked(t, `local time = require("keystone.time")
	chi_middleware("/", function(q, r, next) next() end)
	chi_route("GET", "/sleep", function() time.sleep(60) end)`, "lua: {total_timeout: 3s, timeout: 3s}", upstream)
	client := dial(t, g.address)
	client.send(t, "GET /x HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
	await(t, "half of the download has been sent", half)
	if got := talk(t, g, "GET /sleep HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"); !strings.HasPrefix(got, "HTTP/1.1 5") {
		t.Errorf("a script that sleeps gets %q", got) // at total_timeout
	}
	close(proceed)
	if got, err := io.ReadAll(client); strings.Count(string(got), "part ") != 6 {
		t.Errorf("%q, %v", got, err)
	}
}

// What guards a path's routes guards its other methods on their way to the pool.
func TestLuaGuardsOtherMethods(t *testing.T) {
	upstream := serveFunc(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "the pool") })
	g := attacked(t, `chi_group(function()
		chi_middleware(function(q, r, next) r:status(403) r:write("guarded") end)
		chi_route("GET", "/adm", function(q, r) r:write("route") end)
	end)`, "", upstream)
	for _, method := range []string{"GET", "POST", "OPTIONS", "PROPFIND"} {
		if got := talk(t, g, method+" /adm HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"); !strings.HasSuffix(got, "guarded") {
			t.Errorf("%s: %q", method, got)
		}
	}
}
