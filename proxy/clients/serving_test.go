package clients

import (
	"context"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/keystone-gateway/keystone-gateway/proxy/exchange"
	"github.com/keystone-gateway/keystone-gateway/proxy/listener"
	"github.com/keystone-gateway/keystone-gateway/proxy/socket"
	"github.com/keystone-gateway/keystone-gateway/tenants"
)

// servedHouse is a house that serves: each request is answered with its method and path.
type servedHouse struct {
	*house
	mu       sync.Mutex
	failures []string // of handshakes
	strange  []string // peers without a header of the PROXY protocol
}

func serving(t *testing.T, settings listener.Settings, limits Limits) *servedHouse {
	t.Helper()
	o := &servedHouse{house: &house{}}
	o.account.Open(&o.process)
	requests, coding := tenants.DefaultRequestLimits(), tenants.DefaultCompression()
	g := &exchange.Generation{Bounds: exchange.NewBounds(&requests, tenants.ClientTimeoutsConfig{}, &coding)}
	g.Health = func(method, path []byte) (int, []byte, bool) {
		return 200, []byte(string(method) + " " + string(path)), true
	}
	plane := &exchange.Plane{Draining: o.draining.Load, Hops: exchange.NewHops(), Log: zerolog.Nop(), Memory: &o.process, Observers: exchange.Observe()}
	o.Server = &Server{
		Plane: plane, Memory: &o.account, Open: o.connections.Load,
		NoHandshake: func(_ int, peer, name, reason string) { o.note(&o.failures, peer+" "+name+": "+reason) },
		NoHeader:    func(_ int, peer netip.Addr, why error) { o.note(&o.strange, peer.String()+": "+why.Error()) },
	}
	o.Limits.Store(&limits)
	o.Awake.Store(1 << 60)
	sweeper := socket.NewSweeper()
	at, err := listener.Listen(listener.Options{Address: "127.0.0.1:0", Sweeper: sweeper, Settings: settings})
	if err != nil {
		t.Fatal(err)
	}
	o.at = at
	g.Entrances = make([]*exchange.Entrance, at.Number()+1)
	g.Entrances[at.Number()] = &exchange.Entrance{}
	plane.Current = func() *exchange.Generation { return g }
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { sweeper.Run(ctx) })
	running.Go(func() { _ = at.WakeSleepers(ctx) })
	fast := o.Fast()
	running.Go(func() { _ = fast.Serve(at.Wrapped(o.Connect)) })
	t.Cleanup(func() {
		_ = at.Close()
		o.CloseAll(errAnything, nil)
		cancel()
		running.Wait()
	})
	return o
}

func (o *servedHouse) note(to *[]string, text string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	*to = append(*to, text)
}

func (o *servedHouse) noted(from *[]string) string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return strings.Join(*from, "; ")
}

// usual are limits that nothing reaches.
func usual() Limits {
	return Limits{Header: hour, Keepalive: hour, HalfClose: hour, Linger: hour, LingerIdle: hour, MaxHeader: 1000}
}

func (o *servedHouse) dial(t *testing.T) *net.TCPConn {
	t.Helper()
	conn, err := net.Dial("tcp", o.at.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(time.Minute))
	return conn.(*net.TCPConn)
}
