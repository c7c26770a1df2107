package streams_test

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/keystone-gateway/keystone-gateway/test/browser"
)

// TestBrowser: Chromium, whose QUIC isn't quic-go's, loads a page over HTTP/3, and what the
// page fetches.
func TestBrowser(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "a.lua"), []byte(`
chi_route("GET", "/page", function(request, response)
	response:header("Content-Type", "text/html")
	response:write("<!doctype html><html><head><script>" ..
		"Promise.all([fetch('/echo', { method: 'POST', body: 'x'.repeat(300000) }), ...Array.from({ length: 50 }, (_, i) => fetch('/echo?' + i, { method: 'POST', body: '' + i }))])" ..
		".then((list) => Promise.all(list.map((r) => r.text()))).then((list) => { document.body.textContent += ' ' + list.join(' '); })</script></head><body>" .. request.protocol .. "</body></html>")
end)
chi_route("POST", "/echo", function(request, response) response:write(request.protocol .. ":" .. #request.body) end)`), 0o600); err != nil {
		t.Fatal(err)
	}
	g := serve(t, "lua_routing: {enabled: true, scripts_dir: '"+dir+"'}", ", lua_routes: a", echo)
	config, err := os.ReadFile(g.file)
	if err != nil {
		t.Fatal(err)
	}
	file := regexp.MustCompile(`cert_file: "([^"]+)"`).FindSubmatch(config)
	text, err := os.ReadFile(string(file[1]))
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(text)
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	key := sha256.Sum256(cert.RawSubjectPublicKeyInfo)
	_, port, err := net.SplitHostPort(g.address())
	if err != nil {
		t.Fatal(err)
	}
	got := browser.Text(t, "https://a.example:"+port+"/page", "--origin-to-force-quic-on=a.example:"+port, "--host-resolver-rules=MAP a.example 127.0.0.1",
		"--ignore-certificate-errors-spki-list="+base64.StdEncoding.EncodeToString(key[:]))
	if want := "HTTP/3.0 HTTP/3.0:300000" + strings.Repeat(" HTTP/3.0:1", 10) + strings.Repeat(" HTTP/3.0:2", 40); got != want {
		t.Errorf("the page shows %q, want %q", got, want)
	}
}
