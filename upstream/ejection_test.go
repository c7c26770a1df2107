package upstream_test

import (
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/keystone-gateway/keystone-gateway/proxy/settings"
	"github.com/keystone-gateway/keystone-gateway/upstream"
)

// ejecting sets the sections that eject targets: their defaults, changed. An ejection
// takes an hour, unless that is changed.
func ejecting(change func(*upstream.ResilienceConfig)) func(*upstream.PoolConfig) {
	return func(c *upstream.PoolConfig) {
		r := &c.Resilience
		r.OutlierEjection = new(upstream.OutlierConfig)
		r.OutlierEjection.SetDefaults()
		r.OutlierEjection.BaseEjectionTime, r.OutlierEjection.MaxEjectionTime = settings.Duration(time.Hour), settings.Duration(time.Hour)
		r.OutlierEjection.Interval = settings.Duration(time.Hour)
		if change != nil {
			change(r)
		}
	}
}

// requests sends so many, and ends them as an exchange would.
func requests(p *upstream.Pool, n int) (statuses map[int]int) {
	statuses = map[int]int{}
	for range n {
		call := newCall(&plainRequest{method: http.MethodGet, path: "/"})
		if err := call.Do(p); err != nil {
			statuses[0]++
			continue
		}
		status := call.Response.Status
		if _, err := drained(call); err != nil {
			status = -1
			call.Cut()
			call.End(false)
		}
		statuses[status]++
	}
	return statuses
}

// drained reads a body; without an error, it ends the call.
func drained(call *upstream.Call) (body string, err error) {
	for !call.Body.Done() {
		call.ExpectBody()
		span, err := call.Body.Next()
		if err != nil && !call.Body.Done() {
			return body, err
		}
		body += string(span)
	}
	call.End(true)
	return body, nil
}

// TestEjection: a target whose requests fail in a row gets no more, and says why;
// each way to fail counts on its own.
func TestEjection(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		answer string
		change func(*upstream.OutlierConfig)
		why    string // "" is that nobody is ejected
	}{
		"5xx":                     {"HTTP/1.1 500 x\r\nContent-Length: 0\r\n\r\n", func(*upstream.OutlierConfig) {}, "5 answers in a row were 5xx"},
		"5xx that aren't counted": {"HTTP/1.1 500 x\r\nContent-Length: 0\r\n\r\n", func(o *upstream.OutlierConfig) { o.Consecutive5xx = 0 }, ""},
		"503":                     {busy, func(o *upstream.OutlierConfig) { o.Consecutive5xx, o.ConsecutiveGatewayErrors = 0, 3 }, "3 answers in a row were 502, 503 or 504"},
		"no answer":               {"", func(o *upstream.OutlierConfig) { o.ConsecutiveLocalErrors = 2 }, "2 requests in a row have failed"},
		"resets":                  {"reset", func(*upstream.OutlierConfig) {}, "5 requests in a row have failed"},
		"cut answers":             {"HTTP/1.1 200 OK\r\nContent-Length: 9\r\nConnection: close\r\n\r\ncut", func(*upstream.OutlierConfig) {}, "5 requests in a row have failed"},
		"not at all":              {"", func(o *upstream.OutlierConfig) { o.MaxEjectedPercent = 0 }, ""},
		"good answers":            {fine, func(*upstream.OutlierConfig) {}, ""},
		"404":                     {"HTTP/1.1 404 x\r\nContent-Length: 0\r\n\r\n", func(*upstream.OutlierConfig) {}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bad := serving(t, func(string) string {
				return c.answer
			})
			if strings.Contains(c.answer, "cut") {
				bad = listen(t, "127.0.0.1:0", func(conn net.Conn) {
					if readHead(conn) != "" {
						_, _ = conn.Write([]byte(c.answer))
					}
				})
				t.Cleanup(func() { _ = bad.Close() })
			}
			p := poolOf(t, ejecting(func(r *upstream.ResilienceConfig) { c.change(r.OutlierEjection) }), bad, always(t, fine))
			requests(p, 20)
			target := p.Targets()[0]
			s := target.State()
			if ejected := c.why != ""; target.Healthy() == ejected || (s.Standing == "ejected") != ejected || !strings.Contains(s.Ejected, c.why) || (s.Status == "unhealthy") != ejected {
				t.Fatalf("got %+v, want %q", s, c.why)
			}
			if c.why == "" {
				return
			}
			if before := target.Requests.Load(); requests(p, 10)[200] != 10 || target.Requests.Load() != before {
				t.Error("an ejected target gets requests")
			}
		})
	}
}

// TestNeverTheLast: whatever happens, as many targets stay as max_ejected_percent
// leaves, and one at least.
func TestNeverTheLast(t *testing.T) {
	t.Parallel()
	for percent, want := range map[upstream.Percent]int{0: 0, 10: 1, 50: 2, 75: 3, 100: 3} {
		p := poolOf(t, ejecting(func(r *upstream.ResilienceConfig) { r.OutlierEjection.MaxEjectedPercent = percent }),
			always(t, busy), always(t, busy), always(t, busy), always(t, busy))
		if got := requests(p, 60)[503]; got != 60 {
			t.Errorf("%v: %d answers, want 60", percent, got)
		}
		ejected := 0
		for _, target := range p.Targets() {
			if !target.Healthy() {
				ejected++
			}
		}
		if ejected != want {
			t.Errorf("%v: %d are ejected, want %d", percent, ejected, want)
		}
	}
}

// TestTrials: the circuit of a target that was ejected is half open for so many
// requests, and a failing one opens it for longer.
func TestTrials(t *testing.T) {
	t.Parallel()
	var well atomic.Bool
	changing := serving(t, func(string) string {
		if well.Load() {
			return fine
		}
		return busy
	})
	p := poolOf(t, ejecting(func(r *upstream.ResilienceConfig) {
		r.OutlierEjection.BaseEjectionTime = settings.Duration(20 * time.Millisecond)
		r.CircuitBreaker = new(upstream.BreakerConfig)
		r.CircuitBreaker.SetDefaults()
	}), changing, always(t, fine))
	target := p.Targets()[0]
	requests(p, 20)
	if n := target.Ejections.Load(); n != 1 {
		t.Fatalf("ejected %d times, want once", n)
	}
	eventually(t, "a trial has failed, twice", func() bool {
		requests(p, 2)
		return target.Ejections.Load() >= 3 && strings.Contains(target.State().Ejected, "a trial was answered with 503")
	})
	failed := target.Ejections.Load()
	if asked := target.Requests.Load(); asked > 10+failed+2 {
		t.Errorf("%d requests for %d ejections: want one for each trial", asked, failed)
	}
	well.Store(true)
	eventually(t, "a trial has passed", func() bool {
		requests(p, 2)
		return target.State().Standing == ""
	})
	before := target.Requests.Load()
	if requests(p, 10); target.Requests.Load() != before+5 {
		t.Errorf("%d requests of ten, want its half", target.Requests.Load()-before)
	}
}

// TestPanic: where fewer are healthy than panic_threshold, all are used.
func TestPanic(t *testing.T) {
	t.Parallel()
	closed := listen(t, "127.0.0.1:0", silent)
	_ = closed.Close()
	dead := func(c *upstream.PoolConfig) {
		c.Resilience.PanicThreshold = new(upstream.Percent(60))
	}
	p := poolOf(t, dead, closed, always(t, fine))
	target := p.Targets()[0]
	eventually(t, "the dead one is used, too", func() bool {
		requests(p, 2)
		return target.Healthy() && !target.Well()
	})
	if s := target.State(); s.Status != "unhealthy" || p.Healthy() != 1 {
		t.Errorf("got %+v, and %d healthy ones; want one", s, p.Healthy())
	}
	p.Targets()[1].Drain()
	target.Eject()
	if got := requests(p, 1); got[0] != 1 {
		t.Errorf("got %v of targets that an operator has taken out", got)
	}
}

// TestOperator: what an operator says holds until the next generation.
func TestOperator(t *testing.T) {
	t.Parallel()
	a, b := always(t, fine), always(t, fine)
	r := upstream.NewRegistry(upstream.Options{})
	t.Cleanup(r.Close)
	c := upstream.PoolConfig{Name: "tenant", Services: services("http://"+a.Addr().String(), "http://"+b.Addr().String())}
	p := start(t, r, c).Pool("tenant")
	target := p.Targets()[0]
	gets := func(want bool, standing string) {
		t.Helper()
		before := target.Requests.Load()
		if requests(p, 4); target.Requests.Load() != before && !want || want && target.Requests.Load() == before || target.State().Standing != standing {
			t.Errorf("%d requests more, as %q; want some: %v, as %q", target.Requests.Load()-before, target.State().Standing, want, standing)
		}
	}
	gets(true, "")
	target.Drain()
	gets(false, "drained")
	target.Undrain()
	gets(true, "")
	target.Eject()
	gets(false, "held")
	p.Targets()[1].Drain()
	call := newCall(&plainRequest{method: http.MethodGet, path: "/"})
	if err := call.Do(p); err == nil || !strings.Contains(err.Error(), "is ejected by an operator") || !strings.Contains(err.Error(), "is drained by an operator") {
		t.Errorf("got %v, want why no target is there", err)
	}
	p = start(t, r, c).Pool("tenant")
	gets(true, "")
}

// TestSlowStart: a target that has come back gets a part of its share.
func TestSlowStart(t *testing.T) {
	t.Parallel()
	p := poolOf(t, func(c *upstream.PoolConfig) { c.Resilience.SlowStart = new(settings.Duration(time.Hour)) }, always(t, fine), always(t, fine))
	target := p.Targets()[0]
	target.MarkConnectFailure(net.ErrClosed)
	eventually(t, "it is back", target.Healthy)
	if s := target.State(); s.Standing != "slow_start" {
		t.Fatalf("got %+v", s)
	}
	got := 0
	for range 2000 {
		if picked, err := p.Pick(nil); err != nil {
			t.Fatal(err)
		} else if picked == target {
			got++
		}
	}
	if got < 40 || got > 200 { // a tenth of a half is 100
		t.Errorf("%d of 2000 picks, want about 100", got)
	}
	if picked, err := p.Pick(p.Targets()[1]); err != nil || picked != target {
		t.Errorf("where there is no other, it gets %v, %v", picked, err)
	}
}

// TestStandard: one line turns all of it on, but for what is there.
func TestStandard(t *testing.T) {
	t.Parallel()
	p := poolOf(t, func(c *upstream.PoolConfig) { c.Resilience.Resilience = upstream.Standard }, always(t, busy), always(t, fine), always(t, fine))
	if got := requests(p, 60); got[200] != 60 {
		t.Errorf("got %v, want 200 for all", got)
	}
	if s := p.Targets()[0].State(); s.Standing != "ejected" {
		t.Errorf("got %+v", s)
	}
}
