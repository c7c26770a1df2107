package proxy

import (
	"math"
	"slices"
	"testing"

	"github.com/keystone-gateway/keystone-gateway/lua"
	"github.com/keystone-gateway/keystone-gateway/proxy/exchange"
	"github.com/keystone-gateway/keystone-gateway/proxy/listener"
	"github.com/keystone-gateway/keystone-gateway/proxy/settings"
	"github.com/keystone-gateway/keystone-gateway/proxy/socket"
	"github.com/keystone-gateway/keystone-gateway/tenants"
)

// TestMemoryIsShared: the ceiling is five eighths of what the process may use, unless
// it is set, and a tenant's requests may hold a quarter of it, unless that is.
func TestMemoryIsShared(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		available, set, ofTenant int64
		ceiling, limit           int64
	}{
		{8000, 0, 0, 5000, 1250}, {8007, 0, 0, 5000, 1250}, {0, 0, 0, 0, 0}, {8000, 400, 0, 400, 100}, {8000, 400, 7, 400, 7}, {0, 0, 9, 0, 9},
	} {
		s := &Server{available: c.available}
		config := &Config{}
		config.Server.MaxMemory = settings.Size(c.set)
		own := &tenants.Config{Name: "a"}
		own.MaxClientMemory = settings.Size(c.ofTenant)
		one := &tenant{Tenant: exchange.Tenant{Config: own, Stats: &exchange.Stats{}}}
		s.limitMemory(&snapshot{config: config, tenants: []*tenant{one}})
		if s.memory.Ceiling() != c.ceiling || one.Stats.Memory.Limit() != c.limit || s.unrouted.Memory.Limit() != c.ceiling/4 {
			t.Errorf("%+v: a ceiling of %d, %d for the tenant, %d for nobody's", c, s.memory.Ceiling(), one.Stats.Memory.Limit(), s.unrouted.Memory.Limit())
		}
		if got := s.loadBudget(); got != (lua.Budget{Ceiling: c.ceiling}) {
			t.Errorf("loads have %+v", got)
		}
	}
}

// TestSharesOfDescriptors: who has how many.
func TestSharesOfDescriptors(t *testing.T) {
	t.Parallel()
	for n, want := range map[int]int{0: 0, 1: 1, 2: 2, 3: 3, 4: 3, 7: 6, 8: 7, 15: 14, 16: 14, 100: 88} {
		if got := shareOfOne(n); got != want {
			t.Errorf("of %d connections one address may have %d, want %d", n, got, want)
		}
	}
	most := ownDescriptors + 2*socket.MaxPipes
	for n, want := range map[int]int{0: 24, 95: 24, 96: 24, 100: 25, 1000: 250, 4 * most: most, 4*most + 400: most} {
		if got := reserved(n); got != min(want, most) {
			t.Errorf("of %d descriptors %d are the gateway's own, want %d", n, got, want)
		}
		if got := forConnections(n); got != max(0, n-min(want, most)) {
			t.Errorf("of %d descriptors %d are for connections", n, got)
		}
	}
	for n, want := range map[uint64]int{0: socket.MaxPipes, math.MaxInt32 + 1: socket.MaxPipes, 96: 0, 192: 12, 400: (100 - 50) / 2, 1 << 20: socket.MaxPipes} {
		if got := mostPipes(n); got != min(want, socket.MaxPipes) {
			t.Errorf("of %d descriptors %d pipes may be made, want %d", n, got, want)
		}
	}
	if placesBeside(10, 0) != nil || placesBeside(10, math.MaxInt32+1) != nil || placesBeside(10, math.MaxInt32) == nil || placesBeside(1000, 100) == nil {
		t.Error("places are bounded where the descriptors aren't known, or aren't where they are")
	}
	for _, c := range []struct{ wanted, descriptors, most int }{{576, 1024, 576}, {577, 1024, 576}, {575, 1024, 575}, {5, math.MaxInt32 + 1, 5}} {
		if got, _ := clampConnections(c.wanted, 0, uint64(c.descriptors)); got != c.most {
			t.Errorf("of %d connections with %d descriptors there may be %d, want %d", c.wanted, c.descriptors, got, c.most)
		}
	}
}

// TestListenerChanges: what a reload has done to listeners.
func TestListenerChanges(t *testing.T) {
	t.Parallel()
	at := func(name, address string, tls bool) listener.Config {
		return listener.Config{Name: name, Address: address, TLS: tls}
	}
	for _, c := range []struct {
		before, after []listener.Config
		want          []string
	}{
		{nil, nil, nil},
		{[]listener.Config{at("a", ":1", false)}, []listener.Config{at("a", ":1", false)}, nil},
		{[]listener.Config{at("a", ":1", false)}, []listener.Config{at("a", ":1", true)}, []string{`listener "a" (:1) changed`}},
		{[]listener.Config{at("", ":1", false)}, []listener.Config{at("", ":1", false), at("", ":2", false)}, []string{`listener ":2" added`}},
		{[]listener.Config{at("", ":1", false), at("b", ":2", false)}, []listener.Config{at("", ":1", false)}, []string{`listener "b" (:2) removed`}},
		{[]listener.Config{at("", ":1", false)}, []listener.Config{at("", ":2", false)}, []string{`listener ":2" added`, `listener ":1" removed`}},
	} {
		if got := listenerChanges(c.before, c.after); !slices.Equal(got, c.want) {
			t.Errorf("got %q, want %q", got, c.want)
		}
	}
}

// TestBindings: where tenants are that are bound to listeners, also to ones that aren't
// there.
func TestBindings(t *testing.T) {
	t.Parallel()
	c := &Config{listeners: []listener.Config{{Name: "a"}, {}, {Name: "b"}}}
	if got := c.listenerNames(); !slices.Equal(got, []string{"a", "b"}) {
		t.Errorf("the names are %q", got)
	}
	for _, one := range []struct {
		names   []string
		refused bool
		want    []string
	}{
		{[]string{"a"}, false, []string{"a"}}, {[]string{"a", "x"}, false, []string{"a", "x"}}, {[]string{"a"}, true, []string{"a"}}, {[]string{"a", "x"}, true, nil}, {nil, true, nil},
	} {
		if got := c.listenersOf(one.names, one.refused); !slices.Equal(got, one.want) {
			t.Errorf("%q, refused %v: %q, want %q", one.names, one.refused, got, one.want)
		}
	}
	for names, want := range map[string]string{"": "one of listeners with this name", "a": "one of a, b"} {
		list := c.listenerNames()
		if names == "" {
			list = nil
		}
		if got := expectedName(list); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}
