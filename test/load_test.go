package test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// loadTime is how long the tests below keep their load up. The environment
// variable KEYSTONE_LONG=1 makes it the 30 s of the promise.
func loadTime() time.Duration {
	if os.Getenv("KEYSTONE_LONG") != "" {
		return 30 * time.Second
	}
	return 4 * time.Second
}

// killable is an upstream that can be killed and started again on its port. It
// records the ids of the requests that it has seen.
type killable struct {
	name    string
	address string
	server  *http.Server
	served  atomic.Int64
	seen    *sync.Map // "POST id" → number of times, shared by targets
	twice   *atomic.Int64
}

func newKillable(t *testing.T, name string, seen *sync.Map, twice *atomic.Int64) *killable {
	t.Helper()
	up := &killable{name: name, address: freeAddress(t), seen: seen, twice: twice}
	up.start(t)
	t.Cleanup(up.kill)
	return up
}

func (up *killable) start(t *testing.T) {
	t.Helper()
	listener, err := net.Listen("tcp", up.address)
	if err != nil {
		t.Fatal(err)
	}
	up.server = &http.Server{Handler: up, ReadHeaderTimeout: patience}
	go func() { _ = up.server.Serve(listener) }()
}

// kill resets every connection, as the death of a process does.
func (up *killable) kill() { _ = up.server.Close() }

func (up *killable) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	up.served.Add(1)
	body, _ := io.ReadAll(r.Body)
	if r.Method == http.MethodPost {
		if _, again := up.seen.LoadOrStore(r.Header.Get("X-Id"), up.name); again {
			up.twice.Add(1)
		}
	}
	_, _ = fmt.Fprintf(w, "%s %s %d", up.name, r.URL.Path, len(body))
}

// load is a constant rate of requests through a gateway.
type load struct {
	url           string
	client        *http.Client
	sent          atomic.Int64
	failedGET     atomic.Int64
	failedPOST    atomic.Int64
	firstFailures sync.Map
	done          sync.WaitGroup
	finished      chan struct{}
}

// run sends rate requests a second, every tenth of them a POST, until ctx ends.
func (l *load) run(ctx context.Context, rate int) {
	l.client = &http.Client{Timeout: patience, Transport: &http.Transport{
		MaxIdleConns: 256, MaxIdleConnsPerHost: 256, DisableCompression: true,
	}}
	const step = 5 * time.Millisecond
	ticker := time.NewTicker(step)
	defer ticker.Stop()
	batch := rate * int(step) / int(time.Second)
	for n := 0; ; {
		select {
		case <-ctx.Done():
			l.done.Wait()
			l.client.CloseIdleConnections()
			return
		case <-ticker.C:
		}
		for range batch {
			n++
			l.done.Add(1)
			go func(n int) {
				defer l.done.Done()
				l.one(n)
			}(n)
		}
	}
}

func (l *load) one(n int) {
	method, body := http.MethodGet, io.Reader(nil)
	if n%10 == 0 {
		method, body = http.MethodPost, bytes.NewReader(make([]byte, 100))
	}
	request, err := http.NewRequest(method, fmt.Sprintf("%s/load/%d", l.url, n), body)
	if err == nil {
		request.Host = "load.example"
		request.Header.Set("X-Id", fmt.Sprint(n))
		request.GetBody = nil // so that the client itself never sends a POST twice
		err = l.check(request)
	}
	l.sent.Add(1)
	if err == nil {
		return
	}
	l.firstFailures.LoadOrStore(err.Error(), n)
	if method == http.MethodPost {
		l.failedPOST.Add(1)
	} else {
		l.failedGET.Add(1)
	}
}

func (l *load) check(request *http.Request) error {
	response, err := l.client.Do(request)
	if err != nil {
		return err
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return err
	}
	if response.StatusCode != http.StatusOK || !strings.Contains(string(body), request.URL.Path+" ") {
		return fmt.Errorf("%d %s %q", response.StatusCode, response.Header.Get("X-Gateway-Error"), body)
	}
	return nil
}

func (l *load) report(t *testing.T) {
	t.Helper()
	t.Logf("%d requests, %d GET and %d POST failed", l.sent.Load(), l.failedGET.Load(), l.failedPOST.Load())
	l.firstFailures.Range(func(what, _ any) bool {
		t.Logf("failure: %v", what)
		return true
	})
}

func loadConfig(weight int, extra string, targets ...*killable) string {
	var services strings.Builder
	for i, up := range targets {
		w := 1
		if i == 0 {
			w = weight
		}
		fmt.Fprintf(&services, "      - {name: %s, url: \"http://%s\", weight: %d}\n", up.name, up.address, w)
	}
	return "access_log: {enabled: false}\ntenants:\n  - name: load\n    domains: [load.example]\n" +
		"    health: {path: /health, interval: 1s}\n    services:\n" + services.String() + extra
}

// startLoad starts two targets, a gateway before them, and the load on it,
// which closes l.finished when its time is over.
func startLoad(t *testing.T) (_, _ *killable, _ *gateway, _ *load) {
	t.Helper()
	var seen sync.Map
	var twice atomic.Int64
	a, b := newKillable(t, "a", &seen, &twice), newKillable(t, "b", &seen, &twice)
	g := startGateway(t, loadConfig(1, "", a, b))
	ctx, cancel := context.WithTimeout(t.Context(), loadTime())
	l := &load{url: "http://" + g.address, finished: make(chan struct{})}
	go func() {
		defer cancel()
		defer close(l.finished)
		l.run(ctx, 1000)
	}()
	return a, b, g, l
}

// TestReloadStorm reloads 50 times under 1,000 requests a second: none fails.
func TestReloadStorm(t *testing.T) {
	a, b, g, l := startLoad(t)
	ticker := time.NewTicker(loadTime() / 55)
	defer ticker.Stop()
	for i := range 50 {
		<-ticker.C
		extra := ""
		if i%3 == 0 {
			extra = fmt.Sprintf("  - name: extra-%d\n    path_prefix: /extra-%d\n    services: [{url: \"http://%s\"}]\n", i, i, a.address)
		}
		if i%10 == 9 {
			extra = "  - name: broken\n"
		}
		g.write(t, loadConfig(1+i%4, extra, a, b))
		if err := g.command.Process.Signal(syscall.SIGHUP); err != nil {
			t.Fatal(err)
		}
	}
	<-l.finished
	l.report(t)
	if l.failedGET.Load()+l.failedPOST.Load() != 0 || a.twice.Load() != 0 {
		t.Errorf("%d GET and %d POST failed, %d POST were seen twice; want none", l.failedGET.Load(), l.failedPOST.Load(), a.twice.Load())
	}
	if a.served.Load() == 0 || b.served.Load() == 0 {
		t.Errorf("targets served %d and %d requests", a.served.Load(), b.served.Load())
	}
	reloads := strings.Count(g.output.String(), `"message":"reloaded"`)
	refused := strings.Count(g.output.String(), `"message":"reload refused`)
	t.Logf("%d reloads, %d refused", reloads, refused)
	if reloads < 25 || refused < 1 {
		t.Errorf("%d reloads and %d refused ones were logged, want about 45 and 5 (signals may merge)", reloads, refused)
	}
}

// TestKilledTarget kills one of two targets under 1,000 requests a second and
// brings it back: no GET fails, no POST is seen twice, and the target gets
// requests again within a second.
func TestKilledTarget(t *testing.T) {
	a, b, _, l := startLoad(t)
	eventually(t, patience, "both targets serve", func() bool { return a.served.Load() > 100 && b.served.Load() > 100 })
	a.kill()
	before := b.served.Load()
	eventually(t, patience, "the other target serves alone", func() bool { return b.served.Load() > before+500 })
	served := a.served.Load()
	a.start(t)
	eventually(t, recovery, "the target that came back serves", func() bool { return a.served.Load() > served })
	<-l.finished
	l.report(t)
	if l.failedGET.Load() != 0 || a.twice.Load() != 0 {
		t.Errorf("%d GET failed, %d POST were seen twice; want none", l.failedGET.Load(), a.twice.Load())
	}
}

// recovery is the promised second, and room for a busy machine.
const recovery = time.Second + 500*time.Millisecond
