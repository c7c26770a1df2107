package proxy_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/keystone-gateway/keystone-gateway/proxy"
)

// TestHTTP3Check: HTTP/3 needs TLS and a port, and says so.
func TestHTTP3Check(t *testing.T) {
	cert, key := keyPair(t)
	for listener, want := range map[string]string{
		"{address: ':8443', tls: true, http3: true}":                                         "",
		"{address: ':8443', tls: true, http3: true, http3_port: 443, protocols: [http/1.1]}": "",
		"{address: ':8443', http3: true}":                                                    "http3 is set without tls: true",
		"{address: 'unix:/run/x.sock', tls: true, http3: true}":                              "a Unix socket has no port over UDP",
		"{address: ':8443', tls: true, http3: true, http3_port: 70000}":                      "70000",
		"{address: ':8443', tls: true, protocols: [h3]}":                                     "expected http3: true",
		"{address: ':8443', tls: true, http3: true, proxy_protocol: {from: [10.0.0.0/8]}}":   "http3 is set with proxy_protocol",
	} {
		file := filepath.Join(t.TempDir(), "config.yaml")
		text := "listeners: [" + listener + "]\ntls: {cert_file: '" + cert + "', key_file: '" + key + "'}\ntenants: [{name: a, path_prefix: /, services: [{url: 'http://127.0.0.1:9'}]}]\n"
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		got := ""
		if _, err := proxy.Load(file); err != nil {
			got = err.Error()
		}
		if want == "" && got != "" || !strings.Contains(got, want) {
			t.Errorf("%s: %q, want %q", listener, got, want)
		}
	}
}
