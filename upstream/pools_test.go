package upstream_test

import (
	"errors"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/keystone-gateway/keystone-gateway/upstream"
	"github.com/keystone-gateway/keystone-gateway/upstream/balance"
)

// TestSharedTargets: a URL in two pools of a tenant is one target, with one health, and
// a weight in each.
func TestSharedTargets(t *testing.T) {
	t.Parallel()
	r := upstream.NewRegistry(upstream.Options{Dial: newNetwork().Dial})
	defer r.Close()
	one := upstream.PoolConfig{Name: "tenant", Services: services("http://10.0.0.1", "http://10.0.0.2")}
	two := upstream.PoolConfig{Name: "tenant", Pool: "two", Services: services("http://10.0.0.2", "http://10.0.0.3")}
	two.Services[0].Weight = 7
	other := upstream.PoolConfig{Name: "other", Pool: "two", Services: services("http://10.0.0.2")}
	g := start(t, r, one, two, other)
	first, second := g.Pool("tenant"), g.Named("tenant", "two")
	shared := first.Targets()[1]
	if second.Targets()[0] != shared || g.Named("other", "two").Targets()[0] == shared || g.Pool("other") != nil || g.Named("tenant", "default") != first {
		t.Fatal("targets are shared where they shouldn't be, or not where they should")
	}
	if first.Name() != "default" || second.Name() != "two" || second.Tenant() != "tenant" || first.States()[1].Weight != 1 || second.States()[0].Weight != 7 || second.Algorithm() != "round_robin" {
		t.Errorf("the pools are %q %+v and %q %+v", first.Name(), first.States(), second.Name(), second.States())
	}
	shared.MarkConnectFailure(errors.New("refused"))
	if first.Healthy() != 1 || second.Healthy() != 1 {
		t.Errorf("a target is down, and its pools have %d and %d healthy ones", first.Healthy(), second.Healthy())
	}
	second.Targets()[1].MarkConnectFailure(errors.New("refused"))
	if _, _, err := do(second, &plainRequest{method: "GET", path: "/"}); err == nil || !strings.Contains(err.Error(), `no target of the pool "two" is healthy: "10.0.0.2:80" is down`) {
		t.Errorf("got %v, want the pool's name", err)
	}

	two.Services = two.Services[1:]
	g = start(t, r, two, one) // it stays in one of them
	if g.Pool("tenant").Targets()[1] != shared || shared.Healthy() {
		t.Error("a target that stays in a pool is another one, or has forgotten how it is")
	}
	start(t, r, two)
	if g = start(t, r, one); g.Pool("tenant").Targets()[1] == shared {
		t.Error("a target that was in no pool is there again")
	}
	if _, err := r.Build([]upstream.PoolConfig{two, two}); err == nil || !strings.Contains(err.Error(), `the pool "two" of tenant "tenant": the name is taken`) {
		t.Errorf("got %v", err)
	}
}

// TestTiers: which targets come first.
func TestTiers(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		tiers []int
		zones []string
		zone  string
		order string // in which targets are picked when one after the other goes down
	}{
		{[]int{0, 0, 0}, []string{"", "", ""}, "", "abc"},
		{[]int{2, 1, 0}, []string{"", "", ""}, "", "cba"},
		{[]int{0, 5, 1}, []string{"", "x", ""}, "", "acb"},
		{[]int{0, 0, 0}, []string{"x", "x", "y"}, "y", "cab"},
		{[]int{0, 1, 1}, []string{"x", "x", "y"}, "y", "acb"},
	} {
		r := upstream.NewRegistry(upstream.Options{Dial: newNetwork().Dial})
		config := upstream.PoolConfig{Name: "tenant", Services: services("http://10.0.0.1", "http://10.0.0.2", "http://10.0.0.3"), Balance: balance.First(balance.RoundRobin()), Zone: c.zone}
		for i := range config.Services {
			s := &config.Services[i]
			s.Name, s.Tier, s.Zone = string(rune('a'+i)), c.tiers[i], c.zones[i]
		}
		p := start(t, r, config).Pool("tenant")
		got := ""
		for range 3 {
			target, err := p.Pick(nil)
			if err != nil {
				t.Fatal(err)
			}
			got += target.Name()
			target.MarkConnectFailure(errors.New("refused"))
		}
		if got != c.order {
			t.Errorf("%+v: got %s", c, got)
		}
		r.Close()
	}
}

// TestLatency: a target of a pool that asks knows how long it takes.
func TestLatency(t *testing.T) {
	t.Parallel()
	for _, a := range []balance.Algorithm{balance.PeakEWMA(nil), balance.RoundRobin()} {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		server := &http.Server{ReadHeaderTimeout: time.Minute, Handler: http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})}
		go func() { _ = server.Serve(listener) }()
		r := upstream.NewRegistry(upstream.Options{})
		p := start(t, r, upstream.PoolConfig{Name: "tenant", Services: services("http://" + listener.Addr().String()), Balance: a}).Pool("tenant")
		target := p.Targets()[0]
		before := target.Latency()
		if code, _, err := do(p, &plainRequest{method: "GET", path: "/"}); code != 200 || err != nil {
			t.Fatal(code, err)
		}
		if got := target.Latency(); before != 0 || (got > 0) != a.Times || got > 60e9 {
			t.Errorf("%s: it takes %v ns, and took %v before it was asked", a.Name, got, before)
		}
		r.Close()
		_ = server.Close()
	}
}
