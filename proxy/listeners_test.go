package proxy_test

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/user"
	"path/filepath"
	"strings"
	"testing"

	"github.com/keystone-gateway/keystone-gateway/proxy"
)

// shop is a tenant for any host.
func shop(address string) string {
	return "access_log: {enabled: false}\nadmin: {enabled: false}\ntenants: [{name: shop, path_prefix: /, services: [{url: \"http://" + address + "\"}]}]\n"
}

const helloResponse = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"

// dialAt connects to the n-th listener.
func dialAt(t *testing.T, server *proxy.Server, n int) net.Conn {
	t.Helper()
	at := server.Addrs()[n]
	conn, err := net.Dial(at.Network(), at.String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

// request sends a request for a host and returns the response, whose body has been read.
func request(t *testing.T, conn net.Conn, head string) *http.Response {
	t.Helper()
	response, err := requestFor(t, conn, head)
	if err != nil {
		t.Fatal(err)
	}
	return response
}

func requestFor(t *testing.T, conn net.Conn, head string) (*http.Response, error) {
	t.Helper()
	send(t, conn, head)
	response, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err == nil {
		_ = response.Body.Close()
	}
	return response, err
}

const get = "GET / HTTP/1.1\r\nHost: example.com\r\n\r\n"

// TestListeners has several at once: IPv4, IPv6, TLS and a Unix socket with a mode and
// an owner.
func TestListeners(t *testing.T) {
	t.Parallel()
	cert, key := keyPair(t)
	me, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "gateway.sock")
	server := serve(t, fmt.Sprintf("tls: {cert_file: %q, key_file: %q}\nlisteners:\n"+
		"- {address: \"127.0.0.1:0\"}\n- {address: \"[::1]:0\", name: six}\n- {address: \"127.0.0.1:0\", tls: true}\n"+
		"- {address: \"unix:%s\", mode: 0620, owner: \"%s:%s\"}\n", cert, key, path, me.Uid, me.Gid)+shop(answering(t, helloResponse)))
	for n := range server.Addrs() {
		conn := dialAt(t, server, n)
		if n == 2 {
			conn = tls.Client(conn, &tls.Config{InsecureSkipVerify: true})
		}
		if response := request(t, conn, get); response.StatusCode != 200 {
			t.Errorf("listener %d: %s", n, response.Status)
		}
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o620 {
		t.Errorf("the mode is %v (%v), want 0620", info.Mode(), err)
	}
	if at, ok := server.Addrs()[1].(*net.TCPAddr); !ok || at.IP.To4() != nil {
		t.Errorf("the second listens at %v, want [::1]", server.Addrs()[1])
	}
}

// TestListenersOwnOptions: what one listener is told is no other's.
func TestListenersOwnOptions(t *testing.T) {
	t.Parallel()
	server := serve(t, "listeners:\n- {address: \"127.0.0.1:0\"}\n- {address: \"127.0.0.1:0\", proxy_protocol: {from: [127.0.0.1]}}\n"+
		"- {address: \"127.0.0.1:0\", trusted_proxies: [127.0.0.1]}\n- {address: \"127.0.0.1:0\", max_connections: 1, max_requests_per_connection: 2}\n"+shop(telling(t)))
	const claims = "GET / HTTP/1.1\r\nHost: a.example.com\r\nX-Forwarded-For: 192.0.2.9\r\n\r\n"
	for n, want := range []string{"127.0.0.1 http", "nothing", "192.0.2.9, 127.0.0.1 http", "127.0.0.1 http"} {
		conn := dialAt(t, server, n)
		send(t, conn, claims)
		if got := told(bufio.NewReader(conn)); got != want {
			t.Errorf("listener %d: %s, want %s", n, got, want)
		}
		_ = conn.Close()
	}
	conn := dialAt(t, server, 1)
	send(t, conn, "PROXY TCP4 192.0.2.7 198.51.100.1 40000 443\r\n"+tell)
	if got := told(bufio.NewReader(conn)); got != "192.0.2.7 http" {
		t.Errorf("behind the load balancer: %s", got)
	}
	conn = dialAt(t, server, 0)
	if response := request(t, conn, "PROXY TCP4 192.0.2.7 198.51.100.1 40000 443\r\n"+tell); response.StatusCode != 400 {
		t.Errorf("a stranger's header: %s", response.Status)
	}
	eventually(t, "there is room for a connection", func() bool { return server.Open() <= 2 })
	conn = dialAt(t, server, 3)
	for n, closes := range []bool{false, true} {
		if response := request(t, conn, tell); response.StatusCode != 200 || response.Close != closes {
			t.Errorf("request %d of 2: %s, closes %t", n+1, response.Status, response.Close)
		}
		if n == 0 {
			if response := request(t, dialAt(t, server, 3), tell); response.StatusCode != 503 {
				t.Errorf("a second connection where one may be: %s", response.Status)
			}
			if response := request(t, dialAt(t, server, 0), tell); response.StatusCode != 200 {
				t.Errorf("at another listener: %s", response.Status)
			}
		}
	}
}

// TestListenersWarnings: a certificate that a listener speaks TLS with isn't there in
// vain.
func TestListenersWarnings(t *testing.T) {
	t.Parallel()
	cert, key := keyPair(t)
	for section, want := range map[string]int{"[{address: \":80\", tls: true}]": 0, "[{address: \":80\"}]": 1} {
		config, err := proxy.Parse("config.yaml", fmt.Appendf(nil, "tls: {cert_file: %q, key_file: %q}\nlisteners: %s\n%s", cert, key, section, shop("127.0.0.1:1")))
		if err != nil || len(config.Warnings()) != want {
			t.Errorf("%s: warnings %q (%v), want %d", section, config.Warnings(), err, want)
		}
	}
}

// TestListenersChecked: what a file can't ask for, and what is said.
func TestListenersChecked(t *testing.T) {
	t.Parallel()
	for section, want := range map[string]string{
		"listeners: []":                                        "listeners is empty",
		"listeners: [{name: a}]":                               "listener without an address",
		"listeners: [{address: 80}]":                           `write ":80"`,
		"listeners: [{address: \":80\"}, {address: \":080\"}]": "is that of another listener too",
		"listeners: [{address: \":80\", name: a}, {address: \":81\", name: a}]": `name "a" is already taken`,
		"listeners: [{address: \":80\", name: \"a b\"}]":                        "is not one",
		"listeners: [{address: \":80\", mode: 0600}]":                           "with a Unix socket alone",
		"listeners: [{address: \"unix:/a\", mode: 0800}]":                       "expected one like 0660",
		"listeners: [{address: \"unix:/a\", mode: 432}]":                        "with the zero",
		"listeners: [{address: \"unix:/a\", owner: nobody-of-this-name}]":       "who isn't known here",
		"listeners: [{address: \":80\", tls: true}]":                            "tls is enabled without a certificate",
		"listeners: [{address: \":80\", tsl: true}]":                            "did you mean \"tls\"",
		"listeners: [{address: \"127.0.0.1:9090\"}]":                            "is that of the admin API too",
		"listeners: [{address: \":9090\"}]":                                     "config.yaml:1:23: address \":9090\" is that of the admin API too (admin.address is \"127.0.0.1:9090\")",
		"server: {address: \":9090\"}":                                          "config.yaml:1:19: address \":9090\" is that of the admin API too",
		"server: {port: 9090}":                                                  "config.yaml:1:16: address \":9090\" is that of the admin API too",
		"admin: {address: \"[::1]:80\"}\nserver: {port: 80}":                    "config.yaml:1:18: address \"[::1]:80\" is that of a listener too (\":80\", which leaves no room for it)",
		"listeners: [{address: \":80\"}, {address: \"127.0.0.1:80\"}]":          "is that of another listener too (\":80\", which leaves no room for it)",
		"listeners: [{address: \"localhost:80\"}, {address: \"127.0.0.1:80\"}]": "is that of another listener too",
		"listeners: [{address: \"0.0.0.0:80\"}, {address: \"[::1]:80\"}]":       "is that of another listener too",
		"listeners: [{address: \"unix:/a/b\"}, {address: \"unix:/a/./b\"}]":     "is that of another listener too",
		"server: {address: \":80\"}\nlisteners: [{address: \":81\"}]":           "both server.address and listeners are set",
		"tls: {enabled: true}\nlisteners: [{address: \":81\"}]":                 "both tls.enabled and listeners are set",
		"listeners: [{address: \":80\", trusted_proxies: [a]}]":                 `trusted proxy "a" is not a network`,
		"server: {trusted_proxies: [a]}\nlisteners: [{address: \":80\"}]":       `trusted proxy "a" is not a network`,
		"listeners: [{address: \"127.0.0.1:1\"}]":                               "is the gateway's own address",
	} {
		_, err := proxy.Parse("config.yaml", []byte(section+"\ntenants: [{name: a, path_prefix: /, services: [{url: \"http://127.0.0.1:1\"}]}]\n"))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s\ngot  %v\nwant %s", section, err, want)
		}
	}
}
