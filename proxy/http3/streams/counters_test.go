package streams_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/keystone-gateway/keystone-gateway/test/until"
)

// TestCounters: what clients do over HTTP/3 is counted, by the same figures as of other
// protocols, and by those of its own.
func TestCounters(t *testing.T) {
	t.Parallel()
	entered, gone := make(chan struct{}, 1), make(chan struct{}, 1)
	g := serve(t, "", "", waiting(entered, gone))
	h := connect(t, g)
	for range 3 {
		if got := answer(h.send(true, head("POST", "/", "content-length", "5"), frame(0, []byte("hello")))); got != "200" {
			t.Fatal(got)
		}
	}
	if got := answer(h.send(true, head("GET", "/", "connection", "x"))); got != "400" {
		t.Error(got)
	}
	s := h.send(true, head("GET", "/wait"))
	<-entered
	if c := g.Counters(); c.InFlight != 1 || c.Connections != 1 || c.Accepted != 1 || c.HTTP3.Connections != 1 || c.HTTP3.Streams != 5 || c.HTTP3.Given != 0 || c.HTTP2.Streams != 0 {
		t.Errorf("one waits: %+v", c)
	}
	s.CancelRead(0x10c)
	<-gone
	until.True(t, "the stream is given up", func() bool { c := g.Counters(); return c.HTTP3.Given == 1 && c.InFlight == 0 })
	if n := g.Counters().Unrouted.Classes[4].Load(); n != 1 {
		t.Errorf("%d requests were none, want 1", n)
	}
	for tenant := range g.Tenants() {
		if n, in := tenant.Stats.Classes[2].Load(), tenant.Stats.BytesIn.Load(); n != 3 || in != 15 {
			t.Errorf("the tenant has had %d good requests with %d bytes, want 3 with 15", n, in)
		}
	}
	over := &http.Client{Transport: &http.Transport{TLSClientConfig: trusting()}, Timeout: patience}
	response, err := over.Do(g.request(http.MethodGet, "/", nil))
	if got := text(t, response, err); !strings.HasPrefix(got, "HTTP/1.1 200") {
		t.Error(got)
	}
	over.CloseIdleConnections()
	if c := g.Counters(); c.Accepted != 2 || c.HTTP3.Streams != 5 {
		t.Errorf("one over TCP: %+v", c)
	}
	for range 2000 {
		stream, err := h.OpenStreamSync(t.Context())
		if err != nil {
			break
		}
		_, _ = stream.Write(head("GET", "/", "connection", "x"))
		_ = stream.Close()
	}
	if got := h.ended(); got != "connection H3_EXCESSIVE_LOAD" {
		t.Error(got)
	}
	until.True(t, "the connection has gone", func() bool {
		c := g.Counters()
		return c.HTTP3.Connections == 0 && c.Connections == 0 && c.HTTP3.Calmed["resets"] >= 1
	})
}
