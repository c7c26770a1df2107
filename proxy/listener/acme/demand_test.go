package acme_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/keystone-gateway/keystone-gateway/proxy/listener/acme"
	"github.com/keystone-gateway/keystone-gateway/proxy/settings"
	"github.com/keystone-gateway/keystone-gateway/test/authority"
)

// asker answers asks, and counts them.
type asker struct {
	url   string
	asked atomic.Int64
	says  atomic.Int64 // a status
}

func startAsker(t *testing.T) *asker {
	t.Helper()
	a := &asker{}
	a.says.Store(http.StatusOK)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		a.asked.Add(1)
		if r.URL.Query().Get("domain") == "" || r.URL.Query().Get("key") != "k" {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		w.WriteHeader(int(a.says.Load()))
	}))
	t.Cleanup(server.Close)
	a.url = server.URL + "/?key=k"
	return a
}

// onDemand is a section with an ask, and without bounds that a test would reach.
func onDemand(ca *authority.Authority, ask string) *acme.Config {
	return section(ca, func(c *acme.Config) {
		c.OnDemand.Ask, c.OnDemand.AsksPerSecond, c.OnDemand.Wait = ask, 10_000, settings.Duration(patience)
	})
}

// TestOnDemand orders at the first handshake what an ask allows, once, and renews
// what is used and is still allowed.
func TestOnDemand(t *testing.T) {
	t.Parallel()
	at := reserve(t)
	ca, ask := authority.Start(t, authority.Options{HTTPPort: at.http.Port, TLSPort: at.tls.Port, Lifetime: 6 * 24 * 3600}), startAsker(t)
	dir := t.TempDir()
	g := start(t, dir)
	g.listen(t, at)
	tenants := []acme.Tenant{auto("a", "*.example.com"), auto("any"), {Name: "b", Domains: []string{"b.example.com", "*.b.example.com"}}}
	g.use(t, onDemand(ca, ask.url), tenants...)
	var clients sync.WaitGroup
	for range 20 { // at once
		clients.Go(func() { g.chain("x.example.com") })
	}
	clients.Wait()
	g.serves(t, ca, "x.example.com")
	g.serves(t, ca, "Elsewhere.example.org")
	if orders, asked := ca.Orders(), ask.asked.Load(); orders != 2 || asked != 2 {
		t.Errorf("%d orders and %d asks for two names", orders, asked)
	}
	for _, name := range []string{"b.example.com", "c.b.example.com", "localhost", "127.0.0.1", "a_b.example.com", "-.", ""} {
		if chain := g.chain(name); chain != nil {
			t.Errorf("%q has a certificate for %v", name, chain[0].DNSNames)
		}
	}
	if asked := ask.asked.Load(); asked != 2 {
		t.Errorf("%d asks, want none about names that are another tenant's or can't be certified", asked-2)
	}
	g.end() // and a new one begins with what there is
	ask.says.Store(http.StatusForbidden)
	g = start(t, dir)
	g.use(t, onDemand(ca, ask.url), tenants...)
	eventually(t, "what there is is taken up", func() bool { return g.chain("x.example.com") != nil })
	g.serves(t, ca, "x.example.com")
	if asked := ask.asked.Load(); asked != 2 {
		t.Errorf("%d asks for what is there", asked-2)
	}
	g.later(g.status("x.example.com").NotAfter.Add(-time.Hour))
	eventually(t, "a name that is refused by now is given up", func() bool { return g.status("x.example.com").Name == "" })
	if orders := ca.Orders(); orders != 2 {
		t.Errorf("%d orders, want 2", orders)
	}
}

// TestUnknownNames has a thousand names asked for that nobody has allowed: nothing
// is ordered, a no is remembered, and no more is asked than may be.
func TestUnknownNames(t *testing.T) {
	t.Parallel()
	at := reserve(t)
	ca, ask := authority.Start(t, authority.Options{HTTPPort: at.http.Port, TLSPort: at.tls.Port}), startAsker(t)
	ask.says.Store(http.StatusNotFound)
	g := start(t, t.TempDir())
	c := onDemand(ca, ask.url)
	c.OnDemand.AsksPerSecond = 20
	g.use(t, c, auto("a", "*.example.com"), auto("shop", "shop.example.org"))
	eventually(t, "somebody is asked", func() bool { return g.chain("again.example.com") == nil && ask.asked.Load() > 0 })
	for range 5 {
		if g.chain("again.example.com") != nil || ask.asked.Load() != 1 {
			t.Fatalf("%d asks for a name that was refused", ask.asked.Load())
		}
	}
	began := time.Now()
	var clients sync.WaitGroup
	for client := range 10 {
		clients.Go(func() {
			for i := range 100 {
				if g.chain(fmt.Sprintf("%d.example.com", 100*client+i)) != nil {
					t.Errorf("name %d has a certificate", 100*client+i)
				}
			}
		})
	}
	clients.Wait()
	if most := int64(10 * (time.Since(began)/time.Second + 3)); ask.asked.Load() > most || ask.asked.Load() < 10 {
		t.Errorf("%d asks in %v, want 10 to %d", ask.asked.Load(), time.Since(began), most)
	}
	if g.chain("0.example.com") != nil || g.Counters().TurnedAway == 0 {
		t.Errorf("%+v", g.Counters())
	}
	if orders := ca.Orders(); orders != 0 && !strings.HasPrefix(g.status("shop.example.org").Name, "shop") {
		t.Errorf("%d orders", orders)
	}
	for _, is := range g.Status() {
		if is.OnDemand {
			t.Errorf("%+v", is)
		}
	}
}

// TestBounds lets no handshake wait longer than it may, whoever hangs, and no tenant
// have more than it may.
func TestBounds(t *testing.T) {
	t.Parallel()
	at := reserve(t)
	hang := make(chan struct{})
	var hangs atomic.Bool
	hangs.Store(true)
	ca := authority.Start(t, authority.Options{HTTPPort: at.http.Port, TLSPort: at.tls.Port, Before: func(http.ResponseWriter, *http.Request) bool {
		if hangs.Load() {
			<-hang
		}
		return false
	}})
	ask := startAsker(t)
	g := start(t, t.TempDir())
	g.listen(t, at)
	c := onDemand(ca, ask.url)
	c.OnDemand.Wait, c.OnDemand.MaxNames, c.OrdersPerHour, c.OrdersPerHourAndTenant = settings.Duration(10*time.Millisecond), 4, 3, 2
	g.use(t, c, auto("a", "*.example.com"), auto("b", "b.example.org", "c.example.org", "d.example.org"))
	if g.chain("x.example.com") != nil {
		t.Error("there is a certificate, although the authority hangs")
	}
	hangs.Store(false)
	close(hang)
	eventually(t, "it comes for a later client", func() bool { return g.chain("x.example.com") != nil })
	c.OnDemand.Wait = settings.Duration(patience)
	g.use(t, c, auto("a", "*.example.com"), auto("b", "b.example.org", "c.example.org", "d.example.org"))
	eventually(t, "three orders are placed", func() bool { return ca.Orders() == 3 })
	waiting := 0
	eventually(t, "what is beyond the budget waits", func() bool {
		waiting = 0
		for _, is := range g.Status() {
			if is.State == acme.Waiting && strings.Contains(is.Error, "orders_per_hour") {
				waiting++
			}
		}
		return waiting > 0
	})
	if waiting != 1 {
		t.Errorf("%d names wait: %+v", waiting, g.Status())
	}
}
