package proxy_test

import (
	"encoding/base64"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"golang.org/x/crypto/bcrypt"
)

// hashed is the bcrypt of a password, of a cost.
func hashed(t testing.TB, password string, cost int) string {
	t.Helper()
	text, err := bcrypt.GenerateFromPassword([]byte(password), cost)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// basic is the field of a name and a password.
func basic(name, password string) string {
	return "Authorization: Basic " + base64.StdEncoding.EncodeToString([]byte(name+":"+password)) + "\r\n"
}

// argon is argon2id of "password", from the tests of its reference implementation.
const argon = "$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc"

// TestBasicAuth: who knows a password passes as that user, whatever else the request
// says it is, and nobody else does.
func TestBasicAuth(t *testing.T) {
	t.Parallel()
	up, log := echoing(t, ""), filepath.Join(t.TempDir(), "access.log")
	users := "users: {alice: '" + hashed(t, "secret", 4) + "', 'Böb é': '" + hashed(t, "pass:word", 4) + "', argo: '" + argon + "'}"
	server := start(t, "access_log: {output: '"+log+"'}\n"+tenantsOf(
		"a", "domains: [a.example.com], policies: [{basic_auth: {"+users+", realm: 'Our shop', failures: 1000}}], services: [{url: 'http://"+up+"'}]",
		"b", "domains: [b.example.com], policies: [{basic_auth: {"+users+", pass_credentials: true, field: X-Forwarded-User, failures: 1000}}], services: [{url: 'http://"+up+"'}]"))
	for _, c := range []struct {
		fields string
		user   string // "" is refused
	}{
		{basic("alice", "secret"), "alice"},
		{basic("alice", "secret"), "alice"}, // known by now
		{strings.Replace(basic("alice", "secret"), "Basic", "bAsIc", 1), "alice"},
		{strings.Replace(basic("alice", "secret"), "Authorization", "aUTHORIZATION", 1), "alice"},
		{basic("Böb é", "pass:word"), "Böb é"},
		{basic("argo", "password"), "argo"},
		{basic("alice", "secret") + "X-Auth-User: root\r\nx_auth_user: root\r\nX-AUTH-USER: root\r\nX-Auth_User: root\r\nX-Forwarded-User: root\r\nx_forwarded_user: root\r\nConnection: X-Auth-User, X-Forwarded-User\r\n", "alice"},
		{"", ""},
		{basic("alice", "Secret"), ""},
		{basic("alice", ""), ""},
		{basic("alice", "secret\x00"), ""},
		{basic("Alice", "secret"), ""},
		{basic("bob", "secret"), ""}, // compared with another's, perhaps
		{basic("bob", "pass:word"), ""},
		{basic("", ""), ""},
		{basic("", "secret"), ""},
		{basic("alice", "secret") + basic("alice", "secret"), ""},
		{basic("alice", "secret") + "authorization: Bearer x\r\n", ""},
		{"Connection: Authorization\r\n" + basic("alice", "secret"), ""}, // for this hop it says, and no more
		{"Authorization: Basic\r\n", ""},
		{"Authorization: Basic \r\n", ""},
		{"Authorization: Basic YWxpY2U\r\n", ""},
		{"Authorization: Basic YWxpY2U6c2VjcmV0=\r\n", ""},
		{"Authorization: Bearer YWxpY2U6c2VjcmV0\r\n", ""},
		{"Authorization: alice:secret\r\n", ""},
		{"Proxy-Authorization: Basic YWxpY2U6c2VjcmV0\r\n", ""},
		{"X-Auth-User: alice\r\n", ""},
	} {
		for _, host := range []string{"a", "b"} {
			answer, body := askRaw(t, server.Addr().String(), "GET / HTTP/1.1\r\nHost: "+host+".example.com\r\n"+c.fields+"\r\n")
			if c.user == "" {
				want := `Basic realm="` + map[string]string{"a": "Our shop", "b": "Restricted"}[host] + `", charset="UTF-8"`
				if answer.StatusCode != 401 || answer.Header.Get("X-Gateway-Error") != "basic_auth_denied" || answer.Header.Get("WWW-Authenticate") != want {
					t.Errorf("%s, %q: got %d %v, want 401 with %s", host, c.fields, answer.StatusCode, answer.Header, want)
				}
				continue
			}
			want := []string{"X-Auth-User: " + c.user}
			if host == "b" {
				want = []string{"X-Forwarded-User: " + c.user}
			}
			var got []string
			for line := range strings.SplitSeq(body, "\r\n") {
				name, _, _ := strings.Cut(strings.ReplaceAll(strings.ToLower(line), "_", "-"), ":")
				if name == "x-auth-user" && host == "a" || name == "x-forwarded-user" {
					got = append(got, line)
				}
			}
			if answer.StatusCode != 200 || fmt.Sprint(got) != fmt.Sprint(want) {
				t.Errorf("%s, %q: got %d, the target %q, want %q", host, c.fields, answer.StatusCode, got, want)
			}
			if passed := strings.Contains(strings.ToLower(body), "authorization:"); passed != (host == "b") {
				t.Errorf("%s: Authorization is passed on: %v", host, passed)
			}
		}
	}
	eventually(t, "the log says who it was, and why not", func() bool {
		text, _ := os.ReadFile(log) // #nosec G304 -- of this test
		return strings.Contains(string(text), `"user":"alice"`) && strings.Contains(string(text), `"user":"Böb é"`) &&
			strings.Contains(string(text), `"policy":"basic_auth"`) && strings.Contains(string(text), `"cause":"the password is not that of user \"alice\""`) &&
			!strings.Contains(string(text), "secret")
	})
}

// TestOwnedFieldsOfTrailers: what only a policy may say isn't taken from a trailer
// either.
func TestOwnedFieldsOfTrailers(t *testing.T) {
	t.Parallel()
	got := make(chan string, 1)
	up := target(t, func(conn net.Conn) {
		var all []byte
		buf := make([]byte, 4096)
		for !strings.HasSuffix(string(all), "\r\n0\r\nX-Kept: 1\r\n\r\n") && !strings.Contains(string(all), "root") {
			n, err := conn.Read(buf)
			if err != nil {
				break
			}
			all = append(all, buf[:n]...)
		}
		got <- string(all)
		_, _ = conn.Write([]byte("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"))
	})
	server := start(t, tenantsOf("a", "domains: [a.example.com], policies: [{basic_auth: {users: {alice: '"+hashed(t, "secret", 4)+"'}}}], services: [{url: 'http://"+up+"'}]"))
	answer, _ := askRaw(t, server.Addr().String(), "POST / HTTP/1.1\r\nHost: a.example.com\r\n"+basic("alice", "secret")+
		"Trailer: X-Auth-User, X-Kept\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\nX-Auth-User: root\r\nx_auth_user: root\r\nX-Kept: 1\r\n\r\n")
	if text := <-got; answer.StatusCode != 200 || strings.Contains(text, "root") || !strings.Contains(text, "X-Auth-User: alice") || !strings.Contains(text, "X-Kept: 1") {
		t.Errorf("got %d, and the target %q", answer.StatusCode, text)
	}
}

// TestBasicAuthLimitsFailures: a client that has failed too often is refused, but for a
// password that is known to be right; another client isn't.
func TestBasicAuthLimitsFailures(t *testing.T) {
	t.Parallel()
	up := echoing(t, "")
	w := newWorkshop(t, "scripts/none.lua", "", "c.yaml", tenantsOf(
		"a", "domains: [a.example.com], policies: [{basic_auth: {users: {alice: '"+hashed(t, "secret", 4)+"', bob: '"+hashed(t, "word", 4)+"'}, failures: 3}}], services: [{url: 'http://"+up+"'}]"))
	w.replace("c.yaml", "server: {address: '127.0.0.1:0'}", "server: {address: '127.0.0.1:0', trusted_proxies: [127.0.0.1]}")
	w.run()
	for i, c := range []struct {
		client, name, password string
		status                 int
	}{
		{"192.0.2.1", "alice", "secret", 200},
		{"192.0.2.1", "alice", "a", 401},
		{"192.0.2.1", "nobody", "b", 401},
		{"192.0.2.1", "alice", "c", 401},
		{"192.0.2.1", "alice", "d", 429},
		{"192.0.2.1", "bob", "word", 429}, // right, and not known to be
		{"192.0.2.1", "alice", "secret", 200},
		{"192.0.2.2", "bob", "word", 200},
		{"192.0.2.1", "bob", "word", 200}, // now it is
		{"2001:db8::1", "alice", "a", 401},
		{"2001:db8::ffff:1", "alice", "b", 401},
		{"2001:db8:0:0:1::1", "alice", "c", 401},
		{"2001:db8:0:0:2::1", "alice", "d", 429}, // 64 bits are one customer's
		{"2001:db8:0:1::1", "alice", "d", 401},
		{"::ffff:192.0.2.1", "alice", "d", 429},
	} {
		answer, _ := w.speak("GET / HTTP/1.1\r\nHost: a.example.com\r\nX-Forwarded-For: " + c.client + "\r\n" + basic(c.name, c.password) + "Connection: close\r\n\r\n")
		if answer.StatusCode != c.status || (answer.Header.Get("Retry-After") != "") != (c.status == 429) {
			t.Errorf("%d: %+v: got %d %v", i, c, answer.StatusCode, answer.Header)
		}
	}
}

// TestBasicAuthHasFiles: a file of users is read again at a reload; what is wrong with
// it is told, without its hashes.
func TestBasicAuthHasFiles(t *testing.T) {
	t.Parallel()
	up := echoing(t, "")
	alice, bob := "alice:"+hashed(t, "secret", 4), "bob:"+hashed(t, "word", 4)
	w := newWorkshop(t, "scripts/none.lua", "", "users", "# ours\n\n"+alice+"\r\n", "c.yaml", tenantsOf(
		"a", "domains: [a.example.com], policies: [{basic_auth: {users_file: users, failures: 1000}}], services: [{url: 'http://"+up+"'}]"))
	w.run()
	check := func(when, want string) {
		t.Helper()
		for _, c := range [][2]string{{"alice", "secret"}, {"bob", "word"}} {
			answer, _ := w.speak("GET / HTTP/1.1\r\nHost: a.example.com\r\n" + basic(c[0], c[1]) + "Connection: close\r\n\r\n")
			if got := answer.StatusCode == 200; got != strings.Contains(want, c[0]) {
				t.Errorf("%s: %s passes: %v", when, c[0], got)
			}
		}
	}
	check("at the start", "alice")
	w.write("users", alice+":comment\n"+bob)
	if result := w.server.Reload(); !result.OK {
		t.Errorf("got %+v", result)
	}
	check("with two", "alice bob")
	w.write("users", bob)
	w.server.Reload()
	check("without the first, whose password was known", "bob")
	for content, want := range map[string]string{
		"":               "it has no user",
		"alice":          "line 1 has no colon",
		bob + "\n" + bob: `user "bob" is in line 1 and in line 2`,
		"alice:$apr1$H6uskkkW$IgXLP6ewTrSuBkTrqE8wj/": "MD5 (apr1, what htpasswd makes unasked) is guessed",
		"alice:{SHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g=":     "SHA-1 without salt",
		"alice:plain": "this is no hash that can be used",
		"alice:$2y$31$" + strings.Repeat("a", 53): "bcrypt of cost 31 is out of range",
		"alice:$2y$05$short":                      "this begins like bcrypt and isn't",
		"alice:$argon2id$v=19$m=1048576,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc": "argon2id with m=1048576,t=2,p=1 is out of range",
	} {
		w.write("users", content)
		result := w.server.Reload()
		if result.OK || len(result.Errors) != 1 || !strings.Contains(result.Errors[0], `policies[0].basic_auth: users_file "users" can't be used: `) || !strings.Contains(result.Errors[0], want) || strings.Contains(result.Errors[0], "$2") && !strings.Contains(result.Errors[0], "$2y$…") && !strings.Contains(result.Errors[0], "$2y$, two") {
			t.Errorf("%q: got %+v, want %s", content, result.Errors, want)
		}
		check("with a mistake", "bob")
	}
}

// TestBasicAuthFlood: a flood of wrong passwords is answered, most of it without
// hashing, and doesn't keep those out whose passwords are known, nor other tenants.
func TestBasicAuthFlood(t *testing.T) {
	t.Parallel()
	up := echoing(t, "")
	server := start(t, "access_log: {enabled: false}\n"+tenantsOf(
		"a", "domains: [a.example.com], policies: [{basic_auth: {users: {alice: '"+hashed(t, "secret", 8)+"'}, failures: 1000}}], services: [{url: 'http://"+up+"'}]",
		"b", "domains: [b.example.com], services: [{url: 'http://"+up+"'}]"))
	ask := func(host, fields string) int {
		answer, _ := askRaw(t, server.Addr().String(), "GET / HTTP/1.1\r\nHost: "+host+".example.com\r\n"+fields+"\r\n")
		return answer.StatusCode
	}
	if got := ask("a", basic("alice", "secret")); got != http.StatusOK {
		t.Fatalf("got %d", got)
	}
	var mu sync.Mutex
	var wait sync.WaitGroup
	statuses := map[int]int{}
	for i := range 100 {
		wait.Go(func() {
			got := ask("a", basic("alice", fmt.Sprint(i)))
			mu.Lock()
			defer mu.Unlock()
			statuses[got]++
		})
	}
	for range 10 {
		if a, b := ask("a", basic("alice", "secret")), ask("b", ""); a != http.StatusOK || b != http.StatusOK {
			t.Errorf("during the flood got %d and %d", a, b)
		}
	}
	wait.Wait()
	if statuses[401]+statuses[503]+statuses[429] != 100 || statuses[401] == 0 {
		t.Errorf("got %v", statuses)
	}
}
