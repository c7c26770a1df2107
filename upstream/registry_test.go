package upstream_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
	"weak"

	"github.com/keystone-gateway/keystone-gateway/proxy/settings"
	"github.com/keystone-gateway/keystone-gateway/test/port"
	"github.com/keystone-gateway/keystone-gateway/upstream"
)

func TestReloadKeepsState(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network := newNetwork()
		network.listen(addr, answer(status(200)))
		r := upstream.NewRegistry(options(network))
		defer r.Close()
		c := probed(interval(10 * time.Second))
		c.Services = services("http://10.0.0.1", "http://10.0.0.2")
		before := start(t, r, c).Pool("tenant").Targets()
		time.Sleep(time.Minute)
		if !before[0].Begin() {
			t.Fatal("an idle target admits no request")
		}
		client := before[0].Client()

		c.Services = services("http://10.0.0.2:80/", "http://10.0.0.1")
		c.Services[1].Name, c.Services[1].Weight = "renamed", 3
		c.Connections = upstream.ConnectionsConfig{MaxPerTarget: 1}
		pool := start(t, r, c).Pool("tenant")
		after := pool.Targets()
		if after[0] != before[1] || after[1] != before[0] {
			t.Fatal("the targets are new ones, expected those of before")
		}
		if s := after[0].State(); s.Status != "unhealthy" || s.Transitions != 1 {
			t.Errorf("got %+v, expected the health of before", s)
		}
		if s := after[1].State(); s.Name != "renamed" || s.Requests != 1 || s.InFlight != 1 {
			t.Errorf("got %+v, expected a new name with the counters of before", s)
		}
		if after[1].Client() != client || client.MaxConns != 1 || after[1].Begin() {
			t.Error("expected the connections of before, limited to 1 request")
		}
		before[0].End()

		c.Connections.IdleTimeout = settings.Duration(time.Minute)
		start(t, r, c)
		if got := after[1].Client(); got == client || got.MaxIdleConnDuration != time.Minute {
			t.Error("the idle timeout did not take effect")
		}
	})
}

// What nobody uses is neither probed nor kept; what a discarded generation
// would have changed stays.
func TestGenerationsComeAndGo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network := newNetwork()
		network.listen(addr, silent)
		network.listen("10.0.0.2:80", silent)
		r := upstream.NewRegistry(options(network))
		defer r.Close()
		one := probed(interval(time.Second))
		two := one
		two.Services = services("http://10.0.0.2")

		first := start(t, r, one)
		discarded, err := r.Build([]upstream.PoolConfig{two})
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(10 * time.Second)
		if network.count("10.0.0.2:80") != 0 || network.count(addr) < 9 {
			t.Errorf("%d probes of a generation that isn't active, %d of the active one",
				network.count("10.0.0.2:80"), network.count(addr))
		}
		r.Discard(discarded)
		r.Discard(discarded)
		r.Discard(first) // active, so it stays

		start(t, r, two)
		probes := network.count(addr)
		time.Sleep(10 * time.Second)
		if network.count("10.0.0.2:80") < 9 || network.count(addr) != probes {
			t.Errorf("%d probes of the new generation, %d of the old one", network.count("10.0.0.2:80"), network.count(addr)-probes)
		}
		first.Pools()[0].Targets()[0].MarkConnectFailure(errors.New("refused")) // by a late request
		if again := start(t, r, one).Pools()[0].Targets()[0]; again == first.Pools()[0].Targets()[0] || !again.Healthy() {
			t.Error("a retired target came back, expected a new one")
		}
	})
}

// Settings of probes follow a reload; one that changes nothing delays nothing.
func TestReloadRetunesProbes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network := newNetwork()
		code := status(503)
		network.listen(addr, answer(code))
		r := upstream.NewRegistry(options(network))
		defer r.Close()
		c := probed(interval(10 * time.Second))
		for range 100 {
			start(t, r, c)
			time.Sleep(time.Second)
		}
		if n := network.count(addr); n != 10 {
			t.Errorf("%d probes in 100 s of reloads, expected 10", n)
		}
		c.Health.Path = "/health"
		target := start(t, r, c).Pools()[0].Targets()[0]
		time.Sleep(time.Minute)
		if target.Healthy() || target.State().Probe != "http" {
			t.Errorf("got %+v, expected an HTTP probe that fails", target.State())
		}
		c.Health = upstream.DefaultHealth() // no probes: what is down must come back
		start(t, r, c)
		time.Sleep(time.Second)
		if !target.Healthy() || target.State().Probe != "none" {
			t.Errorf("got %+v, expected a revival", target.State())
		}
	})
}

// TestEachSettingRetunesProbes: a reload changes the pace of probes at once, and
// nothing else of them puts off the next one.
func TestEachSettingRetunesProbes(t *testing.T) {
	t.Parallel()
	var expects upstream.StatusSet
	if err := expects.UnmarshalText([]byte("200")); err != nil {
		t.Fatal(err)
	}
	// A probe each 10 s, at 1, 11 and 21 s; the reload comes at 6 s.
	for name, c := range map[string]struct {
		change     func(*upstream.HealthConfig)
		soon, late int // probes from the reload until 9 s, and until 20 s
	}{
		"nothing":         {func(*upstream.HealthConfig) {}, 0, 1},
		"less patience":   {func(h *upstream.HealthConfig) { h.Timeout = settings.Duration(time.Second) }, 0, 1},
		"other statuses":  {func(h *upstream.HealthConfig) { h.ExpectStatus = expects }, 0, 1},
		"another request": {func(h *upstream.HealthConfig) { h.Path = "/other" }, 0, 1},
		"more often":      {func(h *upstream.HealthConfig) { h.Interval = settings.Duration(2 * time.Second) }, 1, 6},
		"less often":      {func(h *upstream.HealthConfig) { h.Interval = settings.Duration(time.Hour) }, 0, 0},
		"no more":         {func(h *upstream.HealthConfig) { h.Interval, h.Path = 0, "" }, 0, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				network := newNetwork()
				network.listen(addr, answer(status(200)))
				r := upstream.NewRegistry(options(network))
				defer r.Close()
				config := probed(interval(10 * time.Second))
				config.Health.Path = "/health"
				start(t, r, config)
				time.Sleep(6 * time.Second) // synctest's
				before := network.count(addr)
				c.change(&config.Health)
				start(t, r, config)
				time.Sleep(3 * time.Second)
				soon := network.count(addr) - before
				time.Sleep(11*time.Second - time.Millisecond)
				if late := network.count(addr) - before; before != 1 || soon != c.soon || late != c.late {
					t.Errorf("%d probes before the reload, %d soon and %d in all after it; want 1, %d and %d", before, soon, late, c.soon, c.late)
				}
			})
		})
	}
}

func TestBuildRefuses(t *testing.T) {
	r := upstream.NewRegistry(upstream.Options{})
	defer r.Close()
	good := upstream.PoolConfig{Name: "a", Services: services("http://10.0.0.1")}
	for expected, list := range map[string][]upstream.PoolConfig{
		`tenant "a": the name is taken`:         {good, good},
		`tenant "b": services[0]: url is empty`: {good, {Name: "b", Services: services("")}},
		`tenant "b": services[1]: url "http://h:80" appears twice`: {good,
			{Name: "b", Services: services("http://h", "http://h:80")}},
	} {
		if _, err := r.Build(list); err == nil || !strings.Contains(err.Error(), expected) {
			t.Errorf("got %v, expected %s", err, expected)
		}
	}
}

func TestManyTenants(t *testing.T) {
	noLeak(t)
	r := upstream.NewRegistry(upstream.Options{Dial: newNetwork().Dial})
	defer r.Close()
	list := make([]upstream.PoolConfig, 10000)
	for i := range list {
		list[i] = upstream.PoolConfig{Name: fmt.Sprint("tenant", i), Services: services("http://10.0.0.1", "http://10.0.0.2")}
	}
	for range 3 {
		g := start(t, r, list...)
		if len(g.Pools()) != 10000 || g.Pool("tenant9999").Healthy() != 2 || g.Pool("other") != nil {
			t.Fatal("pools are missing")
		}
	}
}

// Requests, failures and reloads at the same time: for the race detector, and
// nothing may be lost.
func TestStorm(t *testing.T) {
	noLeak(t)
	network := newNetwork()
	network.name("app.example", "10.0.0.9")
	for i := range 10 {
		network.listen(fmt.Sprintf("10.0.0.%d:80", i), silent)
	}
	o := options(network)
	o.ResolveEvery = time.Millisecond
	r := upstream.NewRegistry(o)
	defer r.Close()
	c := probed(interval(5 * time.Millisecond))
	c.Services = services("http://10.0.0.1", "http://10.0.0.2", "http://10.0.0.3", "http://app.example")
	var current atomic.Pointer[upstream.Pool]
	current.Store(start(t, r, c).Pools()[0])
	var stop atomic.Bool
	var group sync.WaitGroup
	for i := range 4 {
		group.Go(func() {
			for n := i; !stop.Load(); n++ {
				target, err := current.Load().Pick(nil)
				if err != nil || !target.Begin() {
					continue
				}
				if n%1000 == 0 {
					target.MarkConnectFailure(errors.New("refused"))
				}
				_ = target.State()
				target.End()
			}
		})
	}
	for i := range 50 {
		c.Services = services("http://10.0.0.1", "http://app.example", fmt.Sprintf("http://10.0.0.%d", 2+i%7))
		c.Services[0].Weight = 1 + i%3
		c.Connections.IdleTimeout = settings.Duration(time.Duration(1+i%2) * time.Second)
		current.Store(start(t, r, c).Pools()[0])
	}
	stop.Store(true)
	group.Wait()
	pool := current.Load()
	eventually(t, "all targets are back", func() bool { return pool.Healthy() == 3 })
	for _, target := range pool.Targets() {
		if n := target.InFlight.Load(); n != 0 {
			t.Errorf("%s: %d requests in flight, expected 0", target.Name(), n)
		}
	}
}

// Real sockets: kept connections, a kill, a return, and nothing left over.
func TestKillAndReturn(t *testing.T) {
	noLeak(t)
	r := upstream.NewRegistry(upstream.Options{})
	defer r.Close()

	address := port.Reserve(t)
	server := listen(t, address, silent)
	c := upstream.PoolConfig{Name: "tenant", Services: services("http://" + address)}
	c.Connections.IdleTimeout = settings.Duration(2 * time.Second)
	pool := start(t, r, c).Pools()[0]
	target := pool.Targets()[0]

	conn, err := target.Client().AcquireConn(0, false)
	if err != nil {
		t.Fatal(err)
	}
	target.Client().ReleaseConn(conn)
	if n := target.Client().IdleConnsCount(); n != 1 {
		t.Errorf("%d kept connections, expected 1", n)
	}
	_ = server.Close()
	target.Client().CloseIdleConnections()
	_, err = target.Client().AcquireConn(0, false)
	failure, ok := errors.AsType[*upstream.ConnectError](err)
	if !ok || failure.Timeout() {
		t.Fatalf("got %v, expected a refused connect", err)
	}
	target.MarkConnectFailure(err)
	if _, err := pool.Pick(nil); !errors.Is(err, upstream.ErrNoHealthyTarget) {
		t.Errorf("got %v, expected ErrNoHealthyTarget", err)
	}
	eventually(t, "revival probes have failed", func() bool { return target.State().ConsecutiveFailures >= 3 })
	server = listen(t, address, silent)
	defer func() { _ = server.Close() }()
	eventually(t, "the target is back", func() bool {
		got, _ := pool.Pick(nil)
		return got == target
	})
}

// TestRetiredTargetLeavesNothing: the connections of a target that no generation
// uses any more are closed, those in use with their requests; and a target that
// lives on leads to no pool of an earlier generation.
func TestRetiredTargetLeavesNothing(t *testing.T) {
	t.Parallel()
	server := listen(t, "127.0.0.1:0", func(conn net.Conn) {
		for reader := bufio.NewReader(conn); ; {
			if _, err := http.ReadRequest(reader); err != nil {
				return
			}
			_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
		}
	})
	defer func() { _ = server.Close() }()
	o := dialTo(t, server)
	r := upstream.NewRegistry(o)
	defer r.Close()
	c := upstream.PoolConfig{Name: "tenant", Services: services("http://10.0.0.1", "http://10.0.0.2")}
	c.Connections.IdleTimeout = settings.Duration(time.Hour) // that isn't what closes them
	old := start(t, r, c).Pools()[0]
	stays, goes := old.Targets()[0], old.Targets()[1]
	busy := newCall(&plainRequest{method: http.MethodGet, path: "/"})
	busy.Only = goes
	idle := newCall(&plainRequest{method: http.MethodGet, path: "/"})
	idle.Only = goes
	if err := errors.Join(busy.Do(old), idle.Do(old)); err != nil {
		t.Fatal(err)
	}
	if _, err := readAll(idle); err != nil || goes.Client().ConnsCount() != 2 {
		t.Fatalf("%v, %d connections, want 2", err, goes.Client().ConnsCount())
	}
	forgotten := weak.Make(old)
	old, c.Services = nil, c.Services[:1] //nolint:wastedassign // the collector sees it
	now := start(t, r, c).Pools()[0]
	if now.Targets()[0] != stays {
		t.Fatal("the target that stays is another one")
	}
	eventually(t, "the idle connection is closed", func() bool { return o.Sweeper.Len() == 1 })
	if _, err := readAll(busy); err != nil {
		t.Errorf("the request in flight: %v", err)
	}
	eventually(t, "the other one too", func() bool { return o.Sweeper.Len() == 0 && goes.Client().ConnsCount() == 0 })
	idle, busy = nil, nil //nolint:wastedassign // the collector sees it
	eventually(t, "the earlier generation's pool is forgotten", func() bool {
		runtime.GC()
		return forgotten.Value() == nil
	})
	runtime.KeepAlive(now)
	runtime.KeepAlive(stays)
}
