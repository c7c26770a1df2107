package proxy_test

import (
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// keyLine is a line of a file of keys.
func keyLine(id, key, known string) string {
	return fmt.Sprintf("%s sha256:%x %s", id, sha256.Sum256([]byte(key)), known)
}

// TestAPIKey: who has a key passes as its consumer, with what is known of it, and the
// key doesn't go on.
func TestAPIKey(t *testing.T) {
	t.Parallel()
	up, log := echoing(t, ""), filepath.Join(t.TempDir(), "access.log")
	keys := "keys: ['" + keyLine("acme-1", "k-acme+/=", "consumer=acme plan=gold") + "', '" + keyLine("solo", "k-solo", "") + "']"
	fields := ", fields: {X-Consumer: consumer, X-Plan: plan, X-Key: id}"
	server := start(t, "access_log: {output: '"+log+"'}\n"+tenantsOf(
		"a", "domains: [a.example.com], policies: [{api_key: {"+keys+fields+", query: key, cookie: key}}], services: [{url: 'http://"+up+"'}]",
		"b", "domains: [b.example.com], policies: [{api_key: {"+keys+fields+", header: Authorization, query: key, cookie: key, pass_key: true}}], services: [{url: 'http://"+up+"'}]"))
	for _, c := range []struct {
		host, target, fields string
		want                 string // what the target gets: its line, and these fields; "" is refused
	}{
		{"a", "/p?q=1", "X-API-Key: k-acme+/=\r\n", "GET /p?q=1 HTTP/1.1|X-Consumer: acme|X-Key: acme-1|X-Plan: gold"},
		{"a", "/", "x-api-key: k-solo\r\nX-Plan: gold\r\nx_plan: gold\r\nX-Consumer: acme\r\nX_KEY: 1\r\nConnection: X-Consumer\r\n", "GET / HTTP/1.1|X-Consumer: solo|X-Key: solo"},
		{"a", "/p?a=1&key=k-solo&b=2", "", "GET /p?a=1&b=2 HTTP/1.1|X-Consumer: solo|X-Key: solo"},
		{"a", "/p?key=k-solo", "", "GET /p HTTP/1.1|X-Consumer: solo|X-Key: solo"},
		{"a", "/p?key=k-solo&", "", "GET /p? HTTP/1.1|X-Consumer: solo|X-Key: solo"},
		{"a", "/p?%6bey=k%2dacme%2B%2f%3D&&x", "", "GET /p?&x HTTP/1.1|X-Consumer: acme|X-Key: acme-1|X-Plan: gold"},
		{"a", "/p?key=k-acme+/=", "", "GET /p HTTP/1.1|X-Consumer: acme|X-Key: acme-1|X-Plan: gold"},
		{"a", "/", "Cookie: a=b; key=k-solo; c=d\r\n", "GET / HTTP/1.1|Cookie: a=b; c=d|X-Consumer: solo|X-Key: solo"},
		{"a", "/", "Cookie: key=k-solo\r\n", "GET / HTTP/1.1|X-Consumer: solo|X-Key: solo"},
		{"b", "/", "Authorization: bearer k-solo\r\n", "GET / HTTP/1.1|Authorization: bearer k-solo|X-Consumer: solo|X-Key: solo"},
		{"b", "/?key=k-solo", "Authorization: Basic YTpi\r\nCookie: a=b\r\n", "GET /?key=k-solo HTTP/1.1|Authorization: Basic YTpi|Cookie: a=b|X-Consumer: solo|X-Key: solo"},
		{"a", "/", "", ""},
		{"a", "/", "X-API-Key: k-sol\r\n", ""},
		{"a", "/", "X-API-Key: k-soloo\r\n", ""},
		{"a", "/", "X-API-Key: \r\n", ""},
		{"a", "/", "X-API-Key: " + strings.Repeat("k", 513) + "\r\n", ""},
		{"a", "/", "X-API-Key: k-solo\r\nX-API-Key: k-solo\r\n", ""},
		{"a", "/", "X-API-Key: k-solo\r\nX_API_Key: other\r\n", ""},
		{"a", "/?key=k-solo", "X-API-Key: k-solo\r\n", ""},
		{"a", "/?key=k-solo&key=k-solo", "", ""},
		{"a", "/?Key=k-solo", "", ""},
		{"a", "/?key", "", ""},
		{"a", "/", "X-API-Key: k-solo\r\nConnection: X-API-Key\r\n", ""},
		{"a", "/", "X-Consumer: acme\r\n", ""},
		{"b", "/", "Authorization: k-solo\r\n", ""},
		{"b", "/", "Authorization: Basic k-solo\r\n", ""},
		{"b", "/", "X-API-Key: k-solo\r\n", ""},
	} {
		answer, body := askRaw(t, server.Addr().String(), "GET "+c.target+" HTTP/1.1\r\nHost: "+c.host+".example.com\r\n"+c.fields+"\r\n")
		if c.want == "" {
			want := map[string]string{"a": "ApiKey", "b": "Bearer"}[c.host]
			if answer.StatusCode != 401 || answer.Header.Get("X-Gateway-Error") != "api_key_denied" || answer.Header.Get("WWW-Authenticate") != want {
				t.Errorf("%s %s, %q: got %d %v, want 401", c.host, c.target, c.fields, answer.StatusCode, answer.Header)
			}
			continue
		}
		line, _, _ := strings.Cut(body, "\r\n")
		got := append([]string{line}, linesOf(body, "Authorization", "Cookie", "X-Consumer", "X-Plan", "x_plan", "X-Key", "X_KEY", "X-API-Key", "x-api-key")...)
		if strings.Join(got, "|") != c.want || answer.StatusCode != 200 {
			t.Errorf("%s %s, %q:\ngot  %d %s\nwant %s", c.host, c.target, c.fields, answer.StatusCode, strings.Join(got, "|"), c.want)
		}
	}
	eventually(t, "the log says who it was", func() bool {
		text, _ := os.ReadFile(log) // #nosec G304 -- of this test
		return strings.Contains(string(text), `"user":"acme"`) && strings.Contains(string(text), `"cause":"several keys were sent"`) && !strings.Contains(string(text), "k-")
	})
}

// TestAPIKeysHaveFiles: a file of keys is read again at a reload; what is wrong with it
// is told, without what may be a key.
func TestAPIKeysHaveFiles(t *testing.T) {
	t.Parallel()
	up := echoing(t, "")
	w := newWorkshop(t, "scripts/none.lua", "", "keys", "# ours\n\n"+keyLine("a", "k-a", "")+"\r\n", "c.yaml", tenantsOf(
		"a", "domains: [a.example.com], policies: [{api_key: {keys_file: keys, keys: '"+keyLine("c", "k-c", "")+"'}}], services: [{url: 'http://"+up+"'}]"))
	w.run()
	check := func(when, want string) {
		t.Helper()
		for _, key := range []string{"k-a", "k-b", "k-c"} {
			answer, _ := w.speak("GET / HTTP/1.1\r\nHost: a.example.com\r\nX-API-Key: " + key + "\r\nConnection: close\r\n\r\n")
			if got := answer.StatusCode == 200; got != strings.Contains(want, key) {
				t.Errorf("%s: %s passes: %v", when, key, got)
			}
		}
	}
	check("at the start", "k-a k-c")
	w.write("keys", keyLine("b", "k-b", "plan=a"))
	if result := w.server.Reload(); !result.OK {
		t.Errorf("got %+v", result)
	}
	check("with another", "k-b k-c")
	for content, want := range map[string]string{
		"":                                 "it has no key",
		"k-secret":                         "line 1: expected ID sha256:HASH name=value …",
		"k-1 k-secret":                     `line 1: key "k-1" has no hash`,
		"a sha256:k-secret":                `line 1: key "a" has no hash`,
		keyLine("a", "x", "plan"):          `line 1: key "a" has something else than name=value`,
		keyLine("a", "x", "plan=a plan=b"): `line 1: key "a" has plan twice`,
		keyLine("a", "x", "id=b"):          `line 1: key "a" has something else`,
		keyLine("a", "x", "") + "\n" + keyLine("a", "y", ""):         `line 2: there is another key with the id "a"`,
		"#\n" + keyLine("a", "x", "") + "\n" + keyLine("b", "x", ""): `line 3: keys "a" and "b" have the same hash`,
		keyLine("c", "x", ""):   `line 1: there is another key with the id "c"`,
		keyLine("x", "k-c", ""): `line 1: keys "c" and "x" have the same hash`,
	} {
		w.write("keys", content)
		if result := w.server.Reload(); result.OK || len(result.Errors) != 1 || !strings.Contains(result.Errors[0], `policies[0].api_key: keys_file "keys" can't be used: `+want) || strings.Contains(result.Errors[0], "secret") {
			t.Errorf("%q: got %q, want %s", content, result.Errors, want)
		}
		check("with a mistake", "k-b k-c")
	}
}

// TestIdentityInScripts: scripts are told who it was, and what else policies have found
// out.
func TestIdentityInScripts(t *testing.T) {
	t.Parallel()
	w := newWorkshop(t, "scripts/who.lua", "chi_route('GET', '/*', function(request, response)\n"+
		"response:write(tostring(request.user), ' ', tostring(request:identity('api_key.plan')), ' ', tostring(request:identity('api_key.none')), ' ', tostring(request:identity('jwt.sub')), ' ', request.query)\nend)\n",
		"c.yaml", tenantsOf(
			"a", "domains: [a.example.com], policies: [{api_key: {keys: '"+keyLine("a", "k-a", "plan=gold")+"', query: key}}], lua_routes: [who.lua], lua: {timeout: 20s}",
			"b", "domains: [b.example.com], lua_routes: [who.lua], lua: {timeout: 20s}"))
	w.run()
	for host, want := range map[string]string{"a": "a gold nil nil q=1", "b": "nil nil nil nil q=1&key=k-a"} {
		if answer, body := w.speak("GET /?q=1&key=k-a HTTP/1.1\r\nHost: " + host + ".example.com\r\nConnection: close\r\n\r\n"); answer.StatusCode != 200 || body != want {
			t.Errorf("%s: got %d %q, want %q", host, answer.StatusCode, body, want)
		}
	}
}
