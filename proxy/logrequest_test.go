package proxy

import (
	"context"
	"errors"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/keystone-gateway/keystone-gateway/lua"
	"github.com/keystone-gateway/keystone-gateway/proxy/exchange"
	"github.com/keystone-gateway/keystone-gateway/proxy/logs"
	"github.com/keystone-gateway/keystone-gateway/proxy/message"
	"github.com/keystone-gateway/keystone-gateway/proxy/socket"
	"github.com/keystone-gateway/keystone-gateway/test/until"
)

// logged is a request that has gone well, for the access log.
func logged() *exchange.Record {
	at := netip.MustParseAddr("192.0.2.1")
	asked := &message.Request{Method: []byte("GET"), Target: []byte("/raw?q")}
	asked.Version = "1.1"
	return &exchange.Record{
		Generation: &exchange.Generation{Logging: true, Sample: 1}, Entrance: &exchange.Entrance{},
		Client: &exchange.Client{Peer: at, Address: []byte("192.0.2.1")}, Origin: at, ID: []byte("id"),
		Message: asked, Host: []byte("a.example"), Path: []byte("/a"),
		Status: 200, BytesIn: 3, BytesOut: 5, Elapsed: 1500 * time.Microsecond, HeaderTime: time.Millisecond, ConnectTime: 0,
	}
}

// TestLoggedMembers: what a line of the access log says of a request.
func TestLoggedMembers(t *testing.T) {
	t.Parallel()
	const usual = `,"request_id":"id","method":"GET","host":"a.example","path":"/a","status":200,"bytes_in":3,"bytes_out":5,"duration_ms":1.5,"upstream_header_ms":1,"connect_ms":0,"attempts":0,"peer":"192.0.2.1","client":"192.0.2.1","http_minor":1`
	tenant := &exchange.Tenant{Name: "shop", Logged: loggedTenant("shop", "shop.example")}
	scripted := &exchange.Tenant{Name: "shop", Scripts: &lua.Scripts{}}
	long := strings.Repeat("x", 5000)
	for _, c := range []struct {
		change      func(r *exchange.Record)
		has, hasNot []string
	}{
		{func(*exchange.Record) {}, []string{usual}, []string{"tenant", "listener", "user", "error", "cause", "policy", "answered", "would", "script", "target"}},
		{func(r *exchange.Record) { r.Path = nil }, []string{`"path":"/raw"`}, nil},
		{func(r *exchange.Record) { r.Entrance.Name = "public" }, []string{`,"listener":"public"`}, nil},
		{func(r *exchange.Record) { r.Origin = netip.Addr{} }, nil, []string{`"client"`}},
		{func(r *exchange.Record) { r.Origin = netip.MustParseAddr("2001:db8::7") }, []string{`"peer":"192.0.2.1","client":"2001:db8::7"`}, nil},
		{func(r *exchange.Record) { r.Client.Introduction = []byte(`,"introduced":1`) }, []string{`"client":"192.0.2.1","introduced":1,"http_minor"`}, nil},
		{func(r *exchange.Record) { r.User = []byte(`a"b`) }, []string{`,"user":"a\"b"`}, nil},
		{func(r *exchange.Record) { r.Message.Version = "1.0" }, []string{`,"http_minor":0`}, []string{"http_major"}},
		{func(r *exchange.Record) { r.Message.Version = "" }, []string{`,"http_minor":0`}, []string{"http_major"}},
		{func(r *exchange.Record) { r.Message.Version = "2.0" }, []string{`,"http_major":2`}, []string{"http_minor"}},
		{func(r *exchange.Record) { r.Message.Version = "3.0" }, []string{`,"http_major":3`}, []string{"http_minor"}},
		{func(r *exchange.Record) { r.Code = "no_tenant" }, []string{`,"error":"no_tenant"`}, []string{"cause"}},
		{func(r *exchange.Record) { r.Code, r.Cause = "x", errors.New("y") }, []string{`,"error":"x","cause":"y"`}, nil},
		{func(r *exchange.Record) { r.Code, r.Cause = "x", errors.New(long) }, []string{`,"cause":"xxx`, "…"}, []string{long}},
		{func(r *exchange.Record) { r.Skipped = errors.New("y") }, []string{`,"error":"script_skipped","cause":"y"`}, nil},
		{func(r *exchange.Record) { r.Code, r.Skipped = "x", errors.New("y") }, []string{`,"error":"x"`}, []string{"script_skipped", "cause"}},
		{func(r *exchange.Record) { r.Tenant = tenant }, []string{`"request_id":"id","tenant":"shop","route":"shop.example","method"`}, []string{"answered_by"}},
		{func(r *exchange.Record) { r.Tenant, r.ScriptRoute = tenant, "/{a}" }, []string{`,"script_route":"/{a}"`}, nil},
		{func(r *exchange.Record) { r.Tenant, r.ConfigRoute = tenant, "routes[3]" }, []string{`,"config_route":"routes[3]"`}, []string{"answered_by"}},
		{func(r *exchange.Record) { r.Tenant, r.ConfigRoute, r.ByRoute = scripted, "routes[3]", true }, []string{`,"config_route":"routes[3]","answered_by":"route"`}, []string{"script"}},
		{func(r *exchange.Record) { r.Tenant, r.Policy = scripted, "jwt" }, []string{`,"answered_by":"policy","policy":"jwt"`}, []string{`"script"`}},
		{func(r *exchange.Record) { r.Tenant, r.Spared = tenant, "ip" }, []string{`,"would_answer":"ip"`}, []string{"answered_by"}},
		{func(r *exchange.Record) { r.Tenant = scripted }, []string{`,"answered_by":"script"`}, []string{`"script":`}},
		{func(r *exchange.Record) { r.Tenant, r.ScriptStep = scripted, "a.lua:2" }, []string{`,"answered_by":"script","script":"a.lua:2"`}, nil},
		{func(r *exchange.Record) { r.Tenant, r.ScriptStep, r.Attempts = scripted, "a.lua:2", 1 }, []string{`"attempts":1`}, []string{"answered_by", "a.lua"}},
		{func(r *exchange.Record) { r.Tenant, r.ScriptStep, r.Code = scripted, "a.lua:2", "x" }, nil, []string{"answered_by", "a.lua"}},
		{func(r *exchange.Record) { r.ScriptStep = "a.lua:2" }, nil, []string{"answered_by", "a.lua"}},
	} {
		r := logged()
		c.change(r)
		var l logLine
		l.request(r)
		got := string(l.buf)
		for _, part := range c.has {
			if !strings.Contains(got, part) {
				t.Errorf("%s lacks %s", got, part)
			}
		}
		for _, part := range c.hasNot {
			if strings.Contains(got, part) {
				t.Errorf("%s has %s", got, part)
			}
		}
	}
}

// TestWhatIsLogged: all but a share of what has gone well; failures always, and nothing
// where there is no log.
func TestWhatIsLogged(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		sample  float64
		logging bool
		change  func(r *exchange.Record)
		least   int // of a thousand
		most    int
	}{
		{1, true, nil, 1000, 1000}, {2, true, nil, 1000, 1000}, {0, true, nil, 0, 0}, {0.5, true, nil, 300, 700}, {0.999999, true, nil, 900, 1000},
		{1, false, nil, 0, 0}, {1, false, func(r *exchange.Record) { r.Status = 500 }, 0, 0},
		{0, true, func(r *exchange.Record) { r.Status = 499 }, 0, 0}, {0, true, func(r *exchange.Record) { r.Status = 500 }, 1000, 1000}, {0, true, func(r *exchange.Record) { r.Status = 501 }, 1000, 1000},
		{0, true, func(r *exchange.Record) { r.Code = "no_tenant" }, 1000, 1000}, {0, true, func(r *exchange.Record) { r.Skipped = errors.New("x") }, 1000, 1000},
	} {
		r := logged()
		r.Generation.Sample, r.Generation.Logging = c.sample, c.logging
		if c.change != nil {
			c.change(r)
		}
		n := 0
		for range 1000 {
			if isLogged(r) {
				n++
			}
		}
		if n < c.least || n > c.most {
			t.Errorf("with a sample of %v, logging %v, status %d, %q: %d of 1000 are logged", c.sample, c.logging, r.Status, r.Code, n)
		}
	}
}

// sunk is an output that is read while it is written to.
type sunk struct {
	mu   sync.Mutex
	text strings.Builder
}

func (s *sunk) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.Write(p)
}

func (s *sunk) lines() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return strings.Count(s.text.String(), "\n")
}

// TestLogGoesToItsOutput: lines go to the output that was set last: to a sink, or in
// order with what another queue has, and back.
func TestLogGoesToItsOutput(t *testing.T) {
	t.Parallel()
	l := newAccessLog(zerolog.Nop())
	var own, later, others sunk
	gateways := logs.NewQueue(&others)
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { l.own.Run(ctx) })
	running.Go(func() { gateways.Run(ctx) })
	defer running.Wait()
	defer cancel()
	for i, c := range []struct {
		to  accessOutput
		has *sunk
	}{{accessOutput{sink: logs.Sink{Writer: &own}}, &own}, {accessOutput{queue: gateways, sink: logs.Sink{Writer: &own}}, &others}, {accessOutput{sink: logs.Sink{Writer: &later}}, &later}} {
		before := c.has.lines()
		l.setOutput(c.to)
		r := logged()
		r.Start = socket.Nanotime()
		l.End(r)
		until.True(t, "the line is where it belongs", func() bool { return c.has.lines() == before+1 })
		if all := own.lines() + later.lines() + others.lines(); all != i+1 {
			t.Errorf("%d lines were written, want %d", all, i+1)
		}
		if at, err := time.Parse(`{"time":"2006-01-02T15:04:05.000Z"`, string(r.Scratch[:len(`{"time":"2006-01-02T15:04:05.000Z"`)])); err != nil || time.Since(at).Abs() > time.Minute {
			t.Errorf("the line is of %v, %v", at, err)
		}
	}
	r := logged()
	r.Generation.Logging = false
	if l.End(r); r.Scratch != nil {
		t.Error("what isn't to be logged is")
	}
}
