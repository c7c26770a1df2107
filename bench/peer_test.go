//go:build linux

package main

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/netip"
	"os"
	"slices"
	"sync/atomic"
	"testing"

	"golang.org/x/sys/unix"
)

// TestMain makes the test binary what bench is to the lab: it runs itself as
// the upstream and as some of the peers.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && slices.Contains([]string{upstreamCommand, fasthttpCommand, forwarderCommand, clientsCommand, attackersCommand}, os.Args[1]) {
		main()
		return
	}
	os.Exit(m.Run())
}

// openTestLab opens a lab with the gateway of this checkout, for all tests of
// peers.
func openTestLab(t *testing.T) *lab {
	t.Helper()
	l, err := openLab(t.Context(), &options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.close)
	return l
}

// TestPeers demands of each peer that is installed that it does all of the
// work, with any script, on one core and two, and still after a reload.
func TestPeers(t *testing.T) {
	if testing.Short() {
		t.Skip("starts every peer")
	}
	l := openTestLab(t)
	for _, p := range peers() {
		t.Run(p.name, func(t *testing.T) {
			version, err := p.find(t.Context(), l)
			if err != nil {
				if slices.Contains([]string{peerCaddy, peerTraefik}, p.name) { // built on demand only
					t.Skipf("not there: %v", err)
				}
				missing(t, fmt.Sprintf("not there: %v", err))
			}
			t.Log(version)
			scripts := []script{noScript}
			if p.scripts {
				scripts = append(scripts, middlewareWork, scriptAnswerWork)
			}
			for _, script := range scripts {
				for _, cores := range []int{1, 2} {
					tryPeer(t, l, p, &work{hosts: 20, script: script, cores: cores})
				}
			}
			tryPeer(t, l, p, &work{hosts: 20, apart: true, cores: 2})
		})
	}
}

// missing skips a test for something that this machine lacks; in CI, where
// everything must be there, it fails it.
func missing(t *testing.T, what string) {
	t.Helper()
	if os.Getenv("KEYSTONE_CI") != "" {
		t.Fatalf("%s, and KEYSTONE_CI forbids to skip", what)
	}
	t.Skip(what)
}

func tryPeer(t *testing.T, l *lab, p *peer, w *work) {
	t.Run(fmt.Sprintf("script=%s,apart=%t,cores=%d", w.script, w.apart, w.cores), func(t *testing.T) {
		defer l.stopAll()
		origin := newOrigin(t)
		w.upstream = &origin.upstream
		target, err := p.start(t.Context(), l, w)
		if err != nil {
			t.Fatal(err)
		}
		checkCPUs(t, l, target, w.cores)
		if err := p.check(t.Context(), target, w); err != nil {
			t.Fatal(err)
		}
		if w.script != scriptAnswerWork {
			origin.checkKept(t, target)
			checkBodies(t, target)
		}
		if p.bare {
			return
		}
		if err := target.reload(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := p.check(t.Context(), target, w); err != nil {
			t.Errorf("after a reload: %v", err)
		}
	})
}

// checkCPUs demands that no process of a target may run elsewhere.
func checkCPUs(t *testing.T, l *lab, target *target, cores int) {
	t.Helper()
	want, _ := l.cpusFor(cores)
	for _, pid := range tree(target.pid()) {
		var set unix.CPUSet
		if err := unix.SchedGetaffinity(pid, &set); err != nil {
			t.Fatalf("cannot read the processors of %d: %v", pid, err)
		}
		if set.Count() != len(want) || !set.IsSet(want[0]) {
			t.Errorf("process %d may run on %d processors, want those of %v", pid, set.Count(), want)
		}
	}
}

// origin is an upstream that counts what comes to it.
type origin struct {
	upstream
	connections, requests [2]atomic.Int64
}

// big is a body that no buffer holds at once.
var big = bytes.Repeat([]byte("0123456789abcde\n"), 1<<16)

func newOrigin(t *testing.T) *origin {
	t.Helper()
	o := &origin{}
	for i := range o.addresses {
		server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			o.requests[i].Add(1)
			serveOrigin(w, r)
		}))
		server.Config.ConnState = func(_ net.Conn, state http.ConnState) {
			if state == http.StateNew {
				o.connections[i].Add(1)
			}
		}
		server.Start()
		t.Cleanup(server.Close)
		o.addresses[i] = netip.MustParseAddrPort(server.Listener.Addr().String())
	}
	return o
}

func serveOrigin(w http.ResponseWriter, r *http.Request) {
	var reply []byte
	switch r.URL.Path {
	case "/echo":
		reply, _ = httputil.DumpRequest(r, false)
	case "/big":
		reply = big
	case "/upload":
		body, _ := io.ReadAll(io.LimitReader(r.Body, 2<<20))
		reply = fmt.Append(nil, bytes.Equal(body, big))
	}
	_, _ = w.Write(reply)
}

// checkKept demands that both targets get their share of a client's requests,
// on connections that are kept.
func (o *origin) checkKept(t *testing.T, target *target) {
	t.Helper()
	const clients, each = 4, 20
	var requests, connections [2]int64
	for i := range requests {
		requests[i], connections[i] = o.requests[i].Load(), o.connections[i].Load()
	}
	for range clients {
		transport := &http.Transport{}
		for range each {
			send(t, transport, target, "GET", "/", nil)
		}
		transport.CloseIdleConnections()
	}
	for i := range requests {
		n, opened := o.requests[i].Load()-requests[i], o.connections[i].Load()-connections[i]
		if n < clients*each/4 {
			t.Errorf("target %d got %d of %d requests, want about half", i, n, clients*each)
		}
		if opened > clients {
			t.Errorf("target %d got %d connections for %d requests, want at most %d", i, opened, n, clients)
		}
	}
}

// checkBodies demands that large bodies pass whole, both ways.
func checkBodies(t *testing.T, target *target) {
	t.Helper()
	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	if got := send(t, transport, target, "GET", "/big", nil); !bytes.Equal(got, big) {
		t.Errorf("got %d bytes of a body, want all %d", len(got), len(big))
	}
	if got := send(t, transport, target, "POST", "/upload", big); string(got) != "true" {
		t.Errorf("the upstream did not get the body as it was sent: %q", got)
	}
}

func send(t *testing.T, transport *http.Transport, target *target, method, path string, body []byte) []byte {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, "http://"+target.address.String()+path, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	request.Host = hostName(0)
	response, err := transport.RoundTrip(request)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	got, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode != http.StatusOK {
		t.Fatalf("%s %s: got %d and %.200q, %v, want 200", method, path, response.StatusCode, got, err)
	}
	return got
}
