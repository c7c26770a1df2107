package proxy_test

import (
	"crypto/sha256"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/keystone-gateway/keystone-gateway/tenants/policy"
)

// asking is a script that asks a policy about each request.
func asking(kind, config string) string {
	return fmt.Sprintf("local p = require('keystone.policy').new(%q, %s)\nchi_middleware(function(request, response, next)\n"+
		"  if p:judge(request, response) then next() end\nend)\n", kind, config)
}

// TestScriptsAskPolicies: each policy that scripts may have does what it does in a
// configuration: it refuses, with its code, and lets pass, with what it adds.
func TestScriptsAskPolicies(t *testing.T) {
	t.Parallel()
	up := echoing(t, "")
	const key = "0123456789abcdef0123456789abcdef"
	for _, c := range []struct {
		kind, config string
		refused      string // fields of the request
		answer       string
		passed       string // likewise
		seen         string // of what the target got
	}{
		{"ip", "{deny = '127.0.0.0/8'}", "", "403 ip_denied", "none", ""},
		{"user_agent", "{deny = {'bad*'}}", "User-Agent: bad1\r\n", "403 user_agent_denied", "User-Agent: good\r\n", ""},
		{"referer", "{allow = {'example.org'}}", "Referer: https://evil.example/\r\n", "403 referer_denied", "Referer: https://example.org/\r\n", ""},
		{"csrf", "{}", "Sec-Fetch-Site: cross-site\r\n", "403 csrf_refused", "Sec-Fetch-Site: same-origin\r\n", ""},
		{"api_key", fmt.Sprintf("{keys = 'acme sha256:%x', fields = {['X-Plan'] = 'consumer'}}", sha256.Sum256([]byte(key))), "X-API-Key: x\r\n", "401 api_key_denied", "X-API-Key: " + key + "\r\n", "X-Plan: acme"},
		{"basic_auth", "{users = {ada = '" + hashed(t, "secret", 4) + "'}}", "Authorization: Basic x\r\n", "401 basic_auth_denied", "Authorization: Basic YWRhOnNlY3JldA==\r\n", "X-Auth-User: ada"},
		{"redirect", "{https = true}", "", "308 ", "none", ""},
		{"maintenance", "{enabled = true}", "", "503 maintenance", "none", ""},
	} {
		w := newWorkshop(t, "scripts/asks.lua", asking(c.kind, c.config), "c.yaml", tenantsOf("a", "domains: [a.example.com], lua_routes: asks, lua: {timeout: 20s}, services: [{url: 'http://"+up+"'}]"))
		w.run()
		request := func(fields string) (string, string) {
			answer, body := w.speak("POST / HTTP/1.1\r\nHost: a.example.com\r\nContent-Length: 0\r\n" + fields + "\r\n")
			return fmt.Sprint(answer.StatusCode, " ", answer.Header.Get("X-Gateway-Error")), body
		}
		if got, body := request(c.refused); !strings.HasPrefix(got, c.answer) {
			t.Errorf("%s %s: %q is answered %s, want %s\n%s", c.kind, c.config, c.refused, got, c.answer, body)
		}
		if c.passed == "none" {
			continue
		}
		if got, body := request(c.passed); !strings.HasPrefix(got, "200") || !strings.Contains(body, c.seen) {
			t.Errorf("%s %s: %q is answered %s\n%s", c.kind, c.config, c.passed, got, body)
		}
	}
}

// TestAskedLimitCounts: all VMs count together, a reload doesn't begin anew, the fields
// of the limit are on responses whoever answers, and the log and the metrics name it.
func TestAskedLimitCounts(t *testing.T) {
	t.Parallel()
	up := echoing(t, "")
	script := asking("rate_limit", "{rate = '5/1h'}")
	log := filepath.Join(t.TempDir(), "access.log")
	w := newWorkshop(t, "scripts/asks.lua", script, "c.yaml", tenantsOf("a", "domains: [a.example.com], lua_routes: asks, lua: {timeout: 20s}, services: [{url: 'http://"+up+"'}]"))
	w.replace("c.yaml", "access_log: {enabled: false}", fmt.Sprintf("access_log: {output: %q, sample: 0}", log))
	w.run()
	passed := 0
	for i := range 9 {
		if i == 4 {
			w.write("scripts/asks.lua", script+"-- another text\n")
			w.server.Reload()
		}
		answer, _ := w.speak("GET / HTTP/1.1\r\nHost: a.example.com\r\n\r\n")
		if answer.Header.Get("RateLimit") == "" {
			t.Errorf("request %d: no RateLimit on %d", i, answer.StatusCode)
		}
		if answer.StatusCode == 200 {
			passed++
		}
	}
	if passed != 5 {
		t.Errorf("%d of 9 requests have passed, want 5", passed)
	}
	eventually(t, "the refusals are logged", func() bool {
		text, _ := os.ReadFile(log) // #nosec G304 -- of this test
		return strings.Count(string(text), `"answered_by":"policy","policy":"rate_limit"`) == 4 && strings.Contains(string(text), `"error":"rate_limited"`)
	})
	for view := range w.server.Tenants() {
		counted := ""
		view.Policies.Kinds(func(name string, c *policy.Counter) {
			counted += fmt.Sprint(name, c.Passed.Load(), c.Answered.Load())
		})
		if counted != "rate_limit5 4" {
			t.Errorf("counted %q", counted)
		}
	}
}

// TestAskedPolicyOwnsItsFields: what only a policy of a script may say can't be sent by
// clients, also where the script doesn't ask it; and the next policies and scripts know
// what it has found out.
func TestAskedPolicyOwnsItsFields(t *testing.T) {
	t.Parallel()
	up := echoing(t, "")
	script := `
local keys = require("keystone.policy").new("basic_auth", {users = {ada = "HASH"}})
chi_middleware(function(request, response, next)
  if request.path ~= "/open" and not keys:judge(request, response) then return end
  next()
end)`
	script = strings.Replace(script, "HASH", hashed(t, "secret", 4), 1)
	w := newWorkshop(t, "scripts/asks.lua", script, "c.yaml", tenantsOf("a", "domains: [a.example.com], lua_routes: asks, lua: {timeout: 20s}, services: [{url: 'http://"+up+"'}]"))
	w.run()
	for _, field := range []string{"X-Auth-User", "x_auth_user", "X-AUTH-USER"} {
		answer, body := w.speak("GET /open HTTP/1.1\r\nHost: a.example.com\r\n" + field + ": forged\r\n\r\n")
		if answer.StatusCode != 200 || strings.Contains(body, "forged") {
			t.Errorf("%s: %d, the target got\n%s", field, answer.StatusCode, body)
		}
	}
	if answer, _ := w.speak("GET /x HTTP/1.1\r\nHost: a.example.com\r\nAuthorization: Basic YWRhOngK\r\n\r\n"); answer.StatusCode != 401 || answer.Header.Get("WWW-Authenticate") == "" {
		t.Errorf("a wrong password: %d %v", answer.StatusCode, answer.Header)
	}
}

// TestAskedPoliciesReachNoMore: the URL that a script names opens nothing that
// lua.http denies; where that allows it, the policy does its work.
func TestAskedPoliciesReachNoMore(t *testing.T) {
	t.Parallel()
	up := echoing(t, "")
	auth := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("X-Key") != "good" {
			w.WriteHeader(http.StatusForbidden)
		}
	}))
	defer auth.Close()
	for settings, want := range map[string][2]string{
		"http: {}":                      {"503 forward_auth_unavailable", "503 forward_auth_unavailable"},
		"http: {allow: [127.0.0.0/8]}":  {"200 ", "403 forward_auth_denied"},
		"http: {allow: ['10.0.0.0/8']}": {"503 forward_auth_unavailable", "503 forward_auth_unavailable"},
	} {
		w := newWorkshop(t, "scripts/asks.lua", asking("forward_auth", "{url = '"+auth.URL+"'}"), "c.yaml", tenantsOf(
			"a", "domains: [a.example.com], lua_routes: asks, lua: {timeout: 20s, "+settings+"}, services: [{url: 'http://"+up+"'}]"))
		w.run()
		for i, key := range []string{"good", "bad"} {
			answer, _ := w.speak("GET / HTTP/1.1\r\nHost: a.example.com\r\nX-Key: " + key + "\r\n\r\n")
			got := fmt.Sprint(answer.StatusCode, " ", answer.Header.Get("X-Gateway-Error"))
			if got != want[i] {
				t.Errorf("%s, %s: got %q, want %q", settings, key, got, want[i])
			}
		}
	}
}

// TestAskedConcurrency: a place is held until the response has been sent.
func TestAskedConcurrency(t *testing.T) {
	t.Parallel()
	arrived, release := make(chan struct{}), make(chan struct{})
	up := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, _ *http.Request) {
		arrived <- struct{}{}
		<-release
	}))
	defer up.Close()
	w := newWorkshop(t, "scripts/asks.lua", asking("concurrency", "{max = 1}"), "c.yaml", tenantsOf(
		"a", "domains: [a.example.com], lua_routes: asks, lua: {timeout: 20s}, services: [{url: '"+up.URL+"'}]"))
	w.run()
	done := make(chan int, 1)
	go func() {
		answer, err := http.DefaultTransport.RoundTrip(requestTo(w.server.Addr().String(), "a.example.com"))
		if err != nil {
			done <- 0
			return
		}
		_ = answer.Body.Close()
		done <- answer.StatusCode
	}()
	<-arrived
	if answer, _ := w.speak("GET / HTTP/1.1\r\nHost: a.example.com\r\n\r\n"); answer.StatusCode != 503 || answer.Header.Get("X-Gateway-Error") != "concurrency_exceeded" {
		t.Errorf("while one is in progress: %d %v", answer.StatusCode, answer.Header)
	}
	close(release)
	if got := <-done; got != 200 {
		t.Errorf("the one in progress gets %d", got)
	}
	eventually(t, "the place is free", func() bool {
		go func() {
			select {
			case <-arrived:
			case <-t.Context().Done():
			}
		}()
		answer, _ := w.speak("GET / HTTP/1.1\r\nHost: a.example.com\r\n\r\n")
		return answer.StatusCode == 200
	})
}

func requestTo(address, host string) *http.Request {
	r, err := http.NewRequest(http.MethodGet, "http://"+address+"/", nil)
	if err != nil {
		panic(err)
	}
	r.Host, r.Close = host, true
	return r
}

// TestAskedWrongly: what scripts may not ask for is an error of their load, with the
// words of the configuration, or of the request.
func TestAskedWrongly(t *testing.T) {
	t.Parallel()
	for call, want := range map[string]string{
		`policy.new("cors", {})`:                                    "policy cors is for the configuration only",
		`policy.new("errors")`:                                      "policy errors is for the configuration only",
		`policy.new("rate_limt", {})`:                               `did you mean "rate_limit"?`,
		`policy.new("rate_limit", {rat = "1/s"})`:                   "rat",
		`policy.new("rate_limit", {rate = "x"})`:                    "rate",
		`policy.new("rate_limit")`:                                  "rate",
		`policy.new("rate_limit", 5)`:                               "table expected",
		`policy.new("ip", {allow = {"10.0.0.0/33"}})`:               "10.0.0.0/33",
		`policy.new("ip", {allow_file = "/etc/passwd"})`:            "scripts can't reach files",
		`policy.new("basic_auth", {users_file = "/etc/passwd"})`:    "scripts can't reach files",
		`policy.new("maintenance", {file = "/etc/passwd"})`:         "scripts can't reach files",
		`policy.new("jwt", {secret = "${file:/etc/passwd}"})`:       "file",
		`policy.new("ip", {deny = {print}})`:                        "cannot encode a function",
		`policy.new("ip", {deny = ("1"):rep(70000)})`:               "too long",
		`for i = 1, 65 do policy.new("csrf") end`:                   "too many policies",
		`policy.new(("x"):rep(1e6))`:                                "there is no policy",
		`policy.new("csrf").judge("x")`:                             "policy expected",
		`policy.new("csrf"):judge()`:                                "there is no request for a policy to be asked about",
		`policy.new("rate_limit", {rate = "1/s", store = "redis"})`: "there is none",
	} {
		w := newWorkshop(t, "scripts/asks.lua", "local policy = require('keystone.policy')\n"+call+"\n", "c.yaml", tenantsOf(
			"a", "domains: [a.example.com], lua_routes: asks", "b", "domains: [b.example.com], services: [{url: 'http://127.0.0.1:1'}]"))
		w.run()
		told := ""
		for view := range w.server.Tenants() {
			if view.Problem != nil {
				told += strings.Join(view.Problem.Errors, "\n")
			}
		}
		if !strings.Contains(told, "asks.lua:2: ") || !strings.Contains(told, want) || strings.Contains(told, "root:") {
			t.Errorf("%s\ngives    %.600s\nexpected %s", call, told, want)
		}
	}
}

// TestAskedTooLate: what makes no sense while a request runs is an error.
func TestAskedTooLate(t *testing.T) {
	t.Parallel()
	up := echoing(t, "")
	for code, want := range map[string]string{
		`require("keystone.policy").new("csrf")`:           "can only be called while the script is loaded",
		`p:judge(request)`:                                 "userdata expected",
		`p:judge("a", "b")`:                                "userdata expected",
		`for i = 1, 101 do p:judge(request, response) end`: "more than 100 policies",
		`next() p:judge(request, response)`:                "after next had sent the request on",
		`p:judge(request, response)`:                       "nil",
	} {
		w := newWorkshop(t, "scripts/asks.lua", "local p = require('keystone.policy').new('csrf')\nchi_middleware(function(request, response, next)\n"+
			"  local ok, why = pcall(function() "+code+" end)\n  response:header('X-Why', tostring(why))\nend)", "c.yaml",
			tenantsOf("a", "domains: [a.example.com], lua_routes: asks, lua: {timeout: 20s}, services: [{url: 'http://"+up+"'}]"))
		w.run()
		if answer, _ := w.speak("GET / HTTP/1.1\r\nHost: a.example.com\r\n\r\n"); !strings.Contains(answer.Header.Get("X-Why"), want) {
			t.Errorf("%s\ngives    %v\nexpected %s", code, answer.Header, want)
		}
	}
}

// TestAskedPolicyAllocates0: a policy that a script asks and that lets pass costs no
// memory.
func TestAskedPolicyAllocates0(t *testing.T) {
	dir := t.TempDir()
	for name, made := range map[string]string{
		"limit": "'rate_limit', {rate = '1000000/s', burst = 1000000000}", "places": "'concurrency', {max = 100}", "list": "'ip', {deny = '10.0.0.0/8'}",
	} {
		text := "local p = require('keystone.policy').new(" + made + ")\n" +
			"chi_route('GET', '/', function(_, response) if p:judge() then response:write('hello') end end)"
		if err := os.WriteFile(filepath.Join(dir, name+".lua"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	server := start(t, "access_log: {enabled: false}\nlua_routing: {enabled: true, scripts_dir: \""+dir+"\"}\ntenants:\n"+
		"  - {name: limit, domains: [limit.example.com], lua_routes: limit, lua: {timeout: 20s}}\n"+
		"  - {name: places, domains: [places.example.com], lua_routes: places, lua: {timeout: 20s}}\n"+
		"  - {name: list, domains: [list.example.com], lua_routes: list, lua: {timeout: 20s}}\n")
	for _, name := range []string{"limit", "places", "list"} {
		if n := allocationsOf(t, server, "GET / HTTP/1.1\r\nHost: "+name+".example.com\r\n\r\n"); n > 0 {
			t.Errorf("%s: %d allocations in %d requests at best, want 0", name, n, window)
		}
	}
}
