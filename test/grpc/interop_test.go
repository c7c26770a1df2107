// Package grpc_test runs gRPC's interoperability suite through the gateway: its
// client, the gateway, its server.
package grpc_test

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	loadgrpc "github.com/cncf/xds/go/xds/service/orca/v3"
	"github.com/rs/zerolog"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health"
	healthgrpc "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/interop"
	testgrpc "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/orca"
	"google.golang.org/grpc/status"

	"github.com/keystone-gateway/keystone-gateway/proxy"
	"github.com/keystone-gateway/keystone-gateway/test/until"
	"github.com/keystone-gateway/keystone-gateway/upstream"
)

// patience bounds the wait for what must happen.
const patience = time.Minute

// target starts the suite's server, with gRPC's health service.
func target(t *testing.T, options ...grpc.ServerOption) (address string, h *health.Server) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	recorder := orca.NewServerMetricsRecorder()
	server := grpc.NewServer(append(options, orca.CallMetricsServerOption(nil))...)
	h = health.NewServer()
	testgrpc.RegisterTestServiceServer(server, &identified{interop.NewTestServer(interop.NewTestServerOptions{MetricsRecorder: recorder}), listener.Addr().String()})
	healthgrpc.RegisterHealthServer(server, h)
	loadgrpc.RegisterOpenRcaServiceServer(server, &loads{recorder: recorder})
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(server.Stop)
	return listener.Addr().String(), h
}

// gateway starts a gateway and connects to it.
func gateway(t *testing.T, tenants string) (*proxy.Server, *grpc.ClientConn) {
	t.Helper()
	server := start(t, "listeners: [{address: \"127.0.0.1:0\", protocols: [http/1.1, h2c]}]\n"+tenants)
	return server, connect(t, server, grpc.WithTransportCredentials(insecure.NewCredentials()))
}

// start starts a gateway with a configuration.
func start(t *testing.T, config string) *proxy.Server {
	t.Helper()
	file := filepath.Join(t.TempDir(), "config.yaml")
	if err := os.WriteFile(file, []byte("access_log: {enabled: false}\n"+config), 0o600); err != nil {
		t.Fatal(err)
	}
	loaded, err := proxy.Load(file)
	if err != nil {
		t.Fatal(err)
	}
	server, err := proxy.New(proxy.Options{File: file, Config: loaded, Log: zerolog.Nop()})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- server.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return server
}

// connect makes a client of a gateway.
func connect(t *testing.T, server *proxy.Server, options ...grpc.DialOption) *grpc.ClientConn {
	t.Helper()
	conn, err := grpc.NewClient("passthrough:///"+server.Addr().String(), options...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

// TestFaults: what goes wrong in the gateway is a status to gRPC's client.
func TestFaults(t *testing.T) {
	_, conn := gateway(t, `tenants: [{name: t, domains: [127.0.0.1], services: [{url: "grpc://127.0.0.1:1"}]}]`)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	_, err := testgrpc.NewTestServiceClient(conn).EmptyCall(ctx, &testgrpc.Empty{})
	if s := status.Convert(err); s.Code() != codes.Unavailable || s.Message() != "upstream_connect_failed: the target can't be connected to" {
		t.Errorf("%v", err)
	}
}

// TestHealth: targets are asked by gRPC's health protocol, for a service.
func TestHealth(t *testing.T) {
	address, h := target(t)
	server, _ := gateway(t, fmt.Sprintf(`tenants:
- name: t
  domains: [127.0.0.1]
  services: [{url: "grpc://%s"}]
  health: {interval: 100ms, service: shop.Cart, unhealthy_after: 1, healthy_after: 1}
`, address))
	var one *upstream.Target
	for tenant := range server.Tenants() {
		one = tenant.Pool.Targets()[0]
	}
	state := func() string { return one.State().Status }
	why := func() string { return one.State().LastError }
	until.True(t, "it is down, not knowing the service", func() bool { return state() == "unhealthy" })
	for _, c := range []struct {
		serving healthgrpc.HealthCheckResponse_ServingStatus
		want    string
	}{
		{healthgrpc.HealthCheckResponse_SERVING, "healthy"},
		{healthgrpc.HealthCheckResponse_NOT_SERVING, "unhealthy"},
		{healthgrpc.HealthCheckResponse_SERVING, "healthy"},
	} {
		h.SetServingStatus("shop.Cart", c.serving)
		until.True(t, "it is "+c.want+" since it is "+c.serving.String(), func() bool { return state() == c.want })
	}
	h.SetServingStatus("shop.Cart", healthgrpc.HealthCheckResponse_NOT_SERVING)
	until.True(t, "the reason is told", func() bool {
		return why() == "probe of /grpc.health.v1.Health/Check: it says that it is NOT_SERVING"
	})
}
