package upstream_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/netip"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/keystone-gateway/keystone-gateway/proxy/settings"
	"github.com/keystone-gateway/keystone-gateway/test/until"
	"github.com/keystone-gateway/keystone-gateway/upstream"
)

// network is a pretended one, so that synctest can pretend the time as well.
type network struct {
	mu    sync.Mutex
	hosts map[string]func(net.Conn) // by address; who isn't in it refuses
	dials []string
	names map[string][]netip.Addr
	asked int
}

func newNetwork() *network {
	return &network{hosts: map[string]func(net.Conn){}, names: map[string][]netip.Addr{}}
}

func (n *network) listen(address string, serve func(net.Conn)) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.hosts[address] = serve
}

func (n *network) kill(address string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.hosts, address)
}

func (n *network) name(host string, ips ...string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.names[host] = nil
	for _, ip := range ips {
		n.names[host] = append(n.names[host], netip.MustParseAddr(ip))
	}
}

func (n *network) Dial(_ context.Context, _, address string) (net.Conn, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.dials = append(n.dials, address)
	serve := n.hosts[address]
	if serve == nil {
		return nil, syscall.ECONNREFUSED
	}
	here, there := net.Pipe()
	go func() {
		defer func() { _ = there.Close() }()
		serve(there)
	}()
	return here, nil
}

func (n *network) Lookup(_ context.Context, host string) ([]netip.Addr, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.asked++
	if answer := n.names[host]; answer != nil {
		return answer, nil
	}
	return nil, &net.DNSError{Err: "no such host", Name: host, IsNotFound: true}
}

// count returns the number of connects to an address so far.
func (n *network) count(address string) (count int) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, d := range n.dials {
		if d == address {
			count++
		}
	}
	return count
}

func (n *network) lookups() int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.asked
}

// answer serves one request with what status holds at the time.
func answer(status *atomic.Int32) func(net.Conn) {
	return func(c net.Conn) {
		if readHead(c) != "" {
			_, _ = fmt.Fprintf(c, "HTTP/1.1 %d X\r\nContent-Length: 2\r\n\r\nok", status.Load())
		}
	}
}

func silent(c net.Conn) { _, _ = io.Copy(io.Discard, c) }

// listen serves each connection of a real port.
func listen(t *testing.T, address string, serve func(net.Conn)) net.Listener {
	t.Helper()
	server, err := net.Listen("tcp", address) //nolint:noctx // a test
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		for {
			c, err := server.Accept()
			if err != nil {
				return
			}
			go func() {
				defer func() { _ = c.Close() }()
				serve(c)
			}()
		}
	}()
	return server
}

func readHead(c net.Conn) string {
	var head strings.Builder
	reader := bufio.NewReader(c)
	for {
		line, err := reader.ReadString('\n')
		head.WriteString(line)
		if err != nil || line == "\r\n" {
			return head.String()
		}
	}
}

func status(code int32) *atomic.Int32 {
	s := &atomic.Int32{}
	s.Store(code)
	return s
}

func options(n *network) upstream.Options {
	return upstream.Options{Dial: n.Dial, Lookup: n.Lookup, Rand: func() float64 { return 0.5 }}
}

func services(urls ...string) []upstream.ServiceConfig {
	list := make([]upstream.ServiceConfig, len(urls))
	for i, url := range urls {
		list[i].SetDefaults()
		list[i].URL = url
	}
	return list
}

func interval(d time.Duration) upstream.HealthConfig {
	h := upstream.DefaultHealth()
	h.Interval = settings.Duration(d)
	return h
}

// start builds and activates one generation.
func start(t *testing.T, r *upstream.Registry, list ...upstream.PoolConfig) *upstream.Generation {
	t.Helper()
	g, err := r.Build(list)
	if err != nil {
		t.Fatal(err)
	}
	r.Activate(g)
	return g
}

// eventually waits for a condition on real time.
var eventually = until.True

// noLeak fails the test if it leaves goroutines behind.
func noLeak(t *testing.T) {
	t.Helper()
	before := runtime.NumGoroutine()
	t.Cleanup(func() {
		eventually(t, "all goroutines have ended", func() bool { return runtime.NumGoroutine() <= before })
	})
}
