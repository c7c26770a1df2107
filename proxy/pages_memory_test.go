package proxy_test

import (
	"net/http"
	"strings"
	"testing"
)

// TestPagesAreCharged: pages of the configuration are charged to their tenant until the
// client has them, as all bodies are.
func TestPagesAreCharged(t *testing.T) {
	t.Parallel()
	page := strings.Repeat("page ", 200_000)
	for name, tenant := range map[string]string{
		"respond":     "routes: [{respond: {file: page.txt}}]",
		"files":       "routes: [{files: {root: ., index: page.txt}, compression: false}]",
		"maintenance": "policies: [{maintenance: {file: page.txt}}], services: [{url: 'http://127.0.0.1:1'}]",
		"errors":      "policies: [{errors: {pages: {'404': {file: page.txt}}}}], routes: [{path: /other, respond: {}}]",
	} {
		for most, whole := range map[string]bool{"4MiB": true, "40KiB": false} {
			w := newWorkshop(t, "scripts/none.lua", "", "page.txt", page, "c.yaml", tenantsOf("shop", "domains: [shop.example.com], max_client_memory: "+most+", "+tenant))
			w.strict = true
			w.run()
			for range 10 {
				answer, body := w.speak("GET / HTTP/1.1\r\nHost: shop.example.com\r\n\r\n")
				switch code := answer.Header.Get("X-Gateway-Error"); {
				case whole && body != page:
					t.Fatalf("%s, %s: %d %s and %d bytes", name, most, answer.StatusCode, code, len(body))
				case !whole && (len(body) > 1000 || (name == "respond" || name == "files") && (answer.StatusCode != http.StatusServiceUnavailable || code != "script_memory")):
					t.Fatalf("%s, %s: %d %s and %d bytes, want script_memory, or an error in few words", name, most, answer.StatusCode, code, len(body))
				}
			}
		}
	}
}
