package test

import (
	"crypto/sha256"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"strings"
	"testing"
)

// TestHTTP2Node has Node's client, whose HTTP/2 is nghttp2's, send many requests at once
// over one connection that ALPN has chosen HTTP/2 for, some of which it gives up.
func TestHTTP2Node(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("node"); err != nil {
		missing(t, "there is no node")
	}
	target := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		sum := sha256.New()
		_, _ = io.Copy(sum, r.Body)
		w.Header().Set("Trailer", "X-Sum")
		_, _ = w.Write(make([]byte, 100_000))
		w.Header().Set("X-Sum", fmt.Sprintf("%x", sum.Sum(nil)))
	}))
	defer target.Close()
	dir := t.TempDir()
	_, lines := certified(t, dir)
	g := startGateway(t, strings.Replace(lines, "{", "{enabled: true, ", 1)+"tenants: [{name: a, domains: [example.com], services: [{url: '"+target.URL+"'}]}]\n")
	output, err := exec.CommandContext(t.Context(), "node", "testdata/http2.js", g.address, dir+"/cert.pem").CombinedOutput() // #nosec G204 -- the test's own
	if got := strings.TrimSpace(string(output)); err != nil || got != "h2 90 whole, 10 given up" {
		t.Errorf("%s (%v)", got, err)
	}
}
