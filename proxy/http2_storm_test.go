package proxy_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/keystone-gateway/keystone-gateway/proxy"
	"github.com/keystone-gateway/keystone-gateway/test/until"
)

// stormScript reads what names a request, gives time away, and says it again.
const stormScript = `
chi_middleware(function(request, response, next)
  response:header("X-Script", request:query_param("n"))
  next()
end)`

// busy are the errors of a gateway that has waited in vain for a second, or for a target
// that has: the machine may do so much else.
var busy = map[string]bool{"scripts_busy": true, "no_healthy_target": true, "upstream_overflow": true, "upstream_connect_timeout": true}

// stormTarget answers a request with what names it, and judges what it is sent.
type stormTarget struct {
	t      *testing.T
	inside atomic.Int64
}

func (s *stormTarget) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.inside.Add(1)
	defer s.inside.Add(-1)
	query := r.URL.Query()
	number, _ := strconv.ParseUint(query.Get("n"), 10, 64)
	down, _ := strconv.Atoi(query.Get("down"))
	w.Header().Set("X-Number", query.Get("n"))
	if query.Has("cut") {
		_, _ = w.Write(own(number, down/2))
		panic(http.ErrAbortHandler)
	}
	if !query.Has("early") {
		body, _ := io.ReadAll(r.Body)
		n := len(body) / 8 * 8
		if !bytes.Equal(body[:n], own(number, n)) {
			s.t.Errorf("request %d has sent something of another", number)
		}
	}
	_, _ = w.Write(own(number, down))
}

// storm is a gateway with its targets, and how much is asked of it.
type storm struct {
	t       *testing.T
	server  *proxy.Server
	one     *stormTarget
	numbers atomic.Uint64
	most    uint64
	left    atomic.Uint64 // connections that were closed in the middle
	busy    atomic.Uint64 // answers of a gateway that has waited in vain
}

// TestHTTP2Storm sends requests of HTTP/1.1 and HTTP/2 at once, to targets of HTTP/1.1
// and HTTP/2, through policies and scripts, of which clients, targets and the gateway
// give some up at any time, while the configuration is reloaded: none gets a byte of
// another, and of goroutines, descriptors, windows and charges none is left.
//
// KEYSTONE_STREAMS says how many there are; KEYSTONE_LONG alone is 60,000.
func TestHTTP2Storm(t *testing.T) {
	most := uint64(3000)
	if os.Getenv("KEYSTONE_LONG") != "" {
		most = 60_000
	}
	if text := os.Getenv("KEYSTONE_STREAMS"); text != "" {
		var err error
		if most, err = strconv.ParseUint(text, 10, 64); err != nil {
			t.Fatal(err)
		}
	}
	before, descriptors := goroutines(), descriptorsOf(t)
	t.Run("rages", func(t *testing.T) { rage(t, most) })
	http.DefaultTransport.(*http.Transport).CloseIdleConnections()
	until.True(t, "no goroutine is left", func() bool { return len(goroutines()) <= len(before) })
	until.True(t, "no descriptor is left", func() bool { return descriptorsOf(t) <= descriptors })
}

// goroutines are this process's, but for those of fasthttp that close what idles: they
// sleep for half a minute, and end by themselves.
func goroutines() (stacks []string) {
	buf := make([]byte, 1<<20)
	for stack := range strings.SplitSeq(string(buf[:runtime.Stack(buf, true)]), "\n\n") {
		if !strings.Contains(stack, "connsCleaner") {
			stacks = append(stacks, stack)
		}
	}
	return stacks
}

// descriptorsOf counts this process's; 0 where that can't be known.
func descriptorsOf(t *testing.T) int {
	t.Helper()
	list, _ := os.ReadDir("/proc/self/fd")
	return len(list)
}

func rage(t *testing.T, most uint64) {
	s := &storm{t: t, most: most, one: &stormTarget{t: t}}
	plain := httptest.NewServer(s.one)
	plain.Config.ErrorLog = nil
	t.Cleanup(plain.Close)
	second := http2Target(t, s.one.ServeHTTP)
	w := newWorkshop(t, "scripts/storm.lua", stormScript, "c.yaml", fmt.Sprintf(`tenants:
  - {name: one, path_prefix: /one, lua_routes: storm, lua: {timeout: 20s}, policies: [{rate_limit: {rate: 1000000/s, burst: 1000000, by: client}}, {headers: {response: {set: {X-Policy: first}}}}], timeouts: {connect: 1m, response_header: 5m, idle: 5m, total: 20m}, client_timeouts: {body_idle: 5m, write_idle: 5m, min_rate: 0}, services: [{url: "%s"}]}
  - {name: two, path_prefix: /two, lua_routes: storm, lua: {timeout: 20s}, policies: [{concurrency: {max: 100000}}], connections: {max_per_target: 3, max_streams: 90, max_pending: 10000, pending_timeout: 1m}, timeouts: {connect: 1m, response_header: 5m, idle: 5m, total: 20m}, client_timeouts: {body_idle: 5m, write_idle: 5m, min_rate: 0}, services: [{url: "h2c://%s"}]}
`, plain.URL, second))
	w.replace("c.yaml", "server: {address: '127.0.0.1:0'}", "listeners: [{address: '127.0.0.1:0', protocols: [h2c, http/1.1]}]")
	w.run()
	s.server = w.server
	ctx, stop := context.WithCancel(t.Context())
	var clients, reloads sync.WaitGroup
	reloads.Go(func() { s.reload(ctx, filepath.Join(w.dir, "c.yaml")) })
	for i := range 4 {
		clients.Go(func() { s.overHTTP2(rand.New(rand.NewPCG(2, uint64(i)))) })
	}
	client := &http.Client{Transport: &http.Transport{MaxConnsPerHost: 16}}
	for i := range 24 {
		clients.Go(func() { s.overHTTP1(client, rand.New(rand.NewPCG(1, uint64(i)))) })
	}
	clients.Wait()
	stop()
	reloads.Wait()
	client.CloseIdleConnections()
	s.rest()
	if all, n := s.numbers.Load(), s.busy.Load(); 10*n > all {
		t.Errorf("%d of %d requests were answered for want of something", n, all)
	}
	counters := s.server.Counters()
	t.Logf("%d requests, %d of them streams, of which clients gave %d up; %d connections closed in the middle; %d answers for want of something; %d reloads",
		s.numbers.Load(), counters.HTTP2.Streams, counters.HTTP2.Given, s.left.Load(), s.busy.Load(), counters.Reloads)
}

// rest waits until nothing of the requests is left in the gateway and its targets.
func (s *storm) rest() {
	t := s.t
	until.True(t, "no target has a request", func() bool { return s.one.inside.Load() == 0 })
	for tenant := range s.server.Tenants() {
		target := tenant.Pool.Targets()[0]
		until.True(t, "no request is in flight to "+tenant.Name, func() bool { return target.InFlight.Load() == 0 })
	}
	until.True(t, "no request is in flight", func() bool { return s.server.Counters().InFlight == 0 })
	until.True(t, "no connection is left", func() bool { return s.server.Counters().Connections == 0 })
	until.True(t, "nothing is charged", func() bool { return s.server.Memory().Held == 0 })
	if panics := s.server.Counters().Panics; panics > 0 {
		t.Errorf("%d panics", panics)
	}
}

// reload changes a tenant and its script again and again.
func (s *storm) reload(ctx context.Context, file string) {
	text, err := os.ReadFile(file) // #nosec G304 -- of this test
	if err != nil {
		s.t.Error(err)
		return
	}
	for i := 0; ctx.Err() == nil; i++ {
		changed := strings.ReplaceAll(string(text), "X-Policy: first", fmt.Sprintf("X-Policy: '%d'", i))
		if err := os.WriteFile(file, []byte(changed), 0o600); err != nil {
			s.t.Error(err)
			return
		}
		if result := s.server.Reload(); !result.OK {
			s.t.Errorf("%+v", result)
			return
		}
		before := s.numbers.Load()
		until.True(s.t, "requests go on", func() bool { return s.numbers.Load() > before+100 || ctx.Err() != nil })
	}
}

// plan is the next request; nil is none.
func (s *storm) plan(random *rand.Rand) *stormPlan {
	number := s.numbers.Add(1)
	if number > s.most {
		s.numbers.Add(^uint64(0))
		return nil
	}
	return newStormPlan(number, random)
}

// overHTTP2 uses one connection after the other, some of which it closes in the middle.
// Of the others it sees that all windows are whole again.
func (s *storm) overHTTP2(random *rand.Rand) {
	for more := true; more; {
		c, err := dialStorm(s.t, s.server.Addr().String(), &s.busy)
		if err != nil {
			s.t.Error(err)
			return
		}
		cut := random.IntN(4) == 0
		var streams sync.WaitGroup
		for lasting := 200 + random.IntN(2000); lasting > 0 && more; lasting-- {
			c.mu.Lock()
			spent := c.resets > 250 || c.err != nil // many resets would end it
			c.mu.Unlock()
			if spent {
				break
			}
			plan := s.plan(random)
			if more = plan != nil; !more {
				break
			}
			c.places <- struct{}{}
			streams.Go(func() {
				defer func() { <-c.places }()
				c.run(plan)
			})
		}
		if cut {
			s.left.Add(1)
			c.close()
			streams.Wait()
			continue
		}
		streams.Wait()
		s.windows(c)
		c.close()
	}
}

// windows checks that both are as large as before all streams: what a client may send is
// given back in large parts, and when it is, all of it.
func (s *storm) windows(c *stormConn) {
	const frame = 16 << 10
	window := c.settle()
	for i := 0; ; i++ {
		c.run(&stormPlan{number: s.most + 1, tenant: "one", up: frame, piece: frame, sized: true})
		before := window - frame
		if window = c.settle(); window > before || i > theirWindow/frame || c.failed() {
			break
		}
	}
	if window != theirWindow && !c.failed() {
		s.t.Errorf("after all streams a client may send %d bytes, want %d", window, theirWindow)
	}
	c.mu.Lock()
	if c.due > 0 {
		_ = c.framer.WriteWindowUpdate(0, c.due)
		c.due = 0
	}
	c.mu.Unlock()
	c.run(&stormPlan{number: s.most + 1, tenant: "one", down: ourWindow / 8 * 8}) // of which nothing is given back before half of it is there
}

// overHTTP1 sends one request after the other.
func (s *storm) overHTTP1(client *http.Client, random *rand.Rand) {
	for p := s.plan(random); p != nil; p = s.plan(random) {
		kind := 5 + random.IntN(5) // those that are whole
		switch {
		case p.kind == cutByTarget:
			kind = 0
		case p.kind == earlyAnswer:
			kind = 1
		case p.kind.givenUp():
			kind = 2 + random.IntN(3)
		}
		mixedRequest(s.t, client, "http://"+s.server.Addr().String()+p.path(), p.number, p.up, p.down, kind, random)
	}
}
