package acme_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/keystone-gateway/keystone-gateway/proxy/listener/acme"
	"github.com/keystone-gateway/keystone-gateway/proxy/settings"
	"github.com/keystone-gateway/keystone-gateway/test/authority"
)

// asking is a tenant whose names ask says about.
func asking(name string, ask acme.Ask) acme.Tenant {
	t := auto(name, "*."+name+".example.com")
	t.Ask = ask
	return t
}

// TestFlightsOfOthers: tenants that are attacked at once, and whose asks hang, leave room
// for others' names.
func TestFlightsOfOthers(t *testing.T) {
	t.Parallel()
	ca := authority.Start(t, authority.Options{})
	g := start(t, t.TempDir())
	c := onDemand(ca, "")
	c.OnDemand.Wait, c.OnDemand.Timeout = settings.Duration(time.Millisecond), settings.Duration(patience)
	var attacked, asked atomic.Int64
	hang := func(ctx context.Context, _ string) (bool, error) {
		attacked.Add(1)
		<-ctx.Done()
		return false, context.Cause(ctx)
	}
	var tenants []acme.Tenant
	for i := range 8 { // more than it takes to have all places
		tenants = append(tenants, asking(fmt.Sprint("t", i), hang))
	}
	for i := range 8 {
		tenants = append(tenants, asking(fmt.Sprint("u", i), func(context.Context, string) (bool, error) { asked.Add(1); return false, nil }))
	}
	g.use(t, c, tenants...)
	for _, tenant := range tenants[:8] {
		for i := range 70 {
			g.chain(fmt.Sprint(i, tenant.Domains[0][1:]))
		}
	}
	eventually(t, "the attacked have all places", func() bool { return attacked.Load() >= 64 })
	if n := attacked.Load(); n > 64+8 {
		t.Errorf("%d names are on their way", n)
	}
	for i := range 8 {
		g.chain(fmt.Sprint("x.u", i, ".example.com"))
	}
	eventually(t, "others' names are asked about", func() bool { return asked.Load() == 8 })
}

// TestAsksOfOthers: tenants that are attacked at once leave questions to others.
func TestAsksOfOthers(t *testing.T) {
	t.Parallel()
	ca := authority.Start(t, authority.Options{})
	g := start(t, t.TempDir())
	c := onDemand(ca, "")
	c.OnDemand.AsksPerSecond = 20
	var asked [3]atomic.Int64
	var tenants []acme.Tenant
	for i := range asked {
		tenants = append(tenants, asking(fmt.Sprint("t", i), func(context.Context, string) (bool, error) { asked[i].Add(1); return false, nil }))
	}
	g.use(t, c, tenants...)
	stop := make(chan struct{})
	var attack sync.WaitGroup
	for i := range 2 {
		attack.Go(func() {
			for n := 0; ; n++ {
				select {
				case <-stop:
					return
				default:
					g.chain(fmt.Sprint(n, ".t", i, ".example.com"))
				}
			}
		})
	}
	eventually(t, "the attacked have used the questions up", func() bool { return g.Counters().TurnedAway > 20 })
	g.chain("x.t2.example.com")
	if asked[2].Load() != 1 {
		t.Error("nobody was asked about the name of a tenant that isn't attacked")
	}
	close(stop)
	attack.Wait()
}

// TestOrdersOfOthers: a tenant with many names that take long leaves room to others.
func TestOrdersOfOthers(t *testing.T) {
	t.Parallel()
	hang := make(chan struct{})
	ca := authority.Start(t, authority.Options{Before: func(http.ResponseWriter, *http.Request) bool { <-hang; return false }})
	g := start(t, t.TempDir())
	defer g.end()
	defer close(hang)
	c := section(ca, func(c *acme.Config) { c.OrdersPerHour, c.OrdersPerHourAndTenant = 1000, 500 })
	var many []string
	for i := range 50 {
		many = append(many, fmt.Sprint(i, ".example.com"))
	}
	g.use(t, c, auto("a", many...))
	ordering := func(tenant string) (n int) {
		for _, is := range g.Status() {
			if is.Tenant == tenant && is.State == acme.Ordering {
				n++
			}
		}
		return n
	}
	eventually(t, "as many are ordered as one tenant may have", func() bool { return ordering("a") == 8 })
	all := []acme.Tenant{auto("a", many...)}
	for i := range 10 {
		all = append(all, auto(fmt.Sprint("b", i), fmt.Sprint("one.b", i, ".example.com"), fmt.Sprint("two.b", i, ".example.com")))
	}
	g.use(t, c, all...)
	for _, tenant := range all[1:] {
		eventually(t, "those of others are ordered", func() bool { return ordering(tenant.Name) >= 1 })
	}
	if n := ordering("a"); n != 8 {
		t.Errorf("%d of the first one's names are ordered", n)
	}
}

// TestReloadMeanwhile: who waits for a name on demand gets it although a reload comes
// between, in each of its stages.
func TestReloadMeanwhile(t *testing.T) {
	t.Parallel()
	for name, reload := range map[string]func(c *acme.Config, tenant *acme.Tenant){
		"the same":        func(*acme.Config, *acme.Tenant) {},
		"another storage": func(c *acme.Config, _ *acme.Tenant) { c.Storage = filepath.Join("elsewhere", "acme") },
		"a name spelt out": func(_ *acme.Config, tenant *acme.Tenant) { // which nobody is asked about
			tenant.Domains, tenant.Ask = append(tenant.Domains, "x.a.example.com"), nil
		},
		"another tenant's": func(_ *acme.Config, tenant *acme.Tenant) { tenant.Name = "b" },
	} {
		for _, ordered := range []bool{false, true} {
			t.Run(fmt.Sprint(name, ", ordered: ", ordered), func(t *testing.T) {
				t.Parallel()
				at := reserve(t)
				reached, goOn := make(chan struct{}), make(chan struct{})
				var once sync.Once
				meet := func() { once.Do(func() { close(reached); <-goOn }) }
				ca := authority.Start(t, authority.Options{HTTPPort: at.http.Port, TLSPort: at.tls.Port, Before: func(_ http.ResponseWriter, r *http.Request) bool {
					if ordered && r.URL.Path == "/order-plz" {
						meet()
					}
					return false
				}})
				g := start(t, t.TempDir())
				g.listen(t, at)
				g.use(t, onDemand(ca, ""), asking("a", func(context.Context, string) (bool, error) {
					if !ordered {
						meet()
						return false, errors.New("these scripts have ended")
					}
					return true, nil
				}))
				got := make(chan bool)
				go func() { got <- g.chain("x.a.example.com") != nil }()
				<-reached
				c, tenant := onDemand(ca, ""), asking("a", func(context.Context, string) (bool, error) { return true, nil })
				reload(c, &tenant)
				g.use(t, c, tenant)
				close(goOn)
				if !<-got {
					t.Errorf("the handshake has failed; %+v", g.Status())
				}
			})
		}
	}
}
