package upstream_test

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/keystone-gateway/keystone-gateway/upstream"
)

func named() upstream.PoolConfig {
	return upstream.PoolConfig{
		Name: "tenant", Services: services("http://app.example:80"), Health: interval(time.Second),
	}
}

func TestNamesKeepTheLastGoodAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network := newNetwork()
		network.name("app.example", "10.0.0.1")
		network.listen(addr, silent)
		r := upstream.NewRegistry(options(network))
		defer r.Close()
		target := start(t, r, named()).Pools()[0].Targets()[0]
		network.name("app.example") // DNS fails
		time.Sleep(10 * time.Minute)
		if s := target.State(); !target.Healthy() || s.LastError != "" || network.count(addr) < 500 {
			t.Errorf("got %+v, %d probes; expected probes of the last good address", s, network.count(addr))
		}
		// A new answer is followed without a transition, IPv6 too.
		network.listen("[2001:db8::1]:80", silent)
		network.name("app.example", "2001:db8::1")
		time.Sleep(34 * time.Second)
		network.kill(addr)
		before := network.count(addr)
		time.Sleep(10 * time.Minute)
		if n := network.count("[2001:db8::1]:80"); n < 500 || network.count(addr) != before || target.Transitions.Load() != 0 {
			t.Errorf("%d probes of the new address, %d of the old one, %d transitions; expected all on the new one",
				n, network.count(addr)-before, target.Transitions.Load())
		}
	})
}

func TestUnresolvedTargetStartsDown(t *testing.T) {
	for name, health := range map[string]upstream.HealthConfig{
		"probed": interval(time.Second), "not probed": upstream.DefaultHealth(),
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { unresolved(t, health) })
		})
	}
}

func unresolved(t *testing.T, health upstream.HealthConfig) {
	network := newNetwork()
	network.listen(addr, silent)
	r := upstream.NewRegistry(options(network))
	defer r.Close()
	c := named()
	c.Health = health
	begun := time.Now()
	pool := start(t, r, c).Pools()[0]
	if took := time.Since(begun); took > 2*time.Second {
		t.Errorf("Build took %v, expected at most 2s", took)
	}
	target := pool.Targets()[0]
	if s := target.State(); target.Healthy() || !strings.Contains(s.LastError, `cannot resolve "app.example"`) {
		t.Errorf("got %+v, expected an unhealthy target that can't be resolved", s)
	}
	network.name("app.example", "10.0.0.1")
	time.Sleep(time.Second)
	synctest.Wait()
	if got, err := pool.Pick(nil); got != target || err != nil {
		t.Errorf("a second after DNS works: got %v, %v; expected the target", got, err)
	}
}

func TestLastGoodAddressComesFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network := newNetwork()
		network.name("app.example", "10.0.0.1", "10.0.0.2", "2001:db8::1")
		network.listen("[2001:db8::1]:80", silent)
		r := upstream.NewRegistry(options(network))
		defer r.Close()
		target := start(t, r, named()).Pools()[0].Targets()[0]
		time.Sleep(time.Minute)
		if network.count(addr) != 1 || network.count("10.0.0.2:80") != 1 || network.count("[2001:db8::1]:80") < 50 || !target.Healthy() {
			t.Errorf("%d, %d and %d connects; expected one to each dead address, then only the good one",
				network.count(addr), network.count("10.0.0.2:80"), network.count("[2001:db8::1]:80"))
		}
	})
}

func TestNamesAreShared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network := newNetwork()
		network.name("app.example", "10.0.0.1")
		r := upstream.NewRegistry(options(network))
		defer r.Close()
		a, b := named(), named()
		a.Health, b.Health, b.Name = upstream.DefaultHealth(), upstream.DefaultHealth(), "other"
		start(t, r, a, b)
		time.Sleep(10*time.Minute + 15*time.Second)
		if n := network.lookups(); n != 21 {
			t.Errorf("%d lookups in ten minutes, expected 21", n)
		}
		start(t, r) // nobody uses the name any more
		time.Sleep(10 * time.Minute)
		if n := network.lookups(); n != 21 {
			t.Errorf("%d lookups of a name that nobody uses", n-21)
		}
	})
}
