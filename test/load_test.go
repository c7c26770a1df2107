package test

import (
	"bytes"
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

	"github.com/keystone-gateway/keystone-gateway/test/port"
)

// loadLength is how many requests the tests below send at least: as many as go
// out while they try what they try. KEYSTONE_LONG=1 makes it 20,000.
func loadLength() int64 {
	if os.Getenv("KEYSTONE_LONG") != "" {
		return 20_000
	}
	return 0
}

// senders is how many requests of a load are in flight at once.
const senders = 16

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
	up := &killable{name: name, address: port.Reserve(t), seen: seen, twice: twice}
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

// load is requests through a gateway, as many as it answers: how many that are
// in a second is the machine's business.
type load struct {
	url           string
	client        *http.Client
	next, sent    atomic.Int64
	failedGET     atomic.Int64
	failedPOST    atomic.Int64
	firstFailures sync.Map
	quit          chan struct{}
	sending       sync.WaitGroup
}

// start begins to send, every tenth time a POST, until end.
func (l *load) start() {
	l.client = &http.Client{Timeout: patience, Transport: &http.Transport{
		MaxIdleConns: senders, MaxIdleConnsPerHost: senders, DisableCompression: true,
	}}
	l.quit = make(chan struct{})
	for range senders {
		l.sending.Go(func() {
			for {
				select {
				case <-l.quit:
					return
				default:
					l.one(int(l.next.Add(1)))
				}
			}
		})
	}
}

// end sends no more, once there have been loadLength requests, and waits for the
// answers.
func (l *load) end(t *testing.T) {
	t.Helper()
	for l.sent.Load() < loadLength() {
		l.await(t, 100)
	}
	close(l.quit)
	l.sending.Wait()
	l.client.CloseIdleConnections()
	t.Logf("%d requests, %d GET and %d POST failed", l.sent.Load(), l.failedGET.Load(), l.failedPOST.Load())
	l.firstFailures.Range(func(what, _ any) bool {
		t.Logf("failure: %v", what)
		return true
	})
}

// await waits until that many more requests have been answered.
func (l *load) await(t *testing.T, more int64) {
	t.Helper()
	before := l.sent.Load()
	eventually(t, patience, "requests are answered", func() bool { return l.sent.Load() >= before+more })
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
		"    health: {path: /health, interval: 1s, timeout: 1m}\n    timeouts: {connect: 1m}\n    services:\n" + services.String() + extra
}

// startLoad starts two targets, a gateway before them, and the load on it.
func startLoad(t *testing.T) (_, _ *killable, _ *gateway, _ *load) {
	t.Helper()
	var seen sync.Map
	var twice atomic.Int64
	a, b := newKillable(t, "a", &seen, &twice), newKillable(t, "b", &seen, &twice)
	g := startGateway(t, loadConfig(1, "", a, b))
	l := &load{url: "http://" + g.address}
	l.start()
	return a, b, g, l
}

// TestReloadStorm reloads 50 times under load: no request fails.
func TestReloadStorm(t *testing.T) {
	a, b, g, l := startLoad(t)
	logged := func(what string) int { return strings.Count(g.output.String(), `"message":"`+what) }
	for i := range 50 {
		l.await(t, 50)
		extra := ""
		if i%3 == 0 {
			extra = fmt.Sprintf("  - name: extra-%d\n    path_prefix: /extra-%d\n    services: [{url: \"http://%s\"}]\n", i, i, a.address)
		}
		switch i % 20 {
		case 9: // that tenant's own
			extra = "  - name: broken\n"
		case 19: // everybody's
			extra = "nonsense: {}\n"
		}
		g.write(t, loadConfig(1+i%4, extra, a, b))
		if err := g.command.Process.Signal(syscall.SIGHUP); err != nil {
			t.Fatal(err)
		}
		// A signal that comes meanwhile might become one with this one.
		eventually(t, patience, "the reload is logged", func() bool { return logged(`reloaded"`)+logged("reload refused") > i })
	}
	l.await(t, 50)
	l.end(t)
	if l.failedGET.Load()+l.failedPOST.Load() != 0 || a.twice.Load() != 0 {
		t.Errorf("%d GET and %d POST failed, %d POST were seen twice; want none", l.failedGET.Load(), l.failedPOST.Load(), a.twice.Load())
	}
	if a.served.Load() == 0 || b.served.Load() == 0 {
		t.Errorf("targets served %d and %d requests", a.served.Load(), b.served.Load())
	}
	reloads, partial, refused := logged(`reloaded"`), logged("reloaded, but not every tenant"), logged("reload refused")
	if reloads != 48 || partial != 3 || refused != 2 {
		t.Errorf("%d reloads, %d of them partial, and %d refused ones were logged, want 48, 3 and 2", reloads, partial, refused)
	}
}

// TestKilledTarget kills one of two targets under load and brings it back: no
// GET fails, no POST is seen twice, and the target gets requests again. How
// soon it does, TestRevival of package upstream has in virtual time.
func TestKilledTarget(t *testing.T) {
	a, b, _, l := startLoad(t)
	eventually(t, patience, "both targets serve", func() bool { return a.served.Load() > 100 && b.served.Load() > 100 })
	a.kill()
	before := b.served.Load()
	eventually(t, patience, "the other target serves alone", func() bool { return b.served.Load() > before+500 })
	served := a.served.Load()
	a.start(t)
	eventually(t, patience, "the target that came back serves", func() bool { return a.served.Load() > served+100 })
	l.end(t)
	if l.failedGET.Load() != 0 || a.twice.Load() != 0 {
		t.Errorf("%d GET failed, %d POST were seen twice; want none", l.failedGET.Load(), a.twice.Load())
	}
}
