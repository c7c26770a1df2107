package main

import (
	"crypto/x509"
	"os"
	"os/exec"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	health "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"
)

// demandGRPC asks by the line of gRPC-Web, as it is printed, and by gRPC over TLS.
func demandGRPC(t *testing.T, said string) {
	t.Helper()
	_, line, found := strings.Cut(said, "curl -H 'Content-Type: application/grpc-web-text'")
	if line, _, _ = strings.Cut(line, "   #"); !found {
		t.Errorf("there is no line of gRPC-Web in %s", said)
		return
	}
	const serving = "AAAAAAIIAQ==gAAAABBncnBjLXN0YXR1czogMA0K" // field 1 is 1, and grpc-status: 0
	documented, err := os.ReadFile("docs/grpc.md")
	shown := "\n$ curl -H 'Content-Type: application/grpc-web-text' -d AAAAAAA= 'http://127.0.0.1:8080" + healthMethod + "'\n" + serving + "\n"
	if err != nil || !strings.Contains(string(documented), shown) || !strings.HasPrefix(line, " -d AAAAAAA= 'http://127.0.0.1:") || !strings.HasSuffix(line, healthMethod+"'") {
		t.Errorf("docs/grpc.md doesn't show the line of the demo,%s, with %s", line, serving)
	}
	if _, err := exec.LookPath("curl"); err == nil {
		output, err := exec.Command("sh", "-c", "curl --silent --show-error --noproxy '*' -H 'Content-Type: application/grpc-web-text'"+line).CombinedOutput() // #nosec G204 -- what is tried is the line
		if err != nil || string(output) != serving {
			t.Errorf("%s\ngot  %s (%v)\nwant %s", line, output, err, serving)
		}
	}
	_, secure, _ := strings.Cut(said, "curl --cacert ")
	file, rest, _ := strings.Cut(secure, " ")
	_, rest, _ = strings.Cut(rest, "https://")
	address, _, _ := strings.Cut(rest, "/")
	text, err := os.ReadFile(file) // #nosec G304 -- of this test
	roots := x509.NewCertPool()
	if err != nil || !roots.AppendCertsFromPEM(text) {
		t.Fatalf("%s: no certificate: %v", file, err)
	}
	conn, err := grpc.NewClient("passthrough:///"+address, grpc.WithTransportCredentials(credentials.NewClientTLSFromCert(roots, "")))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	client := health.NewHealthClient(conn)
	answer, err := client.Check(t.Context(), &health.HealthCheckRequest{})
	if err != nil || answer.GetStatus() != health.HealthCheckResponse_SERVING {
		t.Errorf("a client of gRPC gets %v, %v", answer, err)
	}
	if _, err := client.List(t.Context(), &health.HealthListRequest{}); status.Code(err) != codes.Unimplemented {
		t.Errorf("a method that isn't there: %v", err)
	}
}
