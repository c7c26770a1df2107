package proxy_test

import (
	"strings"
	"testing"

	"github.com/keystone-gateway/keystone-gateway/proxy"
)

// TestGRPCDoubts: gRPC-Web that no target can take, or whose status pages can't read, is
// said with its place.
func TestGRPCDoubts(t *testing.T) {
	t.Parallel()
	const (
		noTarget = `grpc.web of tenant "a" is for no target: gRPC needs HTTP/2; expected a service with a url that begins with grpc://`
		plain    = "services: [{url: 'grpc://127.0.0.1:1'}], grpc: {web: true}, "
	)
	cors := func(rest string) string {
		return plain + "policies: [{ip: {allow: [10.0.0.0/8]}}, {cors: {origins: [https://shop.example.com]" + rest + "}}]"
	}
	for _, c := range []struct{ tenant, want string }{
		{"services: [{url: 'http://127.0.0.1:1'}], grpc: {web: true}", "config.yaml:2:92: " + noTarget},
		{"services: [{url: 'https://127.0.0.1:1'}], grpc: {web: true}", noTarget},
		{"services: [{url: 'unix:///run/x.sock'}], grpc: {web: true}", noTarget},
		{"routes: [{respond: {status: 204}}], grpc: {web: true}", noTarget},
		{"services: [{url: 'http://127.0.0.1:1'}], grpc: {web: false}", ""},
		{"services: [{url: 'http://127.0.0.1:1'}], grpc: {retry_on: [unavailable]}", ""},
		{"services: [{url: 'http://127.0.0.1:1'}, {url: 'h2c://127.0.0.1:2'}], grpc: {web: true}", ""},
		{"services: [{url: 'h2://127.0.0.1:1'}], grpc: {web: true}", ""},
		{"services: [{url: 'GRPCS://127.0.0.1:1'}], grpc: {web: true}", ""},
		{"services: [{url: 'https://127.0.0.1:1', tls: {http2: true}}], grpc: {web: true}", ""},
		{"services: [{url: 'https://127.0.0.1:1'}], target_tls: {http2: true}, grpc: {web: true}", ""},
		{"services: [{url: 'grpcs://127.0.0.1:1'}], target_tls: {server_name: a.internal}", ""},
		{"services: [{url: 'h2://127.0.0.1:1'}], target_tls: {server_name: a.internal}", ""},
		{"services: [{url: 'grpc://127.0.0.1:1'}], target_tls: {server_name: a.internal}", `target_tls of tenant "a" is for no target`},
		{cors(""), `tenant "a", policies[1]: cors doesn't let scripts read grpc-status and grpc-message, and grpc.web is set`},
		{cors(", expose: [x-total]"), "config.yaml:2:192: tenant \"a\", policies[1]: cors doesn't let scripts read grpc-status and grpc-message, "},
		{cors(", expose: grpc-status"), "cors doesn't let scripts read grpc-message, "},
		{cors(", expose: [x-total, GRPC-Message]"), "cors doesn't let scripts read grpc-status, "},
		{cors(", expose: [Grpc-Status, GRPC-MESSAGE]"), ""},
		{cors(", expose: ['*']"), ""},
		{plain + "routes: [{methods: [POST, OPTIONS], policies: [{cors: {origins: [https://shop.example.com]}}]}]", `tenant "a", routes[0].policies[0]: cors doesn't let scripts read`},
		{"services: [{url: 'grpc://127.0.0.1:1'}], policies: [{cors: {origins: [https://shop.example.com]}}]", ""},
	} {
		parsed, err := proxy.Parse("config.yaml", []byte("tenants:\n- {name: a, domains: [a.example.com], "+c.tenant+"}\n"))
		if err != nil {
			t.Errorf("%s: %v", c.tenant, err)
			continue
		}
		if err := parsed.Err(); err != nil {
			t.Errorf("%s: %v", c.tenant, err)
		}
		if got := strings.Join(parsed.Warnings(), "\n"); c.want == "" && got != "" || !strings.Contains(got, c.want) || strings.Contains(got, "\n") {
			t.Errorf("%s\ngot  %s\nwant %s", c.tenant, got, c.want)
		}
	}
}
