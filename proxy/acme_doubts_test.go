package proxy_test

import (
	"strings"
	"testing"

	"github.com/keystone-gateway/keystone-gateway/proxy"
)

// TestNamesWithoutCertificates: names that no certificate will come for are said with their place, and
// nothing of tenants that ask for none.
func TestNamesWithoutCertificates(t *testing.T) {
	t.Parallel()
	const pool, orders = "services: [{url: 'http://127.0.0.1:1'}]", "{name: z, tls: auto, domains: [z.example.com], services: [{url: 'http://127.0.0.1:1'}]}"
	const ask, dns = "on_demand: {ask: 'http://127.0.0.1:1/ask'}", "dns: {command: /bin/true}"
	for _, c := range []struct{ acme, tenant, want string }{
		{"", "tls: auto, domains: [a.example.com]", ""},
		{"", "tls: auto, domains: ['*.example.com']", "a wildcard needs certificates.acme.dns.command"}, {dns, "tls: auto, domains: ['*.example.com']", ""}, {ask, "tls: auto, domains: ['*.example.com']", ""},
		{"", "tls: auto, domains: [localhost]", "it is no name of the DNS"}, {ask, "tls: auto, domains: [localhost]", "it is no name of the DNS"}, {dns, "tls: auto, domains: [192.0.2.1]", "it is no name of the DNS"},
		{"", "tls: auto, path_prefix: /a", "it has no domains"}, {ask, "tls: auto, path_prefix: /a", ""},
		{"", "path_prefix: /a", ""}, {"", "domains: ['*.example.com']", "there is no certificate for"}, {"", "domains: [localhost]", "there is no certificate for"},
		{"on_demand: {timeout: 7s}", "tls: auto, domains: [a.example.com]", "certificates.acme.on_demand orders nothing"},
	} {
		text := "tls: {enabled: true}\ncertificates: {acme: {email: a@example.com" + map[bool]string{true: ", "}[c.acme != ""] + c.acme + "}}\ntenants: [{name: a, " + c.tenant + ", " + pool + "}, " + orders + "]\n"
		parsed, err := proxy.Parse("config.yaml", []byte(text))
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		if got := strings.Join(parsed.Warnings(), "\n"); !strings.Contains(got, c.want) || c.want == "" && got != "" || strings.Count(got, "\n") > 0 {
			t.Errorf("%s\ngot  %s\nwant %s", text, got, c.want)
		}
	}
}
