package grpc_test

import (
	"os/exec"
	"testing"
)

// TestWebNode has the client that browsers use, the package grpc-web, call services.
// Node must find it, and xhr2: NODE_PATH says where they are.
func TestWebNode(t *testing.T) {
	if err := exec.CommandContext(t.Context(), "node", "-e", "require.resolve('grpc-web'), require.resolve('xhr2')").Run(); err != nil {
		t.Skip("Node, or its packages grpc-web and xhr2, aren't there")
	}
	address, _ := target(t)
	server, _ := gateway(t, `tenants:
- {name: t, domains: [127.0.0.1], services: [{url: "grpc://`+address+`"}], grpc: {web: true}}
- {name: down, domains: [127.0.0.1], path_prefix: /grpc.testing.TestService/Down, services: [{url: "grpc://127.0.0.1:1"}], grpc: {web: true}}
`)
	for encoding, want := range map[string]string{
		"binary": "unary 104 bytes\nstatus 7 no!\nunknown 12 unknown method Nothing for service grpc.testing.TestService\ndown 14\n",
		"text":   "unary 104 bytes\nstatus 7 no!\nunknown 12 unknown method Nothing for service grpc.testing.TestService\ndown 14\nstream 5 34 6, status 0\n",
	} {
		got, err := exec.CommandContext(t.Context(), "node", "testdata/web.js", "http://"+server.Addr().String(), encoding).CombinedOutput() // #nosec G204 -- the test's own
		if err != nil || string(got) != want {
			t.Errorf("%s: %s (%v), want %s", encoding, got, err, want)
		}
	}
}
