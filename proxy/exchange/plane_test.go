package exchange_test

import (
	"bufio"
	"cmp"
	"context"
	"fmt"
	"io"
	"net"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/rs/zerolog"

	"github.com/keystone-gateway/keystone-gateway/proxy/exchange"
	"github.com/keystone-gateway/keystone-gateway/proxy/exchange/exchangetest"
	"github.com/keystone-gateway/keystone-gateway/proxy/memory"
	"github.com/keystone-gateway/keystone-gateway/proxy/socket"
	"github.com/keystone-gateway/keystone-gateway/tenants"
	"github.com/keystone-gateway/keystone-gateway/tenants/network"
	"github.com/keystone-gateway/keystone-gateway/tenants/route"
	"github.com/keystone-gateway/keystone-gateway/test/raw"
	"github.com/keystone-gateway/keystone-gateway/upstream"
)

// newPlane is a data plane with one tenant, whose targets are these.
func newPlane(t *testing.T, observer exchange.Observer, urls ...string) *exchange.Plane {
	t.Helper()
	return changedPlane(t, observer, nil, urls...)
}

// changedPlane is newPlane with a generation or a tenant that isn't the usual one.
func changedPlane(t testing.TB, observer exchange.Observer, change func(*exchange.Generation, *exchange.Tenant), urls ...string) *exchange.Plane {
	t.Helper()
	return dialledPlane(t, observer, change, nil, urls...)
}

// weightlessPlane is newPlane with targets of weight 0.
func weightlessPlane(t testing.TB, observer exchange.Observer, urls ...string) *exchange.Plane {
	t.Helper()
	return builtPlane(t, observer, nil, nil, 0, urls...)
}

// dialledPlane is changedPlane with another way to connect to targets.
func dialledPlane(t testing.TB, observer exchange.Observer, change func(*exchange.Generation, *exchange.Tenant),
	dial dialler, urls ...string,
) *exchange.Plane {
	t.Helper()
	return builtPlane(t, observer, change, dial, 1, urls...)
}

type dialler = func(ctx context.Context, network, address string) (net.Conn, error)

func builtPlane(t testing.TB, observer exchange.Observer, change func(*exchange.Generation, *exchange.Tenant), dial dialler, weight int, urls ...string) *exchange.Plane {
	t.Helper()
	sweeper := socket.NewSweeper()
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(cancel)
	go sweeper.Run(ctx)
	registry := upstream.NewRegistry(upstream.Options{Log: zerolog.Nop(), Sweeper: sweeper, Dial: dial})
	t.Cleanup(registry.Close)
	config := upstream.PoolConfig{Name: "a", Health: upstream.DefaultHealth(), Connections: upstream.DefaultConnections()}
	for i, url := range urls {
		config.Services = append(config.Services, upstream.ServiceConfig{Name: fmt.Sprint("t", i+1), URL: url, Weight: weight})
	}
	pools, err := registry.Build([]upstream.PoolConfig{config})
	if err != nil {
		t.Fatal(err)
	}
	registry.Activate(pools)
	limits, coding := tenants.DefaultRequestLimits(), tenants.DefaultCompression()
	tenant := &exchange.Tenant{Name: "a", Config: &tenants.Config{}, Pool: pools.Pool("a"), Stats: new(exchange.Stats)}
	tenant.Stats.Memory.Open(new(memory.Process))
	tenant.Bounds = exchange.NewBounds(&limits, tenants.ClientTimeoutsConfig{}, &coding)
	e := &exchange.Entrance{}
	g := &exchange.Generation{Bounds: tenant.Bounds, Entrances: []*exchange.Entrance{e}}
	if change != nil {
		change(g, tenant)
	}
	if e.Table, err = route.Build([]route.Entry[*exchange.Tenant]{
		{Name: "a", Domains: []string{"a.example.com"}, Value: tenant}, {Name: "b", PathPrefix: "/any", Value: tenant},
	}); err != nil {
		t.Fatal(err)
	}
	return &exchange.Plane{
		Current: func() *exchange.Generation { return g }, Observers: exchange.Observe(atEnd{}, observer), Draining: func() bool { return false },
		Hops: exchange.NewHops(), Log: zerolog.Nop(), Memory: new(memory.Process),
	}
}

// trusting believes what peers on this machine and these networks say.
func trusting(g *exchange.Generation, _ *exchange.Tenant) {
	e := g.Entrances[0]
	e.Trusted, e.TrustUnix = network.ParseSet([]string{"127.0.0.0/8", "198.51.100.0/24", "2001:db8:1::/48", "unix"})
}

// recorder is a target that gives every request the same answer, and keeps what
// it has got.
type recorder struct {
	url, answer string
	closes      atomic.Bool // after an answer

	mu  sync.Mutex
	got []string // guarded by mu
}

func record(t *testing.T, answer string) *recorder {
	t.Helper()
	r := &recorder{answer: answer}
	r.url = "http://" + raw.Serve(t, r.serve)
	return r
}

func (r *recorder) serve(conn net.Conn) {
	for in := bufio.NewReader(conn); ; {
		text, err := readRequest(in)
		if err != nil {
			return
		}
		r.mu.Lock()
		r.got = append(r.got, text)
		r.mu.Unlock()
		if _, err := io.WriteString(conn, r.answer); err != nil || r.closes.Load() || r.answer == "" {
			return
		}
	}
}

// last is the request that came last, as it came, but for what differs each time.
func (r *recorder) last(id string) string {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.got) == 0 {
		return ""
	}
	text := strings.ReplaceAll(r.got[len(r.got)-1], strings.TrimPrefix(r.url, "http://"), "TARGET")
	return strings.ReplaceAll(text, id, "ID")
}

var lengthLine = regexp.MustCompile(`(?m)^Content-Length: (\d+)\r$`)

// readRequest reads one request as it comes.
func readRequest(in *bufio.Reader) (string, error) {
	var text strings.Builder
	until := func(end string) error {
		for {
			line, err := in.ReadString('\n')
			text.WriteString(line)
			if err != nil || line == end {
				return err
			}
		}
	}
	if err := until("\r\n"); err != nil {
		return "", err
	}
	head := text.String()
	if strings.Contains(head, "\r\nTransfer-Encoding: chunked\r\n") {
		err := cmp.Or(until("0\r\n"), until("\r\n"))
		return text.String(), err
	}
	if found := lengthLine.FindStringSubmatch(head); found != nil {
		n, _ := strconv.ParseInt(found[1], 10, 64)
		_, err := io.CopyN(&text, in, n)
		return text.String(), err
	}
	return head, nil
}

// client is a stream with another client than the usual one.
type client struct {
	exchangetest.Stream
	who *exchange.Client
}

func (c *client) Client() *exchange.Client {
	if c.who == nil {
		return c.Stream.Client()
	}
	return c.who
}
