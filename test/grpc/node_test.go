package grpc_test

import (
	"os"
	"os/exec"
	"strings"
	"testing"
)

// needNode skips where Node is missing, or one of its packages.
func needNode(t *testing.T, packages ...string) {
	t.Helper()
	script := "require.resolve('" + strings.Join(packages, "'), require.resolve('") + "')"
	output, err := exec.CommandContext(t.Context(), "node", "-e", script).CombinedOutput() // #nosec G204 -- the tests' own
	switch {
	case err == nil:
	case os.Getenv("KEYSTONE_CI") != "":
		t.Fatalf("Node, or one of its packages %v, is missing, and KEYSTONE_CI forbids to skip: %v %s", packages, err, output)
	default:
		t.Skipf("Node, or one of its packages %v, is missing: NODE_PATH=$(.ci/node) installs them", packages)
	}
}

// node runs a script of testdata.
func node(t *testing.T, script string, arguments ...string) (output string, err error) {
	t.Helper()
	text, err := exec.CommandContext(t.Context(), "node", append([]string{"testdata/" + script}, arguments...)...).CombinedOutput() // #nosec G204 -- the tests' own
	return string(text), err
}

// TestInteropNode has the client of gRPC that Node's programs use, @grpc/grpc-js, play the
// suite's cases against the server of Go's, through the gateway.
func TestInteropNode(t *testing.T) {
	t.Parallel()
	needNode(t, "@grpc/grpc-js")
	address, _ := target(t)
	server, _ := gateway(t, `tenants: [{name: t, domains: [127.0.0.1], services: [{url: "grpc://`+address+`"}]}]`)
	if got, err := node(t, "interop.js", server.Addr().String()); err != nil || got != "13 cases\n" {
		t.Errorf("%s (%v)", got, err)
	}
}

// TestWebNode has the client that browsers use, the package grpc-web, call services.
func TestWebNode(t *testing.T) {
	t.Parallel()
	needNode(t, "grpc-web", "xhr2")
	address, _ := target(t)
	server, _ := gateway(t, `tenants:
- {name: t, domains: [127.0.0.1], services: [{url: "grpc://`+address+`"}], grpc: {web: true}}
- {name: down, domains: [127.0.0.1], path_prefix: /grpc.testing.TestService/Down, services: [{url: "grpc://127.0.0.1:1"}], grpc: {web: true}}
`)
	for encoding, want := range map[string]string{
		"binary": "unary 104 bytes\nstatus 7 no!\nunknown 12 unknown method Nothing for service grpc.testing.TestService\ndown 14\n",
		"text":   "unary 104 bytes\nstatus 7 no!\nunknown 12 unknown method Nothing for service grpc.testing.TestService\ndown 14\nstream 5 34 6, status 0\n",
	} {
		if got, err := node(t, "web.js", "http://"+server.Addr().String(), encoding); err != nil || got != want {
			t.Errorf("%s: %s (%v), want %s", encoding, got, err, want)
		}
	}
}
