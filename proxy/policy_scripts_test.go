package proxy_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const seeingScript = `
chi_middleware(function(request, response, next)
  response:header("X-Seen", tostring(request:header("X-Policy")) .. " " .. tostring(request:header("X-Gone")))
  if request.path == "/undo" then request:remove_header("X-Policy") request:set_header("X-Gone", "back") end
  if request.path == "/broken" then request:remove_header("X-Policy") request:set_header("X-Gone", "back") error("no") end
  if request.path == "/response" then next() response:header("X-Answer", "script") return end
  next()
end)`

// TestScriptsSeePolicies: scripts see requests as the policies left them, and can
// change them further; a script that fails and is skipped (on_error: continue)
// leaves what the policies did. What policies do to responses comes after scripts.
func TestScriptsSeePolicies(t *testing.T) {
	t.Parallel()
	up := echoing(t, "X-Answer: target\r\n")
	w := newWorkshop(t, "scripts/seeing.lua", seeingScript, "c.yaml", tenantsOf(
		"a", "domains: [a.example.com], lua_routes: seeing, lua: {on_error: continue, timeout: 20s}, services: [{url: 'http://"+up+"'}], "+
			"policies: [{headers: {request: {set: {X-Policy: for ${client_address}}, remove: X-Gone}, response: {set: {X-Answer: policy}}}}]"))
	w.replace("c.yaml", "for ${client_address}", "'for ${client_address}'")
	w.run()
	for path, want := range map[string]string{
		"/":         "X-Policy: for 127.0.0.1",
		"/undo":     "X-Gone: back",
		"/broken":   "X-Policy: for 127.0.0.1",
		"/response": "X-Policy: for 127.0.0.1",
	} {
		answer, body := w.speak("GET " + path + " HTTP/1.1\r\nHost: a.example.com\r\nX-Policy: forged\r\nX-Gone: here\r\nX-Forwarded-Thing: forged\r\n\r\n")
		if got := strings.Join(linesOf(body, "X-Policy", "X-Gone", "X-Forwarded-Thing"), "|"); got != want {
			t.Errorf("%s: the target got %q, want %q", path, got, want)
		}
		if seen := answer.Header.Get("X-Seen"); path != "/broken" && seen != "for 127.0.0.1 nil" {
			t.Errorf("%s: the script saw %q", path, seen)
		}
		if got := strings.Join(answer.Header.Values("X-Answer"), "|"); got != "policy" {
			t.Errorf("%s: the client got %q, want what the policy says", path, got)
		}
	}
}

// TestPoliciesFate: what is wrong with a tenant's policies is its own. A generation
// that was good is served as a whole, with its policies.
func TestPoliciesFate(t *testing.T) {
	t.Parallel()
	up := echoing(t, "")
	tenant := func(name, policies string) []string {
		return []string{name, "domains: [" + name + ".example.com], policies: " + policies + ", services: [{url: 'http://" + up + "'}]"}
	}
	open, closed, broken := "[{headers: {request: {set: {X-A: '1'}}}}]", "[{ip: {deny: 127.0.0.1}}]", "[{ip: {deny: 127.0.0.1}}, {headers: {request: {set: {Connection: x}}}}]"
	w := newWorkshop(t, "scripts/none.lua", "", "c.yaml", tenantsOf(slices.Concat(tenant("a", closed), tenant("b", open), tenant("c", broken))...))
	w.run()
	check := func(states string, want ...string) {
		t.Helper()
		for i, host := range []string{"a", "b", "c"} {
			if got := w.ask(host); !strings.HasPrefix(got, want[i]) {
				t.Errorf("%s answers %q, want %q", host, got, want[i])
			}
		}
		if got := w.states(); got != states {
			t.Errorf("got %q, want %q", got, states)
		}
	}
	check("c=misconfigured", "403 ip_denied", "GET /v", "503 tenant_misconfigured")
	w.write("c.yaml", tenantsOf(slices.Concat(tenant("a", broken), tenant("b", closed), tenant("c", open))...))
	w.server.Reload()
	check("a=outdated", "403 ip_denied", "403 ip_denied", "GET /v")
	w.write("c.yaml", tenantsOf(slices.Concat(tenant("a", open), tenant("b", "[{ip: {allow: 10.0.0.0/33}}]"), tenant("c", "[]"))...))
	w.server.Reload()
	check("b=outdated", "GET /v", "403 ip_denied", "GET /v")
}

// TestPolicyIsLogged: the access log names the policy that answered, with its
// code and why.
func TestPolicyIsLogged(t *testing.T) {
	t.Parallel()
	log := filepath.Join(t.TempDir(), "access.log")
	server := start(t, fmt.Sprintf("access_log: {output: %q, sample: 0}\ntenants:\n  - {name: a, domains: [example.com], policies: [{headers: {request: {remove: X}}}, {ip: {deny: 127.0.0.0/8}}], services: [{url: 'http://127.0.0.1:1'}]}\n", log))
	if answer, body := askRaw(t, server.Addr().String(), "GET / HTTP/1.1\r\nHost: example.com\r\nAccept: application/json\r\n\r\n"); answer.StatusCode != 403 || !strings.Contains(body, `"code":"ip_denied"`) || strings.Contains(body, "127.0.0") {
		t.Errorf("got %d %s", answer.StatusCode, body)
	}
	want := `"answered_by":"policy","policy":"ip","method":"GET","host":"example.com","path":"/","status":403,`
	eventually(t, "the request is logged", func() bool {
		text, _ := os.ReadFile(log) // #nosec G304 -- of this test
		return strings.Contains(string(text), want) && strings.Contains(string(text), `"error":"ip_denied","cause":"client 127.0.0.1 is in 127.0.0.0/8 of deny"`)
	})
}

// TestCompressionAsksTheClient: what a policy says of Accept-Encoding is for
// targets. Clients get what they accept.
func TestCompressionAsksTheClient(t *testing.T) {
	t.Parallel()
	up := responding(t)
	tenant := func(name, edits string) []string {
		return []string{name, "domains: [" + name + ".example.com], policies: [{headers: {request: {" + edits + "}}}], services: [{url: 'http://" + up + "'}]"}
	}
	w := newWorkshop(t, "scripts/none.lua", "", "c.yaml", "compression: {enabled: true}\n"+tenantsOf(slices.Concat(
		tenant("a", "remove: Accept-Encoding"), tenant("b", "set: {Accept-Encoding: gzip}"))...))
	w.run()
	for _, host := range []string{"a", "b"} {
		for fields, want := range map[string]string{"Accept-Encoding: gzip\r\n": "gzip", "": ""} {
			if answer, _ := w.speak("GET /large HTTP/1.1\r\nHost: " + host + ".example.com\r\n" + fields + "\r\n"); answer.Header.Get("Content-Encoding") != want {
				t.Errorf("%s with %q: got %q, want %q", host, fields, answer.Header.Get("Content-Encoding"), want)
			}
		}
	}
}
