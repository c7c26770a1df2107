package grpc_test

import (
	"os"
	"os/exec"
	"strings"
	"testing"
)

// TestInteropPython has the client of gRPC's C core, which Python has, play the suite's
// cases against the server of Go's, through the gateway.
func TestInteropPython(t *testing.T) {
	t.Parallel()
	python := pythonWithGRPC(t)
	address, _ := target(t)
	server, _ := gateway(t, `tenants: [{name: t, domains: [127.0.0.1], services: [{url: "grpc://`+address+`"}]}]`)
	output, err := exec.CommandContext(t.Context(), python, "testdata/interop.py", server.Addr().String()).CombinedOutput() // #nosec G204 -- the test's own
	if got := strings.TrimSpace(string(output)); err != nil || got != "12 cases" {
		t.Errorf("%s (%v)", got, err)
	}
}

// pythonWithGRPC finds a Python that has gRPC; Debian's has its packages for itself.
func pythonWithGRPC(t *testing.T) string {
	t.Helper()
	for _, python := range []string{"/usr/bin/python3", "python3"} {
		if exec.CommandContext(t.Context(), python, "-c", "import grpc").Run() == nil {
			return python
		}
	}
	if os.Getenv("KEYSTONE_CI") != "" {
		t.Fatal("there is no Python with gRPC, and KEYSTONE_CI forbids to skip")
	}
	t.Skip("there is no Python with gRPC; Debian's package is python3-grpcio")
	return ""
}
