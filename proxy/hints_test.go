package proxy_test

import (
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/keystone-gateway/keystone-gateway/proxy"
)

// TestHints writes what newcomers write, and demands that the error says where
// it is done here.
func TestHints(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ tenant, top, want string }{
		{tenant: "rate_limit: 5", want: "docs/policies.md#rate_limit"},
		{tenant: "rateLimit: 5", want: "docs/policies.md#rate_limit"},
		{tenant: "forceSSL: true", want: "docs/policies.md#redirect"},
		{tenant: "hsts: true", want: "docs/policies.md#security_headers"},
		{tenant: "cors: {}", want: "docs/policies.md#cors"},
		{tenant: "jwt: {}", want: "docs/policies.md#jwt"},
		{tenant: "auth: basic", want: "docs/policies.md#forward_auth"},
		{tenant: "proxy_pass: http://a", want: "services: [{url:"},
		{tenant: "upstream: http://a", want: "services: [{url:"},
		{tenant: "backends: []", want: "services: [{url:"},
		{tenant: "server_name: a", want: "domains: [shop.example.com]"},
		{tenant: "hosts: [a]", want: "domains: [shop.example.com]"},
		{tenant: "listen: 80", want: "server.address"},
		{tenant: "port: 80", want: "server.address"},
		{tenant: "tls_cert: a.pem", want: "tls: {enabled: true, cert_file:"},
		{tenant: "retries: 3", want: "docs/resilience.md#retries"},
		{tenant: "timeout: 3s", want: "timeouts: {connect: 2s"},
		{tenant: "redirect: /x", want: "docs/policies.md#redirect"},
		{tenant: "headers: {}", want: "docs/policies.md#headers"},
		{tenant: "allow: [10.0.0.0/8]", want: "docs/policies.md#ip"},
		{tenant: "ipAllow: [10.0.0.0/8]", want: "docs/policies.md#ip"},
		{tenant: "ip: {allow: 10.0.0.0/8}", want: "it belongs in tenants[].policies[]"},
		{tenant: "policies: [{rate_limit: 5}]", want: "expected a mapping with the keys rate, burst, by,"},
		{tenant: "policies: [{headers: {response: {X-Frame-Options: DENY}}}]", want: "fields stand below set or add with their values"},
		{tenant: "policies: [{headers: {request: {remov: Server}}}]", want: `did you mean "remove"?`},
		{tenant: "policies: [{headers: {request: {remove: ['${tenant}']}}}]", want: "; ${tenant} is known of each request, in the values that the policy headers sets and adds, and nowhere else"},
		{tenant: "policies: [{ip: {allow: '${client_address}'}}]", want: "; ${client_address} is known of each request"},
		{tenant: "policies: [{ip: {allow: '${HOST_X}'}}]", want: "environment variable HOST_X is not set: expected a value, or a default as in ${HOST_X:-default}"},
		{tenant: "proxy_protocol: v2", want: "proxy_protocol of a service tells that target"},
		{tenant: "grpc_web: true", want: "grpc: {web: true}"},
		{tenant: "cache: {}", want: "caches no responses"},
		{tenant: "access_log: {}", want: "at the top level"},
		{tenant: "response_header: 3s", want: "it belongs in tenants[].timeouts"},
		{tenant: "url: http://a", want: "it belongs in tenants[].services[]"},
		{tenant: "max_body_size: 1MiB", want: "it belongs in tenants[].routes[], or tenants[].request_limits, or request_limits"},
		{tenant: "healthy_after: 3", want: "it belongs in tenants[].health"},
		{tenant: "trusted_proxies: []", want: "it belongs in server"},
		{tenant: "max_body_szie: 1MiB", want: `did you mean "max_body_size", which belongs in tenants[].routes[], or tenants[].request_limits, or request_limits?`},
		{tenant: "Domains: []", want: `did you mean "domains"?`},
		{tenant: "pathPrefix: /a", want: `did you mean "path_prefix"?`},
		{tenant: "health: {pth: /a}", want: `did you mean "path"?`},
		{tenant: "health: {rise: 2}", want: "health.healthy_after"},
		{tenant: "timeouts: {read: 5s}", want: "connect, response_header, idle and total"},
		{tenant: "timeouts: {header: 5s}", want: "connect, response_header, idle and total"},
		{tenant: "timeouts: {keepalive: 5s}", want: "it belongs in server.timeouts"},
		{tenant: "insecure_skip_verify: true", want: "target_tls: {ca_file:"},
		{tenant: "tls: {enabled: true}", want: "target_tls"},
		{tenant: "target_tls: {ca: a.pem}", want: "ca_file: ca.pem"},
		{tenant: "target_tls: {cert_file: a.pem}", want: "client_certificate: {cert_file:"},
		{tenant: "target_tls: {verify: false}", want: "insecure_skip_verify: true"},
		{top: "admin: {port: 9090}", want: "admin: {address:"},
		{top: "server: {host: 0.0.0.0, port: 80}", want: "server: {address:"},
		{top: "server: {address: 8080}", want: `"8080" is not an address, expected "host:port", "[IPv6]:port" or "unix:/path"; write ":8080"`},
		{top: "server: {address: localhost}", want: `; write "localhost:8080"`},
		{top: "server: {address: 'http://127.0.0.1:80/'}", want: `; write "127.0.0.1:80"`},
		{top: "server: {address: 'a:b:c'}", want: `or "unix:/path"`},
		{top: "admin: {address: 127.0.0.1}", want: `; write "127.0.0.1:9090"`},
		{top: "request_limits: {max_body: 1MiB}", want: "request_limits: {max_body_size:"},
		{top: "access_log: {file: a.log}", want: "access_log: {output:"},
		{top: "access_log: a/b.log", want: "; write {output: a/b.log}"},
		{top: "log: {file: a.log}", want: "standard error"},
		{top: "log: {level: warning}", want: `did you mean "warn"?`},
		{top: "compression: {types: [text/html]}", want: "content_types: ["},
		{tenant: "health: {expect_status: [200, 204]}", want: `; write "200,204"`},
		{top: "upstreams: []", want: "tenants: [{name: shop"},
		{top: "routes: []", want: "tenants: [{name: shop"},
		{top: "gzip: true", want: "compression: {enabled: true}"},
		{top: "logging: {}", want: "log: {level: info"},
		{top: "http: {}", want: "another program's file"},
		{top: "entryPoints: {}", want: "server.address"},
		{top: "domains: []", want: "hosts belong to tenants"},
		{top: "name: a", want: "it belongs in listeners[], or tenants[], or tenants[].services[]"},
		{top: "path_prefix: /", want: "it belongs in tenants[]"},
		{top: "access_log: {level: info}", want: "it belongs in "},
		{top: "access_log: {sample: \"90%\"}", want: `access_log.sample: expected a number from 0 to 1, got "90%"; write 0.9`},
		{top: "compression: {level: high}", want: `compression.level: expected a whole number from 1 to 9, got "high"`},
		{top: "compression: on", want: `; write {enabled: true}`},
		{top: "compression: {enabled: yes}", want: `expected true or false, got "yes"; write true`},
		{top: "request_limits: {max_body_size: 1G}", want: `got "1G"; write 1GiB, of powers of 1024, or 1GB, of 1000`},
		{top: "server: {drain_timeout: 1 minute}", want: `got "1 minute"; write 1m`},
		{top: "server: {drain_timeout: -3}", want: "expected a duration of 0 or more"},
		{top: "server: {max_connections: 10k}", want: `expected a whole number from 0 on, got "10k"; write 10000`},
		{top: "server: {max_connections: -1}", want: "max_connections -1 is negative"},
		{top: "server: {trusted_proxies: 10.0.0.0/8}", want: `expected a list, got "10.0.0.0/8"; write [10.0.0.0/8]`},
		{top: `server: ":80"`, want: `; write {address: ":80"}`},
		{tenant: "health: /health", want: "; write {path: /health}"},
		{tenant: "max_client_memory: 10MB/s", want: "expected a size"},
	} {
		config := "tenants:\n- {name: a, domains: [a.example.com], services: [{url: \"http://127.0.0.1:1\"}]"
		if c.tenant != "" {
			config += ", " + c.tenant
		}
		config += "}\n" + c.top + "\n"
		_, err := proxy.Parse("config.yaml", []byte(config))
		text := fmt.Sprint(err)
		if !strings.Contains(text, c.want) {
			t.Errorf("%s%s\ngot  %s\nwant %s", c.tenant, c.top, text, c.want)
		}
	}
}

var docLink = regexp.MustCompile(`docs/([a-z-]+\.md)((?:#[a-z_-]+)?(?:, #[a-z_-]+)*(?: and #[a-z_-]+)?)`)

// TestHintsLead demands that what hints refer to is there.
func TestHintsLead(t *testing.T) {
	t.Parallel()
	seen := 0
	for _, words := range proxy.HintWords() {
		for _, link := range docLink.FindAllStringSubmatch(words, -1) {
			page, err := os.ReadFile("../docs/" + link[1])
			if err != nil {
				t.Error(err)
				continue
			}
			anchors := map[string]bool{}
			for line := range strings.Lines(string(page)) {
				if strings.HasPrefix(line, "#") {
					anchors[anchor(line)] = true
				}
			}
			for _, want := range regexp.MustCompile(`#[a-z_-]+`).FindAllString(link[2], -1) {
				seen++
				if !anchors[want[1:]] {
					t.Errorf("%q: docs/%s has no heading %s", words, link[1], want)
				}
			}
		}
	}
	if seen == 0 {
		t.Error("no links were found")
	}
}

// anchor is a heading's, as web sites make it of Markdown.
func anchor(heading string) string {
	text := strings.ToLower(strings.TrimSpace(strings.TrimLeft(heading, "#")))
	text = regexp.MustCompile("[^a-z0-9 _-]").ReplaceAllString(text, "")
	return strings.ReplaceAll(text, " ", "-")
}

// TestHintsNameKeys demands that the keys which hints tell to write exist.
func TestHintsNameKeys(t *testing.T) {
	t.Parallel()
	text, err := proxy.Schema()
	if err != nil {
		t.Fatal(err)
	}
	key := regexp.MustCompile(`([a-z_]+): [\[{]|[a-z_]+(?:\[\])?\.([a-z_]+)\b`)
	pages := regexp.MustCompile(`:? ?docs/\S+|keystone\.[a-z]+|request\.[a-z_]+|\w+\.(?:pem|internal|example|log|com)\b|https?://\S+|"[^"]*"`)
	seen := 0
	for _, words := range proxy.HintWords() {
		for _, found := range key.FindAllStringSubmatch(pages.ReplaceAllString(words, ""), -1) {
			name := found[1] + found[2]
			seen++
			if !strings.Contains(string(text), `"`+name+`": {`) {
				t.Errorf("%q names the key %q, which there isn't", words, name)
			}
		}
	}
	if seen < 20 {
		t.Errorf("only %d keys were found", seen)
	}
}
