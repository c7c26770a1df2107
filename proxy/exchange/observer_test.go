package exchange_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"

	"github.com/rs/zerolog"

	"github.com/keystone-gateway/keystone-gateway/proxy/exchange"
	"github.com/keystone-gateway/keystone-gateway/proxy/exchange/exchangetest"
	"github.com/keystone-gateway/keystone-gateway/proxy/memory"
	"github.com/keystone-gateway/keystone-gateway/proxy/message"
	"github.com/keystone-gateway/keystone-gateway/proxy/socket"
	"github.com/keystone-gateway/keystone-gateway/tenants"
	"github.com/keystone-gateway/keystone-gateway/tenants/route"
	"github.com/keystone-gateway/keystone-gateway/upstream"
)

// notes are what an observer was told, in order.
type notes []string

func (n *notes) Begin(*exchange.Record) { *n = append(*n, "begin") }

func (n *notes) Stage(_ *exchange.Record, s exchange.Stage) {
	*n = append(*n, fmt.Sprint("stage ", s))
}

func (n *notes) Attempt(r *exchange.Record, t *upstream.Target, failure error) {
	*n = append(*n, fmt.Sprintf("attempt %s for %s, failed %v", t.Name(), r.Tenant.Name, failure != nil))
}

func (n *notes) End(r *exchange.Record) {
	*n = append(*n, fmt.Sprintf("end %d %q, %d out, %d attempts", r.Status, r.Code, r.BytesOut, r.Attempts))
}

// atEnd is an observer that wants to know nothing else.
type atEnd struct{}

func (atEnd) End(*exchange.Record) {}

// newPlane is a data plane with one tenant, whose targets are these.
func newPlane(t *testing.T, observer exchange.Observer, urls ...string) *exchange.Plane {
	t.Helper()
	sweeper := socket.NewSweeper()
	registry := upstream.NewRegistry(upstream.Options{Log: zerolog.Nop(), Sweeper: sweeper})
	t.Cleanup(registry.Close)
	config := upstream.PoolConfig{Name: "a", Health: upstream.DefaultHealth(), Connections: upstream.DefaultConnections()}
	for i, url := range urls {
		config.Services = append(config.Services, upstream.ServiceConfig{Name: fmt.Sprint("t", i+1), URL: url, Weight: 1})
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
	g := &exchange.Generation{Bounds: tenant.Bounds}
	if g.Table, err = route.Build([]route.Entry[*exchange.Tenant]{{Name: "a", Domains: []string{"a.example.com"}, Value: tenant}}); err != nil {
		t.Fatal(err)
	}
	return &exchange.Plane{
		Current: func() *exchange.Generation { return g }, Observers: exchange.Observe(atEnd{}, observer), Draining: func() bool { return false },
		Hops: exchange.NewHops(), Log: zerolog.Nop(), Memory: new(memory.Process),
	}
}

// TestObserver: one place is told of all that happens, in the order in which it
// does.
func TestObserver(t *testing.T) {
	t.Parallel()
	answers := func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("hello")) }
	target := httptest.NewServer(http.HandlerFunc(answers))
	t.Cleanup(target.Close)
	for name, c := range map[string]struct {
		head    message.Request
		refused error
		want    notes
	}{
		"forwarded": {head: exchangetest.Request("GET", "a.example.com", "/"), want: notes{
			"begin", "stage 1", "stage 2", "stage 3", "stage 5", "attempt t1 for a, failed false", "stage 6", `end 200 "", 5 out, 1 attempts`,
		}},
		"no tenant": {head: exchangetest.Request("GET", "b.example.com", "/"), want: notes{
			"begin", "stage 1", "stage 2", `end 404 "no_tenant", 112 out, 0 attempts`,
		}},
		"refused": {refused: message.BadHost, want: notes{"begin", "stage 1", `end 400 "bad_host", 118 out, 0 attempts`}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var told notes
			plane := newPlane(t, &told, target.URL)
			plane.Serve(&exchangetest.Stream{Head: c.head, Refused: c.refused})
			if !slices.Equal(told, c.want) {
				t.Errorf("told %q, want %q", told, c.want)
			}
			if n := plane.InFlight(); n != 0 {
				t.Errorf("%d requests are still under way", n)
			}
		})
	}
}

// TestObserverOfFailures: each attempt is told of, whatever became of it.
func TestObserverOfFailures(t *testing.T) {
	t.Parallel()
	closed := httptest.NewServer(nil)
	closed.Close()
	var told notes
	newPlane(t, &told, closed.URL).Serve(&exchangetest.Stream{Head: exchangetest.Request("GET", "a.example.com", "/")})
	want := notes{"begin", "stage 1", "stage 2", "stage 3", "stage 5", "attempt t1 for a, failed true"}
	if len(told) < len(want) || !slices.Equal(told[:len(want)], want) {
		t.Errorf("told %q, want %q first", told, want)
	}
}
