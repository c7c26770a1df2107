//go:build linux

package main

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// asks has a client send to an address until so much was answered, or it fails.
func asks(t *testing.T, address string, streams int, grpc bool, enough int64) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	var answered atomic.Int64
	c := &http2Client{address: netip.MustParseAddrPort(address), hosts: []string{"a.example", "b.example"}, path: grpcPrefix + "Get", grpc: grpc, answered: func(n int) {
		if answered.Add(int64(n)) >= enough {
			cancel()
		}
	}}
	err := c.run(ctx, streams)
	if answered.Load() < enough {
		return err
	}
	return nil
}

// TestGRPCUpstream has the load generator call the server of gRPC, whose answers are
// larger than the connection's first window.
func TestGRPCUpstream(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	go func() { _ = serveGRPC(listener, grpcMessages) }()
	if err := asks(t, listener.Addr().String(), 20, true, 2000); err != nil {
		t.Error(err)
	}
}

// TestHTTP2Client demands that requests are counted if all is well, and only then.
func TestHTTP2Client(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		handler http.HandlerFunc
		grpc    bool
		wrong   string // the error; "" is none
	}{
		"good": {handler: func(w http.ResponseWriter, r *http.Request) {
			if !strings.HasSuffix(r.Host, ".example") || r.UserAgent() == "" {
				w.WriteHeader(http.StatusBadRequest)
			}
			_, _ = w.Write(make([]byte, 100_000))
		}},
		"another status": {handler: http.NotFound, wrong: "another status"},
		"a reset":        {handler: func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, wrong: "RST_STREAM"},
		"a call that fails": {grpc: true, wrong: "another status", handler: func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set(http.TrailerPrefix+"Grpc-Status", "14")
			_, _ = w.Write(make([]byte, 10))
		}},
		"a call that goes well": {grpc: true, handler: func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set(http.TrailerPrefix+"Grpc-Status", "0")
			_, _ = w.Write(make([]byte, 10))
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				_, _ = io.Copy(io.Discard, r.Body) // net/http resets streams of which content comes after the answer
				c.handler(w, r)
			}))
			server.Config.Protocols = new(http.Protocols)
			server.Config.Protocols.SetUnencryptedHTTP2(true)
			server.Start()
			defer server.Close()
			err := asks(t, server.Listener.Addr().String(), 10, c.grpc, 500)
			if c.wrong == "" && err != nil || c.wrong != "" && (err == nil || !strings.Contains(err.Error(), c.wrong)) {
				t.Errorf("got %v, want %q", err, c.wrong)
			}
		})
	}
}

// TestClientLoop demands that the first error ends a loop, and that there must be answers.
func TestClientLoop(t *testing.T) {
	t.Parallel()
	loop := clientLoop{clients: 2}
	for name, c := range map[string]struct {
		client func(ctx context.Context, number int, answered func(int)) error
		want   string
	}{
		"answers": {func(ctx context.Context, _ int, answered func(int)) error { return answerUntil(ctx, answered) }, ""},
		"nothing": {func(ctx context.Context, _ int, _ func(int)) error { <-ctx.Done(); return nil }, "nothing was answered"},
		"one fails": {func(ctx context.Context, number int, answered func(int)) error {
			if number == 1 {
				return net.ErrClosed
			}
			return answerUntil(ctx, answered)
		}, "closed"},
	} {
		if loop.duration = 10 * time.Millisecond; name == "one fails" {
			loop.duration = time.Minute // which its error ends
		}
		_, err := loop.run(t.Context(), 1, c.client)
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
}

func answerUntil(ctx context.Context, answered func(int)) error {
	for ctx.Err() == nil {
		answered(1)
	}
	return nil
}
