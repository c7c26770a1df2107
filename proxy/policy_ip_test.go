package proxy_test

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestIPPolicy asks tenants as clients at many addresses, behind a proxy that is
// trusted.
func TestIPPolicy(t *testing.T) {
	t.Parallel()
	target := answering(t, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello")
	tenant := func(name, policies string) []string {
		return []string{name, "domains: [" + name + ".example.com], policies: [" + policies + "], services: [{url: 'http://" + target + "'}]"}
	}
	list := append(tenant("inner", "{ip: {allow: [10.0.0.0/8, '2001:db8::/32']}}"), tenant("most", "{ip: {deny: [10.0.0.0/8, '2001:db8::/32', 192.0.2.7]}}")...)
	list = append(list, tenant("both", "{ip: {allow: '10.0.0.0/8', deny: '10.1.0.0/16'}}")...)
	list = append(list, tenant("twice", "{ip: {allow: 10.0.0.0/8}}, {ip: {deny: 10.1.0.0/16}}")...)
	w := newWorkshop(t, "scripts/none.lua", "", "c.yaml", tenantsOf(list...))
	w.replace("c.yaml", "server: {address: '127.0.0.1:0'}", "server: {address: '127.0.0.1:0', trusted_proxies: [127.0.0.1]}")
	w.run()
	for _, c := range []struct {
		client string // the last element of X-Forwarded-For
		served string // by these tenants
	}{
		{"10.0.0.1", "inner both twice"},
		{"10.1.0.1", "inner"},
		{"::ffff:10.0.0.1", "inner both twice"},
		{"[::ffff:10.1.0.1]:1234", "inner"},
		{"11.0.0.0", "most"},
		{"192.0.2.7", ""},
		{"192.0.2.7:80", ""},
		{"2001:db8::1", "inner"},
		{"[2001:db9::1]:80", "most"},
		{"1.2.3.4, 10.0.0.1", "inner both twice"},
		{"10.0.0.1, 1.2.3.4", "most"},
		{"10.0.0.1, 1.2.3.4, 127.0.0.1", "most"},
		{"unknown", ""}, // who is named in no readable way may be anybody
		{"10.0.0.1, unknown", ""},
		{"10.0.0.1, garbage", ""},
		{"10.0.0.1, 300.0.0.1", ""},
		{"unknown, 10.0.0.1", "inner both twice"}, // nobody believes what stands before
		{"127.0.0.1", "most"},                     // the proxy's own request
		{" , ", "most"},                           // an empty list names nobody
	} {
		for _, name := range []string{"inner", "most", "both", "twice"} {
			want, code := 403, "ip_denied"
			if strings.Contains(" "+c.served+" ", " "+name+" ") {
				want, code = 200, ""
			}
			for _, method := range []string{"GET", "OPTIONS"} {
				answer, body := w.speak(fmt.Sprintf("%s / HTTP/1.1\r\nHost: %s.example.com\r\nX-Forwarded-For: %s\r\nMax-Forwards: 1\r\nConnection: close\r\n\r\n", method, name, c.client))
				if answer.StatusCode != want || answer.Header.Get("X-Gateway-Error") != code || want == 403 && strings.Contains(body, "hello") {
					t.Errorf("%s of %s for %q: got %d %q, want %d %q", method, name, c.client, answer.StatusCode, answer.Header.Get("X-Gateway-Error"), want, code)
				}
			}
		}
	}
	for element, want := range map[string]int{
		"for=10.0.0.1": 403, "for=11.0.0.1": 200, "proto=https": 200, "for=_hidden": 403, "for=unknown": 403, `for="11.0.0.\\1"`: 403, `for=""`: 403, "for": 403,
	} {
		if answer, _ := w.speak("GET / HTTP/1.1\r\nHost: most.example.com\r\nForwarded: " + element + "\r\nConnection: close\r\n\r\n"); answer.StatusCode != want {
			t.Errorf("Forwarded: %s: got %d, want %d", element, answer.StatusCode, want)
		}
	}
	// What the gateway would answer itself isn't told either.
	if answer, _ := w.speak("OPTIONS / HTTP/1.1\r\nHost: inner.example.com\r\nMax-Forwards: 0\r\n\r\n"); answer.StatusCode != 403 {
		t.Errorf("OPTIONS that ends here: got %d, want 403", answer.StatusCode)
	}
}

// TestIPPolicyOnUnixSockets: a client whose address isn't known is refused unless
// that is allowed; one whose trusted proxy has come by the socket has an address.
func TestIPPolicyOnUnixSockets(t *testing.T) {
	t.Parallel()
	up := echoing(t, "")
	tenant := func(name, policies string) []string {
		return []string{name, "domains: [" + name + ".example.com], policies: " + policies + ", services: [{url: 'http://" + up + "'}]"}
	}
	list := slices.Concat(tenant("any", "[{ip: {allow: [unix, 10.0.0.0/8]}}, {headers: {request: {set: {X-Client: '${client_address}'}}}}]"),
		tenant("none", "[{ip: {allow: [0.0.0.0/0, '::/0']}}]"), tenant("deny", "[{ip: {deny: 10.0.0.0/8}}]"))
	for _, trusted := range []string{"", ", trusted_proxies: [unix]"} {
		socket := filepath.Join(t.TempDir(), "s")
		serve(t, "server: {address: 'unix:"+socket+"'"+trusted+"}\naccess_log: {enabled: false}\n"+tenantsOf(list...))
		for _, c := range []struct{ host, forwarded, want, trusted string }{
			{"any", "", "unix", "unix"},
			{"none", "", "403", "403"},
			{"deny", "", "403", "403"},
			{"any", "10.0.0.1", "unix", "10.0.0.1"},
			{"any", "11.0.0.1", "unix", "403"},
			{"none", "10.0.0.1", "403", ""},
			{"deny", "10.0.0.1", "403", "403"},
			{"deny", "11.0.0.1", "403", ""},
		} {
			want := c.want
			if trusted != "" {
				want = c.trusted
			}
			fields := ""
			if c.forwarded != "" {
				fields = "X-Forwarded-For: " + c.forwarded + "\r\n"
			}
			answer, body := askAt(t, "unix", socket, "GET / HTTP/1.1\r\nHost: "+c.host+".example.com\r\n"+fields+"\r\n")
			got := "403"
			if answer.StatusCode == 200 {
				got = strings.TrimPrefix(strings.Join(linesOf(body, "X-Client"), ""), "X-Client: ")
			}
			if got != want {
				t.Errorf("%s for %q%s: got %q (%d), want %q", c.host, c.forwarded, trusted, got, answer.StatusCode, want)
			}
		}
	}
}
