package upstream_test

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	oracle "github.com/pires/go-proxyproto"

	"github.com/keystone-gateway/keystone-gateway/proxy/settings"
	"github.com/keystone-gateway/keystone-gateway/test/until"
	"github.com/keystone-gateway/keystone-gateway/upstream"
)

// introduced is a target that expects the PROXY protocol: each answer says for whom the
// connection is that the request has come by, and which of the target's it is.
type introduced struct {
	net.Listener
	open, all atomic.Int64
	hold      chan struct{} // requests for /hold are answered when it is closed
	held      atomic.Int64
}

func startIntroduced(t *testing.T) *introduced {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	in := &introduced{Listener: listener, hold: make(chan struct{})}
	t.Cleanup(func() { _ = listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go in.serve(conn)
		}
	}()
	return in
}

func (in *introduced) serve(conn net.Conn) {
	in.open.Add(1)
	number := in.all.Add(1)
	defer in.open.Add(-1)
	defer func() { _ = conn.Close() }()
	reader := bufio.NewReader(conn)
	header, err := oracle.Read(reader)
	if err != nil {
		return
	}
	for {
		request, err := http.ReadRequest(reader)
		if err != nil {
			return
		}
		if request.URL.Path == "/hold" {
			in.held.Add(1)
			<-in.hold
			in.held.Add(-1)
		}
		body := fmt.Sprintf("%d %v", number, header.SourceAddr)
		_, _ = fmt.Fprintf(conn, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
	}
}

// pool is one whose only target is told who its clients are.
func (in *introduced) pool(t *testing.T, connections upstream.ConnectionsConfig) *upstream.Pool {
	t.Helper()
	registry := upstream.NewRegistry(dialTo(t, in))
	t.Cleanup(registry.Close)
	generation, err := registry.Build([]upstream.PoolConfig{{
		Name: "a", Services: []upstream.ServiceConfig{{URL: "http://app.example", Weight: 1, ProxyProtocol: "v2"}}, Connections: connections,
	}})
	if err != nil {
		t.Fatal(err)
	}
	registry.Activate(generation)
	return generation.Pool("a")
}

// asks makes a call for a client.
func asks(p *upstream.Pool, path, client string) (body string, err error) {
	c := newCall(&plainRequest{method: "GET", path: path})
	c.Introduction = &upstream.Introduction{Source: netip.MustParseAddrPort(client), Destination: netip.MustParseAddrPort("198.51.100.1:443")}
	if err := c.Do(p); err != nil {
		return "", err
	}
	return readAll(c)
}

// TestIntroducedAreKeptApart: at any time, whatever comes at once, a request comes by a
// connection that began for its client; and there are never more than there may be.
func TestIntroducedAreKeptApart(t *testing.T) {
	t.Parallel()
	const clients, requests, most = 12, 20, 4
	in := startIntroduced(t)
	p := in.pool(t, upstream.ConnectionsConfig{MaxPerTarget: most, MaxPending: 1000, PendingTimeout: settings.Duration(patience), IdleTimeout: settings.Duration(patience)})
	var asking sync.WaitGroup
	for n := range clients {
		client := fmt.Sprintf("192.0.2.%d:4000", n+1)
		asking.Go(func() {
			for range requests {
				body, err := asks(p, "/", client)
				if _, whose, _ := strings.Cut(body, " "); err != nil || whose != client {
					t.Errorf("client %s got %q, %v", client, body, err)
				}
			}
		})
	}
	asking.Wait()
	until.True(t, "no more are open than may be", func() bool { return in.open.Load() <= most })
}

// TestIntroducedKept: a client's connection serves its next request, those that idle make
// way for other clients, and go when they have idled for long enough.
func TestIntroducedKept(t *testing.T) {
	t.Parallel()
	in := startIntroduced(t)
	p := in.pool(t, upstream.ConnectionsConfig{MaxPerTarget: 2, MaxPending: 10, PendingTimeout: settings.Duration(patience), IdleTimeout: settings.Duration(300 * time.Millisecond)})
	for i, test := range []struct{ client, want string }{
		{"192.0.2.1:1", "1 192.0.2.1:1"}, {"192.0.2.1:1", "1 192.0.2.1:1"}, {"192.0.2.1:2", "2 192.0.2.1:2"},
	} {
		if body, err := asks(p, "/", test.client); err != nil || body != test.want {
			t.Errorf("%d: %q, %v, want %q", i, body, err, test.want)
		}
	}
	if body, err := asks(p, "/", "192.0.2.3:1"); err != nil || body != "3 192.0.2.3:1" { // in the place of the first
		t.Errorf("%q, %v", body, err)
	}
	until.True(t, "all have idled for long enough", func() bool { return in.open.Load() == 0 })
}

// TestIntroducedWait: who finds all connections in use waits for one to end, and no
// longer than it may.
func TestIntroducedWait(t *testing.T) {
	t.Parallel()
	in := startIntroduced(t)
	p := in.pool(t, upstream.ConnectionsConfig{MaxPerTarget: 1, MaxPending: 10, PendingTimeout: settings.Duration(patience), IdleTimeout: settings.Duration(patience)})
	first, second := make(chan string, 1), make(chan string, 1)
	ask := func(client string, answer chan string) {
		body, err := asks(p, "/hold", client)
		answer <- fmt.Sprint(body, err)
	}
	go ask("192.0.2.1:1", first)
	until.True(t, "the first is being answered", func() bool { return in.held.Load() == 1 })
	go ask("192.0.2.2:1", second)
	short := newCall(&plainRequest{method: "GET", path: "/"})
	short.Timeouts.Connect = 10 * time.Millisecond
	if err := short.Do(p); err == nil {
		short.End(true)
		t.Error("a third one is served while the only connection is in use")
	}
	close(in.hold)
	if got := <-first; got != "1 192.0.2.1:1<nil>" {
		t.Errorf("the first: %s", got)
	}
	if got := <-second; got != "2 192.0.2.2:1<nil>" {
		t.Errorf("the second: %s", got)
	}
}
