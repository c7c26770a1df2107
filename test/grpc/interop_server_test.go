package grpc_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"testing"
	"time"

	load "github.com/cncf/xds/go/xds/data/orca/v3"
	loadgrpc "github.com/cncf/xds/go/xds/service/orca/v3"
	"google.golang.org/grpc"
	testgrpc "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/orca"
)

// What the suite's server has only in its program, or in no public form.

// identified says which server it is, where it is asked.
type identified struct {
	testgrpc.TestServiceServer
	id string
}

// UnaryCall is the suite's.
func (s *identified) UnaryCall(ctx context.Context, r *testgrpc.SimpleRequest) (*testgrpc.SimpleResponse, error) {
	response, err := s.TestServiceServer.UnaryCall(ctx, r)
	if err == nil && r.GetFillServerId() {
		response.ServerId = s.id
	}
	return response, err
}

// loads reports the load that clients have had the server pretend. orca's own service does
// so every 30 seconds at most.
type loads struct {
	loadgrpc.UnimplementedOpenRcaServiceServer
	recorder orca.ServerMetricsRecorder
}

// StreamCoreMetrics reports until the client has gone.
func (s *loads) StreamCoreMetrics(_ *loadgrpc.OrcaLoadReportRequest, stream grpc.ServerStreamingServer[load.OrcaLoadReport]) error {
	ticker := time.NewTicker(20 * time.Millisecond)
	defer ticker.Stop()
	for {
		now := s.recorder.ServerMetrics()
		if err := stream.Send(&load.OrcaLoadReport{CpuUtilization: now.CPUUtilization, MemUtilization: now.MemUtilization, Utilization: now.Utilization}); err != nil {
			return err
		}
		select {
		case <-stream.Context().Done():
			return stream.Context().Err()
		case <-ticker.C:
		}
	}
}

// keyPair is a certificate for this machine, and the lines of a configuration by which a
// listener shows it and targets may.
func keyPair(t *testing.T) (pair tls.Certificate, roots *x509.CertPool, lines, target string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		DNSNames: []string{"grpc.example"}, IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	if err != nil {
		t.Fatal(err)
	}
	key, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	cert := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	keyText := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key})
	if pair, err = tls.X509KeyPair(cert, keyText); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	certFile, keyFile := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	for file, text := range map[string][]byte{certFile: cert, keyFile: keyText} {
		if err := os.WriteFile(file, text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	roots = x509.NewCertPool()
	roots.AddCert(pair.Leaf)
	return pair, roots, fmt.Sprintf("tls: {cert_file: %q, key_file: %q}\n", certFile, keyFile), fmt.Sprintf("target_tls: {ca_file: %q, server_name: grpc.example}", certFile)
}
