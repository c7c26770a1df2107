package upstream_test

import (
	"net"
	"testing"

	"github.com/keystone-gateway/keystone-gateway/upstream"
)

// TestGRPCRetries: an answer with a status that is retried has another target
// asked, once; without another one, it is the answer.
func TestGRPCRetries(t *testing.T) {
	t.Parallel()
	serve := func(status string) net.Listener {
		return framePeer(t, func(p *peer, _ int) {
			_ = p.WriteSettings()
			for {
				id, ok := p.request()
				if !ok {
					return
				}
				p.head(id, true, ":status", "200", "content-type", "application/grpc", "grpc-status", status)
			}
		})
	}
	busy, good := serve("14"), serve("0")
	for name, c := range map[string]struct {
		targets  []net.Listener
		retry    []string
		streamed bool
		attempts int
		want     string // one of the statuses
	}{
		"retried":         {[]net.Listener{busy, good}, []string{"unavailable"}, false, 0, "0"},
		"another status":  {[]net.Listener{busy, busy}, []string{"internal"}, false, 1, "14"},
		"none":            {[]net.Listener{busy, busy}, nil, false, 1, "14"},
		"once":            {[]net.Listener{busy, busy}, []string{"unavailable"}, false, 2, "14"},
		"nobody else":     {[]net.Listener{busy}, []string{"unavailable"}, false, 1, "14"},
		"streamed":        {[]net.Listener{busy, busy}, []string{"unavailable"}, true, 1, "14"},
		"what has worked": {[]net.Listener{good, good}, []string{"unavailable"}, false, 1, "0"},
	} {
		r := upstream.NewRegistry(upstream.Options{})
		t.Cleanup(r.Close)
		config := upstream.PoolConfig{Name: "tenant", Connections: upstream.DefaultConnections(), Timeouts: upstream.DefaultTimeouts(), GRPC: upstream.GRPCConfig{RetryOn: c.retry}}
		for i, target := range c.targets {
			path := []string{"/a", "/b"}[i]
			config.Services = append(config.Services, services("grpc://"+target.Addr().String()+path)...)
			config.Services[i].Name = path
		}
		p := start(t, r, config).Pool("tenant")
		for range 4 { // whichever is asked first
			call := newCall(&plainRequest{method: "POST", path: "/"})
			call.Idempotent = false
			if c.streamed {
				call, _ = newStreamed("/", "x")
			}
			if err := call.Do(p); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			got := string(call.Response.Header.Value([]byte("grpc-status")))
			if got != c.want || c.attempts != 0 && call.Attempts != c.attempts {
				t.Errorf("%s: status %s after %d attempts, want %s after %d", name, got, call.Attempts, c.want, c.attempts)
			}
			if r, ok := call.Caller.(*streamedRequest); ok {
				<-r.done
			}
			call.End(true)
			if in := p.Targets()[0].InFlight.Load(); in != 0 {
				t.Errorf("%s: %d are in flight", name, in)
			}
		}
	}
}
