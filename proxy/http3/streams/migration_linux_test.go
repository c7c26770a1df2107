package streams_test

import (
	"fmt"
	"net"
	"net/http"
	"sync"
	"testing"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"

	"github.com/keystone-gateway/keystone-gateway/test/until"
)

// seen tells from where a request has come.
func seen(begun chan<- struct{}, proceed <-chan struct{}) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/slow" {
			begun <- struct{}{}
			<-proceed
		}
		_, _ = fmt.Fprint(w, r.Header.Get("X-Forwarded-For"))
	})
}

// asks returns what one connection gets for a path.
func asks(t *testing.T, g *gateway, conn *http3.ClientConn) func(path string) string {
	t.Helper()
	return func(path string) string {
		response, err := conn.RoundTrip(g.request(http.MethodGet, path, nil))
		if err != nil {
			return err.Error()
		}
		return text(t, response, nil)
	}
}

// TestMigration: a client goes on at another address, with what it has asked before; what
// it asks then is judged by that address.
func TestMigration(t *testing.T) {
	t.Parallel()
	begun, proceed := make(chan struct{}), make(chan struct{})
	g := serve(t, "", ", policies: [{ip: {deny: [127.0.0.3]}}]", seen(begun, proceed))
	conn, err := g.dialFrom("127.0.0.1", trusting(http3.NextProtoH3))
	if err != nil {
		t.Fatal(err)
	}
	ask := asks(t, g, (&http3.Transport{}).NewClientConn(conn))
	if got := ask("/"); got != "HTTP/3.0 200 127.0.0.1" {
		t.Fatal(got)
	}
	var slow string
	var wait sync.WaitGroup
	wait.Go(func() { slow = ask("/slow") })
	<-begun
	for _, a := range []struct{ to, want string }{{"127.0.0.2", "HTTP/3.0 200 127.0.0.2"}, {"127.0.0.3", "HTTP/3.0 403 "}, {"127.0.0.4", "HTTP/3.0 200 127.0.0.4"}} {
		path, err := conn.AddPath(&quic.Transport{Conn: packetConn(t, a.to)})
		if err == nil {
			err = path.Probe(t.Context())
		}
		if err == nil {
			err = path.Switch()
		}
		if err != nil {
			t.Fatalf("to %s: %v", a.to, err)
		}
		// The first may arrive before the gateway has seen where the client is.
		until.True(t, "a request from "+a.to, func() bool { got := ask("/"); return len(got) >= len(a.want) && got[:len(a.want)] == a.want })
	}
	close(proceed)
	wait.Wait()
	if slow != "HTTP/3.0 200 127.0.0.1" {
		t.Errorf("a request of before: %q", slow)
	}
	if got := g.Counters(); got.HTTP3.Connections != 1 || got.Accepted != 1 {
		t.Errorf("%d connections, %d accepted, want one", got.HTTP3.Connections, got.Accepted)
	}
}

// relay passes packets on between a client, which knows its address, and the gateway, as
// a router does that translates addresses.
type relay struct {
	t     *testing.T
	front *net.UDPConn
	to    net.Addr

	mu     sync.Mutex
	back   *net.UDPConn // guarded by mu, as below
	client net.Addr
}

func newRelay(t *testing.T, g *gateway, from string) *relay {
	t.Helper()
	r := &relay{t: t, front: packetConn(t, "127.0.0.1")}
	var err error
	if r.to, err = net.ResolveUDPAddr("udp", g.address()); err != nil {
		t.Fatal(err)
	}
	r.rebind(from)
	go func() { // ends with the socket
		buf := make([]byte, 2048)
		for {
			n, from, err := r.front.ReadFrom(buf)
			if err != nil {
				return
			}
			r.mu.Lock()
			r.client = from
			_, _ = r.back.WriteTo(buf[:n], r.to)
			r.mu.Unlock()
		}
	}()
	return r
}

// rebind has packets come from another address from now on. What is on its way to the one
// before is passed on still.
func (r *relay) rebind(from string) {
	r.t.Helper()
	back := packetConn(r.t, from)
	r.mu.Lock()
	r.back = back
	r.mu.Unlock()
	go func() { // ends with the socket
		buf := make([]byte, 2048)
		for {
			n, _, err := back.ReadFrom(buf)
			if err != nil {
				return
			}
			r.mu.Lock()
			_, _ = r.front.WriteTo(buf[:n], r.client)
			r.mu.Unlock()
		}
	}()
}

// TestRebinding: a client whose address another one changes, which it doesn't notice, goes
// on too.
func TestRebinding(t *testing.T) {
	t.Parallel()
	g := serve(t, "", ", policies: [{ip: {deny: [127.0.0.3]}}]", seen(nil, nil))
	r := newRelay(t, g, "127.0.0.2")
	ctx := t.Context()
	conn, err := (&quic.Transport{Conn: packetConn(t, "127.0.0.1")}).Dial(ctx, r.front.LocalAddr(), trusting(http3.NextProtoH3), &quic.Config{MaxIdleTimeout: patience})
	if err != nil {
		t.Fatal(err)
	}
	ask := asks(t, g, (&http3.Transport{}).NewClientConn(conn))
	for _, a := range []struct{ from, want string }{
		{"127.0.0.2", "HTTP/3.0 200 127.0.0.2"}, {"127.0.0.2", "HTTP/3.0 200 127.0.0.2"}, {"127.0.0.4", "HTTP/3.0 200 127.0.0.4"}, {"127.0.0.3", "HTTP/3.0 403 "},
	} {
		r.rebind(a.from)
		until.True(t, "a request from "+a.from, func() bool { got := ask("/"); return len(got) >= len(a.want) && got[:len(a.want)] == a.want })
	}
	if got := g.Counters().Accepted; got != 1 {
		t.Errorf("%d connections were accepted, want one", got)
	}
}
