package redis_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"

	"github.com/keystone-gateway/keystone-gateway/tenants/store"
	"github.com/keystone-gateway/keystone-gateway/tenants/store/redis"
	"github.com/keystone-gateway/keystone-gateway/tenants/store/redis/redistest"
	"github.com/keystone-gateway/keystone-gateway/test/until"
)

// TestPlaces: of all gateways as many enter as there are places, of each tenant, limit and
// key; who leaves lets another in; and nothing of a key can be read at the server.
func TestPlaces(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	first, second := open(t, configOf(server.Address)).Tenant("a"), open(t, configOf(server.Address)).Tenant("a")
	var places []store.Place
	for i, gateway := range []*redis.Tenant{first, second, first, second} {
		p, err := gateway.Enter(t.Context(), "limit", []byte("secret"), 3)
		if err != nil || (p != nil) != (i < 3) {
			t.Fatalf("%d: %v %v", i, p, err)
		}
		places = append(places, p)
	}
	if p, err := second.Enter(t.Context(), "limit", []byte("another"), 3); p == nil || err != nil {
		t.Errorf("another key: %v %v", p, err)
	}
	if p, err := second.Enter(t.Context(), "other", []byte("secret"), 1); p == nil || err != nil {
		t.Errorf("another limit: %v %v", p, err)
	}
	told := make(chan struct{})
	places[0].Leave(func() { close(told) })
	<-told
	if p, err := second.Enter(t.Context(), "limit", []byte("secret"), 3); p == nil || err != nil {
		t.Errorf("after one has left: %v %v", p, err)
	}
	if server.Holds("KEYS *", "secret") || !server.Holds("KEYS *", "keystone:a:c:limit:") {
		t.Error("keys aren't as they should be")
	}
}

// TestPlacesOfTheKilled come back: a gateway that says nothing any more loses them after
// a while, and what goes on is kept by the others.
func TestPlacesOfTheKilled(t *testing.T) {
	t.Parallel()
	server := miniredis.RunT(t)
	at := time.Unix(1_800_000_000, 0)
	server.SetTime(at)
	killed, other := open(t, configOf(server.Addr())), open(t, configOf(server.Addr())).Tenant("a")
	if p, err := killed.Tenant("a").Enter(t.Context(), "limit", nil, 1); p == nil || err != nil {
		t.Fatal(p, err)
	}
	killed.Close() // nothing of it is renewed any more, as if it were killed
	server.SetTime(at.Add(14 * time.Second))
	if p, err := other.Enter(t.Context(), "limit", nil, 1); p != nil || err != nil {
		t.Errorf("after 14 s: %v %v", p, err)
	}
	server.SetTime(at.Add(16 * time.Second))
	if p, err := other.Enter(t.Context(), "limit", nil, 1); p == nil || err != nil {
		t.Errorf("after 16 s: %v %v", p, err)
	}
}

// TestPlacesAreRenewed, also where the server has lost them, until they are left.
func TestPlacesAreRenewed(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	limits := open(t, configOf(server.Address)).Tenant("a")
	var places []store.Place
	for range 3 {
		p, err := limits.Enter(t.Context(), "limit", nil, 3)
		if p == nil || err != nil {
			t.Fatal(p, err)
		}
		places = append(places, p)
	}
	server.Kill()
	server.Restart()
	until.True(t, "the places are there again", func() bool {
		return server.Holds("EVAL \"return 'n='..redis.call('ZCARD',redis.call('KEYS','keystone:a:c:*')[1])\" 0", "n=3")
	})
	for _, p := range places {
		p.Leave(nil)
	}
	until.True(t, "the places are free", func() bool {
		return server.Holds("EVAL \"return 'n='..#redis.call('KEYS','keystone:a:c:*')\" 0", "n=0")
	})
}

// TestPlacesLeftWhileAway are told of when the server is back.
func TestPlacesLeftWhileAway(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	config := configOf(server.Address)
	config.Timeout /= 5
	shared := open(t, config)
	limits := shared.Tenant("a")
	p, err := limits.Enter(t.Context(), "limit", nil, 1)
	if p == nil || err != nil {
		t.Fatal(p, err)
	}
	server.Pause()
	until.True(t, "it is away", func() bool { status, _ := shared.Status(); return !status.Here })
	if p, err := limits.Enter(t.Context(), "limit", nil, 2); p != nil || !errors.Is(err, redis.ErrAway) {
		t.Errorf("got %v %v", p, err)
	}
	p.Leave(nil)
	server.Resume()
	until.True(t, "the place is free", func() bool {
		p, err := limits.Enter(t.Context(), "limit", nil, 1)
		return p != nil && err == nil
	})
}

// TestPlacesOfAnother: a key that holds something else is told, and says nothing of the
// server; nor does a user without rights.
func TestPlacesOfAnother(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t, "--user", "poor", "on", ">poor", "~keystone:*", "+evalsha", "+eval", "+get", "+set", "+time", "+hello", "+ping", "+client")
	shared := open(t, configOf(server.Address))
	if p, err := shared.Tenant("a").Enter(t.Context(), "limit", nil, 1); p == nil || err != nil {
		t.Fatal(p, err)
	}
	server.Do("EVAL \"return redis.call('SET',redis.call('KEYS','keystone:a:c:*')[1],'x')\" 0")
	for range 5 {
		if p, err := shared.Tenant("a").Enter(t.Context(), "limit", nil, 1); p != nil || !errors.Is(err, redis.ErrForeign) {
			t.Errorf("got %v %v", p, err)
		}
	}
	config := configOf(server.Address)
	config.Username, config.Password = "poor", "poor"
	poor := open(t, config)
	for range 5 {
		if p, err := poor.Tenant("b").Enter(t.Context(), "limit", nil, 1); p != nil || err == nil || !strings.Contains(err.Error(), "lacks rights") {
			t.Errorf("got %v %v", p, err)
		}
	}
	for _, s := range []*redis.Shared{shared, poor} {
		if status, _ := s.Status(); !status.Here {
			t.Errorf("it is away: %+v", status)
		}
	}
	if p, err := (&redis.Shared{}).Tenant("a").Enter(t.Context(), "limit", nil, 1); p != nil || !errors.Is(err, redis.ErrNone) {
		t.Errorf("without a store: %v %v", p, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if p, err := shared.Tenant("c").Enter(ctx, "limit", nil, 1); p != nil || !errors.Is(err, context.Canceled) {
		t.Errorf("whose client has gone: %v %v", p, err)
	}
}
