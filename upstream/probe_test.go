package upstream_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"

	"github.com/keystone-gateway/keystone-gateway/upstream"
)

const addr = "10.0.0.1:80"

func probed(health upstream.HealthConfig) upstream.PoolConfig {
	return upstream.PoolConfig{Name: "tenant", Services: services("http://10.0.0.1"), Health: health}
}

func TestThresholds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := newNetwork()
		code := status(200)
		net.listen(addr, answer(code))
		r := upstream.NewRegistry(options(net))
		defer r.Close()
		health := interval(10 * time.Second)
		health.Path = "/health"
		target := start(t, r, probed(health)).Pools()[0].Targets()[0]

		time.Sleep(time.Second + time.Millisecond) // synctest's: past the first probe, then always between two
		for i, step := range []struct {
			code    int32
			healthy bool
		}{
			{200, true},
			{503, true}, {503, true}, {200, true}, // flapping below the threshold
			{503, true}, {503, true}, {503, false},
			{200, false}, {503, false}, {200, false}, {399, true},
			{500, true}, {500, true}, {400, false},
		} {
			code.Store(step.code)
			time.Sleep(10 * time.Second)
			synctest.Wait()
			if target.Healthy() != step.healthy {
				t.Fatalf("step %d, after a %d: healthy is %v, expected %v", i, step.code, target.Healthy(), step.healthy)
			}
		}
		s := target.State()
		if s.Status != "unhealthy" || s.Probe != "http" || s.Transitions != 3 || s.ConsecutiveFailures != 3 ||
			s.LastCheck.IsZero() || !strings.Contains(s.LastError, "answered 400, expected 200-399") {
			t.Errorf("got %+v, expected an unhealthy target after 3 transitions and 3 failures", s)
		}
	})
}

func TestProbeRequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network := newNetwork()
		heads := make(chan string, 1)
		network.listen("[2001:db8::1]:8080", func(c net.Conn) {
			heads <- readHead(c)
			_, _ = io.WriteString(c, "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n")
		})
		r := upstream.NewRegistry(options(network))
		defer r.Close()
		list := services("http://[2001:db8::1]:8080/base/")
		list[0].Health = "/health?full=1"
		target := start(t, r, upstream.PoolConfig{Name: "tenant", Services: list}).Pools()[0].Targets()[0]
		expected := "GET /base/health?full=1 HTTP/1.1\r\nHost: [2001:db8::1]:8080\r\n" +
			"User-Agent: keystone-gateway-probe\r\nAccept: */*\r\nConnection: close\r\n\r\n"
		if got := <-heads; got != expected {
			t.Errorf("got the request %q, expected %q", got, expected)
		}
		synctest.Wait()
		if s := target.State(); s.LastCheck.IsZero() || s.LastError != "" {
			t.Errorf("got %+v, expected a successful probe", s)
		}
	})
}

func TestFailingProbes(t *testing.T) {
	reply := func(text string) func(net.Conn) {
		return func(c net.Conn) {
			_ = readHead(c)
			_, _ = io.WriteString(c, text)
		}
	}
	for name, c := range map[string]struct {
		serve func(net.Conn)
		err   string // "" is healthy
	}{
		"until close":       {reply("HTTP/1.0 200 OK\r\n\r\nfine"), ""},
		"chunked":           {reply("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n"), ""},
		"long body":         {reply("HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\nx"), ""},
		"long chunks":       {reply("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + strings.Repeat("8000\r\n"+strings.Repeat("x", 1<<15)+"\r\n", 4)), ""},
		"long head":         {reply("HTTP/1.1 200 OK\r\nX: " + strings.Repeat("x", 60000) + "\r\n\r\n"), ""},
		"silent":            {silent, "no complete answer within health.timeout (2s)"},
		"closes":            {func(c net.Conn) { _ = readHead(c) }, "probe of /health: the connection was closed without an answer; if it speaks TLS, its url should begin with https://"},
		"half a head":       {reply("HTTP/1.1 200 OK\r\nContent-"), "probe of /health: the answer ended within its header section"},
		"half a body":       {reply("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nx"), "probe of /health: the answer ended after 1 bytes of its body"},
		"not HTTP":          {reply("SSH-2.0-OpenSSH\r\n\r\n"), "probe of /health: the status line is not"},
		"too long a head":   {reply("HTTP/1.1 200 OK\r\nX: " + strings.Repeat("x", 70000) + "\r\n\r\n"), "probe of /health: the header section is too large"},
		"too many fields":   {reply("HTTP/1.1 200 OK\r\n" + strings.Repeat("a: b\r\n", 300) + "\r\n"), "the header section is too large"},
		"interim":           {reply(strings.Repeat("HTTP/1.1 103 Hints\r\n\r\n", 1000)), "probe of /health: too many informational responses"},
		"ambiguous framing": {reply("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"), "exclude each other"},
		"two lengths":       {reply("HTTP/1.1 200 OK\r\nContent-Length: 0\r\nContent-Length: 0\r\n\r\n"), "Content-Length is not one"},
		"folded":            {reply("HTTP/1.1 200 OK\r\nX: a\r\n b\r\nContent-Length: 0\r\n\r\n"), "folded"},
		"space and colon":   {reply("HTTP/1.1 200 OK\r\nX : a\r\nContent-Length: 0\r\n\r\n"), "field name"},
		"version":           {reply("HTTP/1.2 200 OK\r\nContent-Length: 0\r\n\r\n"), "version"},
		"bare line feeds":   {reply("HTTP/1.1 200 OK\nContent-Length: 0\n\n"), "CRLF"},
		"bad chunk":         {reply("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n"), "chunked coding"},
		"upgrade":           {reply("HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n"), "answered 101"},
		"refused":           {nil, `cannot connect to target "10.0.0.1:80" at 10.0.0.1:80: the connection was refused`},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				network := newNetwork()
				if c.serve != nil {
					network.listen(addr, c.serve)
				}
				r := upstream.NewRegistry(options(network))
				defer r.Close()
				health := interval(10 * time.Second)
				health.Path, health.UnhealthyAfter = "/health", 1
				target := start(t, r, probed(health)).Pools()[0].Targets()[0]
				time.Sleep(5 * time.Second)
				synctest.Wait()
				s := target.State()
				if target.Healthy() != (c.err == "") || !strings.Contains(s.LastError, c.err) || s.LastCheck.IsZero() {
					t.Errorf("got %+v, expected the error %q", s, c.err)
				}
			})
		})
	}
}

// A target that has answered once speaks no TLS, however it ends later on.
func TestSilenceOfOneThatHasAnswered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network := newNetwork()
		var probes atomic.Int64
		network.listen(addr, func(c net.Conn) {
			if probes.Add(1) == 1 {
				_ = readHead(c)
				_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
				return
			}
			_ = readHead(c)
		})
		r := upstream.NewRegistry(options(network))
		defer r.Close()
		health := interval(10 * time.Second)
		health.Path, health.UnhealthyAfter = "/health", 1
		target := start(t, r, probed(health)).Pools()[0].Targets()[0]
		time.Sleep(20 * time.Second)
		synctest.Wait()
		if got, want := target.State().LastError, "probe of /health: the connection was closed without an answer"; got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	})
}

// A target that could not be connected to is back within a second of its
// return, however it is probed and whoever noticed.
func TestRevival(t *testing.T) {
	path := interval(10 * time.Second)
	path.Path = "/health"
	for name, c := range map[string]struct {
		health  upstream.HealthConfig
		passive bool
	}{
		"http, by a request":   {path, true},
		"tcp, by a request":    {interval(10 * time.Second), true},
		"no probe, by request": {upstream.DefaultHealth(), true},
		"http, by probes":      {path, false},
		"tcp, by probes":       {interval(10 * time.Second), false},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				network := newNetwork()
				network.listen(addr, answer(status(200)))
				r := upstream.NewRegistry(options(network))
				defer r.Close()
				pool := start(t, r, probed(c.health)).Pools()[0]
				target := pool.Targets()[0]
				for round := range 3 {
					network.kill(addr)
					if c.passive {
						target.MarkConnectFailure(errors.New("refused"))
					} else {
						time.Sleep(35 * time.Second)
					}
					if target.Healthy() {
						t.Fatalf("round %d: a dead target is healthy", round)
					}
					time.Sleep(time.Minute)
					network.listen(addr, answer(status(200)))
					time.Sleep(time.Second)
					synctest.Wait()
					if got, err := pool.Pick(nil); got != target || err != nil {
						t.Fatalf("round %d: a second after its return, got %v, %v; expected the target", round, got, err)
					}
				}
			})
		})
	}
}

// Probes of an unprobed target end with its revival.
func TestUnprobedTargetIsLeftAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network := newNetwork()
		r := upstream.NewRegistry(options(network))
		defer r.Close()
		target := start(t, r, probed(upstream.DefaultHealth())).Pools()[0].Targets()[0]
		time.Sleep(time.Hour)
		if n := network.count(addr); n != 0 || !target.Healthy() {
			t.Fatalf("%d connects, healthy %v; expected none", n, target.Healthy())
		}
		target.MarkConnectFailure(errors.New("refused"))
		time.Sleep(time.Minute)
		tries := network.count(addr)
		if tries < 60 || tries > 100 {
			t.Errorf("%d connects in a minute of revival, expected 60 to 100", tries)
		}
		network.listen(addr, silent)
		time.Sleep(time.Hour)
		if n := network.count(addr); n != tries+1 || !target.Healthy() {
			t.Errorf("%d connects after the return, healthy %v; expected 1 and healthy", n-tries, target.Healthy())
		}
	})
}

// A probe that hangs when a request can't connect must not delay the revival,
// nor may one that began before say that all is well.
func TestMarkInterruptsProbe(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network := newNetwork()
		network.listen(addr, silent)
		r := upstream.NewRegistry(options(network))
		defer r.Close()
		health := interval(time.Second)
		health.Path, health.Timeout = "/health", health.Interval*60
		target := start(t, r, probed(health)).Pools()[0].Targets()[0]
		time.Sleep(2 * time.Second) // the probe waits for an answer
		target.MarkConnectFailure(errors.New("refused"))
		network.listen(addr, answer(status(200)))
		if target.Healthy() {
			t.Error("healthy after the mark")
		}
		time.Sleep(time.Second)
		if !target.Healthy() {
			t.Error("unhealthy a second later: the hanging probe held up the revival")
		}
	})
}

// A panic counts as a failed probe, and the prober goes on.
func TestPanicsAreContained(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		o := options(newNetwork())
		o.Log = zerolog.New(zerolog.SyncWriter(&log))
		o.Dial = func(context.Context, string, string) (net.Conn, error) { panic("ouch") }
		r := upstream.NewRegistry(o)
		target := start(t, r, probed(interval(time.Second))).Pools()[0].Targets()[0]
		time.Sleep(10 * time.Second)
		r.Close()
		if s := target.State(); s.ConsecutiveFailures < 5 || !strings.Contains(s.LastError, "panicked: ouch") {
			t.Errorf("got %+v, expected the prober to go on after panics", s)
		}
		if !strings.Contains(log.String(), "probe_test.go") {
			t.Errorf("the log has no stack: %s", log.String())
		}
		if n := strings.Count(log.String(), "it is unhealthy"); n != 1 {
			t.Errorf("the transition was logged %d times, expected once: %s", n, log.String())
		}
	})
}

// Out of descriptors, the gateway must not take all targets for dead.
func TestOwnShortagesSpareTheTarget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := options(newNetwork())
		tries := status(0)
		o.Dial = func(context.Context, string, string) (net.Conn, error) {
			tries.Add(1)
			return nil, &net.OpError{Op: "dial", Net: "tcp", Err: syscall.EMFILE}
		}
		r := upstream.NewRegistry(o)
		defer r.Close()
		target := start(t, r, probed(interval(time.Second))).Pools()[0].Targets()[0]
		time.Sleep(time.Minute)
		if s := target.State(); !target.Healthy() || s.ConsecutiveFailures != 0 || tries.Load() < 50 {
			t.Errorf("got %+v after %d probes, expected a healthy target", s, tries.Load())
		}
	})
}

func TestProbesAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network := newNetwork()
		o := options(network)
		o.MaxProbes = 4
		open, most := status(0), status(0)
		o.Dial = func(ctx context.Context, _, _ string) (net.Conn, error) {
			n := open.Add(1)
			defer open.Add(-1)
			if m := most.Load(); n > m {
				most.CompareAndSwap(m, n)
			}
			<-ctx.Done()
			return nil, ctx.Err()
		}
		r := upstream.NewRegistry(o)
		defer r.Close()
		c := probed(interval(10 * time.Second))
		c.Services = services("http://10.0.0.1", "http://10.0.0.2", "http://10.0.0.3", "http://10.0.0.4",
			"http://10.0.0.5", "http://10.0.0.6", "http://10.0.0.7", "http://10.0.0.8")
		c.Health.UnhealthyAfter = 1000
		start(t, r, c)
		time.Sleep(time.Minute)
		if most.Load() != 4 {
			t.Errorf("%d probes ran at the same time, expected 4", most.Load())
		}
	})
}

// A probe that began before a connect failed says nothing about what came after
// it, even if its result arrives when nothing can interrupt it any more.
func TestLateProbeUndoesNoMark(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := upstream.NewRegistry(options(newNetwork()))
		defer r.Close()
		target := start(t, r, probed(upstream.DefaultHealth())).Pools()[0].Targets()[0]
		before := target.Marks()
		target.MarkConnectFailure(errors.New("refused"))
		target.Record(before)
		if target.Healthy() {
			t.Error("a probe from before the mark made the target healthy")
		}
		target.Record(target.Marks())
		if !target.Healthy() {
			t.Error("a probe from after the mark didn't make the target healthy")
		}
	})
}

// TestMarksAmongProbes: a mark has a target probed at once, however long its probes
// are apart; and one that comes when it is down already makes what has succeeded
// before it count for nothing.
func TestMarksAmongProbes(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		network := newNetwork()
		code := status(200)
		network.listen(addr, answer(code))
		r := upstream.NewRegistry(options(network))
		defer r.Close()
		config := probed(interval(time.Hour))
		config.Health.Path, config.Health.HealthyAfter, config.Health.UnhealthyAfter = "/health", 2, 1
		target := start(t, r, config).Pools()[0].Targets()[0]
		time.Sleep(time.Minute) // synctest's
		target.MarkConnectFailure(syscall.ECONNREFUSED)
		if target.Healthy() {
			t.Error("a marked target is healthy")
		}
		time.Sleep(time.Second)
		if !target.Healthy() {
			t.Error("a target that is back isn't healthy after a second")
		}
		code.Store(503)
		time.Sleep(2 * time.Hour)
		if target.Healthy() {
			t.Fatal("a target that answers 503 is healthy")
		}
		code.Store(200)
		for i, healthy := range []bool{false, false, true} {
			before := network.count(addr)
			for network.count(addr) == before {
				time.Sleep(time.Minute)
			}
			synctest.Wait()
			if target.Healthy() != healthy {
				t.Errorf("after %d probes, healthy is %v", network.count(addr), target.Healthy())
			}
			if i == 0 {
				target.MarkConnectFailure(syscall.ECONNREFUSED) // of a request that began earlier
			}
		}
	})
}
