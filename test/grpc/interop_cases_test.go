package grpc_test

import (
	"context"
	"crypto/tls"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	_ "google.golang.org/grpc/encoding/gzip" // by which messages are compressed
	"google.golang.org/grpc/interop"
	testgrpc "google.golang.org/grpc/interop/grpc_testing"
)

// caller is a client of the suite, and how another one is made.
type caller struct {
	conn, reporting *grpc.ClientConn // the second one takes reports of load
	fresh           func() *grpc.ClientConn
	options         []grpc.CallOption
}

func (c *caller) client() testgrpc.TestServiceClient { return testgrpc.NewTestServiceClient(c.conn) }

func (c *caller) reported() testgrpc.TestServiceClient {
	return testgrpc.NewTestServiceClient(c.reporting)
}

// with is a case that is a function of the suite's client.
func with(f func(context.Context, testgrpc.TestServiceClient, ...grpc.CallOption)) func(context.Context, *caller) {
	return func(ctx context.Context, c *caller) { f(ctx, c.client(), c.options...) }
}

// cases are those of the suite that need no credentials of Google's.
var cases = map[string]func(context.Context, *caller){
	"empty_unary":                 with(interop.DoEmptyUnaryCall),
	"large_unary":                 with(interop.DoLargeUnaryCall),
	"client_streaming":            with(interop.DoClientStreaming),
	"server_streaming":            with(interop.DoServerStreaming),
	"ping_pong":                   with(interop.DoPingPong),
	"empty_stream":                with(interop.DoEmptyStream),
	"timeout_on_sleeping_server":  with(interop.DoTimeoutOnSleepingServer),
	"cancel_after_begin":          with(interop.DoCancelAfterBegin),
	"cancel_after_first_response": with(interop.DoCancelAfterFirstResponse),
	"status_code_and_message":     with(interop.DoStatusCodeAndMessage),
	"special_status_message":      with(interop.DoSpecialStatusMessage),
	"custom_metadata":             with(interop.DoCustomMetadata),
	"unimplemented_method":        func(ctx context.Context, c *caller) { interop.DoUnimplementedMethod(ctx, c.conn) },
	"unimplemented_service": func(ctx context.Context, c *caller) {
		interop.DoUnimplementedService(ctx, testgrpc.NewUnimplementedServiceClient(c.conn))
	},
	"pick_first_unary": func(ctx context.Context, c *caller) { interop.DoPickFirstUnary(ctx, c.client()) },
	"rpc_soak": func(ctx context.Context, c *caller) {
		interop.DoSoakTest(ctx, soak(func() (*grpc.ClientConn, func()) { return c.conn, func() {} }))
	},
	"channel_soak": func(ctx context.Context, c *caller) {
		interop.DoSoakTest(ctx, soak(func() (*grpc.ClientConn, func()) {
			conn := c.fresh()
			return conn, func() { _ = conn.Close() }
		}))
	},
	"orca_per_rpc": func(ctx context.Context, c *caller) { interop.DoORCAPerRPCTest(ctx, c.reported()) },
	"orca_oob":     func(ctx context.Context, c *caller) { interop.DoORCAOOBTest(ctx, c.reported()) },
}

// soak is large calls one after the other, by several at once; none may fail.
func soak(channel func() (*grpc.ClientConn, func())) interop.SoakTestConfig {
	return interop.SoakTestConfig{
		RequestSize: 271_828, ResponseSize: 314_159, Iterations: 20, NumWorkers: 4,
		PerIterationMaxAcceptableLatency: patience, OverallTimeout: patience, MinTimeBetweenRPCs: time.Millisecond, ChannelForTest: channel,
	}
}

// excused are cases that can't be played here, and why.
var excused = map[string]string{
	"compute_engine_creds":               "the token is the metadata server's of a machine of Google's cloud",
	"service_account_creds":              "the token is Google's, for an account there",
	"jwt_token_creds":                    "the server compares the name with an account of Google's",
	"per_rpc_creds":                      "the token is Google's, for an account there",
	"oauth2_auth_token":                  "the token is Google's, for an account there",
	"google_default_credentials":         "the credentials are those of a machine of Google's cloud",
	"compute_engine_channel_credentials": "the credentials are those of a machine of Google's cloud, and so is ALTS",
}

// reporting has a client take reports of load.
const reporting = `{"loadBalancingConfig":[{"test_backend_metrics_load_balancer":{}}]}`

// TestInterop plays the cases through the gateway, without TLS and with it on both sides,
// and with messages that are compressed. A case that fails ends the process with its
// reason.
func TestInterop(t *testing.T) {
	t.Parallel()
	pair, roots, lines, trust := keyPair(t)
	over := insecure.NewCredentials()
	const plain = "listeners: [{address: '127.0.0.1:0', protocols: [h2c]}]\ntenants: [{name: t, path_prefix: /, services: [{url: 'grpc://TARGET'}]}]"
	for name, path := range map[string]struct {
		config  string
		creds   credentials.TransportCredentials
		server  []grpc.ServerOption
		options []grpc.CallOption
	}{
		"plain":      {plain, over, nil, nil},
		"compressed": {plain, over, nil, []grpc.CallOption{grpc.UseCompressor("gzip")}},
		"TLS": {
			lines + "listeners: [{address: '127.0.0.1:0', tls: true}]\ntenants: [{name: t, path_prefix: /, services: [{url: 'grpcs://TARGET'}], " + trust + "}]",
			credentials.NewTLS(&tls.Config{RootCAs: roots, ServerName: "grpc.example", MinVersion: tls.VersionTLS12}),
			[]grpc.ServerOption{grpc.Creds(credentials.NewServerTLSFromCert(&pair))}, nil,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			address, _ := target(t, path.server...)
			server := start(t, strings.Replace(path.config, "TARGET", address, 1))
			c := &caller{options: path.options}
			c.conn = connect(t, server, grpc.WithTransportCredentials(path.creds))
			c.reporting = connect(t, server, grpc.WithTransportCredentials(path.creds), grpc.WithDefaultServiceConfig(reporting))
			c.fresh = func() *grpc.ClientConn { return connect(t, server, grpc.WithTransportCredentials(path.creds)) }
			for name, run := range cases {
				t.Run(name, func(t *testing.T) {
					ctx, cancel := context.WithTimeout(t.Context(), patience)
					defer cancel()
					run(ctx, c)
				})
			}
		})
	}
}

// TestInteropCases: the suite has no case that is neither played nor excused, and
// docs/grpc.md lists them.
func TestInteropCases(t *testing.T) {
	t.Parallel()
	dir, err := exec.CommandContext(t.Context(), "go", "list", "-m", "-f", "{{.Dir}}", "google.golang.org/grpc").Output()
	if err != nil {
		t.Fatal(err)
	}
	program, err := os.ReadFile(filepath.Join(strings.TrimSpace(string(dir)), "interop", "client", "client.go"))
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile("../../docs/grpc.md")
	if err != nil {
		t.Fatal(err)
	}
	list := regexp.MustCompile(`(?m)^\tcase "([a-z0-9_]+)":$`).FindAllSubmatch(program, -1)
	if len(list) < len(cases) {
		t.Fatalf("the suite's client has %d cases", len(list))
	}
	for _, found := range list {
		name := string(found[1])
		_, played := cases[name]
		if _, not := excused[name]; played == not {
			t.Errorf("the case %s is played: %t, and excused: %t", name, played, not)
		}
		if !strings.Contains(string(text), "`"+name+"`") {
			t.Errorf("docs/grpc.md doesn't list %s", name)
		}
	}
}
