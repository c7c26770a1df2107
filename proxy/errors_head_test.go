package proxy_test

import (
	"fmt"
	"strings"
	"testing"
)

// TestHEADOfErrors: HEAD gets the fields that GET would, the length of the page among
// them, of each kind of error, and no content.
func TestHEADOfErrors(t *testing.T) {
	t.Parallel()
	pages := "{errors: {problem: true, pages: {4xx: {text: '<h1>{status} {code}</h1>'}, 5xx: {text: 'It has failed: {code}, {request_id}'}}}}"
	dead := "services: [{url: 'http://127.0.0.1:1'}], health: {interval: 1h}"
	server := start(t, "tenants:\n"+
		"  - {name: dead, domains: [dead.example.com], policies: ["+pages+"], "+dead+"}\n"+
		"  - {name: denied, domains: [denied.example.com], policies: ["+pages+", {ip: {deny: 127.0.0.1}}], "+dead+"}\n"+
		"  - {name: away, domains: [away.example.com], policies: [{maintenance: {text: <h1>Back soon</h1>}}], "+dead+"}\n"+
		"  - {name: packed, domains: [packed.example.com], compression: {enabled: true}, policies: ["+pages+", {ip: {deny: 127.0.0.1}}], "+dead+"}\n"+
		"  - {name: routes, domains: [routes.example.com], policies: ["+pages+"], routes: [{path: /a, respond: {}}]}\n")
	_, _ = askRaw(t, server.Addr().String(), "GET / HTTP/1.1\r\nHost: dead.example.com\r\n\r\n") // from here on the target is known to be down
	for _, host := range []string{"dead", "denied", "away", "packed", "routes", "nobody"} {
		for _, accept := range []string{"text/html", "application/json"} {
			request := fmt.Sprintf("%%s /b HTTP/1.1\r\nHost: %s.example.com\r\nAccept: %s\r\nAccept-Encoding: gzip\r\nX-Request-Id: 0123456789abcdef0123456789abcdef\r\n\r\n", host, accept)
			get, body := askRaw(t, server.Addr().String(), fmt.Sprintf(request, "GET"))
			head, none := askRaw(t, server.Addr().String(), fmt.Sprintf(request, "HEAD"))
			if none != "" || head.StatusCode != get.StatusCode || get.StatusCode < 400 || body == "" {
				t.Errorf("%s, %s: HEAD got %d with %q, GET %d with %q", host, accept, head.StatusCode, none, get.StatusCode, body)
			}
			for _, name := range []string{"Content-Type", "Content-Length", "Content-Encoding", "Vary", "X-Gateway-Error"} {
				if got, want := strings.Join(head.Header.Values(name), "|"), strings.Join(get.Header.Values(name), "|"); got != want {
					t.Errorf("%s, %s: HEAD has %s %q, GET %q", host, accept, name, got, want)
				}
			}
		}
	}
}
