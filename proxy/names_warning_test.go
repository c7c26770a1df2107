package proxy_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/keystone-gateway/keystone-gateway/proxy"
)

// TestNamesWithoutCertificate: check tells which names of tenants have none, where they are
// reached over TLS and nobody orders one.
func TestNamesWithoutCertificate(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	certify(t, dir, "a.example")
	section := func(listeners, tenants string) string {
		return fmt.Sprintf("certificates: {files: [{cert: %q, key: %q}], acme: {email: ops@example.com}}\nlisteners: [%s]\ntenants:\n%s", filepath.Join(dir, "a.example.crt"), filepath.Join(dir, "a.example.key"), listeners, tenants)
	}
	tenant := func(name, rest string) string {
		return fmt.Sprintf("- {name: %s, services: [{url: 'http://127.0.0.1:1'}], %s}\n", name, rest)
	}
	const both = "{address: ':80'}, {address: ':443', tls: true}"
	for _, test := range []struct{ listeners, tenants, want string }{
		{both, tenant("a", "domains: [a.example]"), ""},
		{both, tenant("a", "domains: [a.example, b.example]"), `there is no certificate for "b.example" of tenant "a"`},
		{both, tenant("a", "domains: [a.example, b.example], tls: auto"), ""},
		{both, tenant("a", "domains: [b.example, c.example, d.example, e.example]"), `for "b.example, c.example, d.example" and others of tenant "a"`},
		{"{address: ':80'}", tenant("a", "domains: [b.example]"), ""},
		{"{address: ':80', name: plain}, {address: ':443', tls: true}", tenant("a", "domains: [b.example], listeners: plain"), ""},
		{both, tenant("a", "path_prefix: /"), ""},
	} {
		config, err := proxy.Parse(filepath.Join(dir, "config.yaml"), []byte(section(test.listeners, test.tenants)))
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, warning := range config.Warnings() {
			if strings.Contains(warning, "there is no certificate") {
				got = append(got, warning)
			}
		}
		if all := strings.Join(got, "\n"); test.want == "" && all != "" || !strings.Contains(all, test.want) {
			t.Errorf("%s%s\ngot  %s\nwant %s", test.listeners, test.tenants, all, test.want)
		}
	}
}

// TestOpenSecret: check tells that others can read or replace the secret of tickets.
func TestOpenSecret(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	secret := filepath.Join(dir, "secret")
	if err := os.WriteFile(secret, []byte(strings.Repeat("0123456789abcdef", 3)), 0o600); err != nil {
		t.Fatal(err)
	}
	cert, key := keyPair(t)
	for mode, warns := range map[os.FileMode]bool{0o600: false, 0o640: false, 0o400: false, 0o660: true, 0o644: true, 0o666: true} {
		if err := os.Chmod(secret, mode); err != nil {
			t.Fatal(err)
		}
		config, err := proxy.Parse(filepath.Join(dir, "config.yaml"), fmt.Appendf(nil,
			"tls: {enabled: true, cert_file: %q, key_file: %q, tickets: {secret_file: secret}}\ntenants: [{name: a, path_prefix: /, services: [{url: 'http://127.0.0.1:1'}]}]\n", cert, key))
		if err != nil {
			t.Fatal(err)
		}
		if said := strings.Contains(strings.Join(config.Warnings(), "\n"), fmt.Sprintf("secret_file has the mode %#o", mode)); said != warns {
			t.Errorf("mode %#o: warnings %q", mode, config.Warnings())
		}
	}
}
