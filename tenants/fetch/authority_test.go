package fetch_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/keystone-gateway/keystone-gateway/tenants/fetch"
)

// What the process itself listens on is refused, whatever is allowed, unless
// that is exactly the address of a listener for tenants.
func TestOwnListeners(t *testing.T) {
	const public, admin, other = 8080, 9090, 1
	own := func(at netip.AddrPort) fetch.Ownership {
		switch {
		case !at.Addr().IsLoopback() && !at.Addr().IsUnspecified():
		case at.Port() == public:
			return fetch.OwnPublic
		case at.Port() == admin:
			return fetch.OwnAdmin
		}
		return fetch.NotOwn
	}
	wide := permit("0.0.0.0/0", "::/0", "127.0.0.0/8", "127.0.0.1/32", "::1/128", "0.0.0.0/32", "::/128")
	named := append(wide, fetch.Permission{Name: "localhost"}, fetch.Permission{Name: "localhost", Port: public},
		fetch.Permission{Network: netip.MustParsePrefix("127.0.0.0/8"), Port: public})
	exact := append(named, fetch.Permission{Network: netip.MustParsePrefix("127.0.0.1/32"), Port: public},
		fetch.Permission{Network: netip.MustParsePrefix("127.0.0.1/32"), Port: admin})
	for _, c := range []struct {
		name    string
		allow   []fetch.Permission
		hosts   string
		port    int
		refused bool
	}{
		{"public", wide, "127.0.0.1 127.1.2.3 localhost [::1] [::ffff:127.0.0.1] 0.0.0.0 [::] [::ffff:0.0.0.0] [64:ff9b::7f00:1] [2002:7f00:1::]", public, true},
		{"admin", wide, "127.0.0.1 localhost [::1] [::ffff:7f00:1] 0.0.0.0 [::]", admin, true},
		{"public by name", named, "127.0.0.1 localhost", public, true},
		{"public, meant", exact, "127.0.0.1 [::ffff:127.0.0.1]", public, false},
		{"public, another address meant", exact, "127.0.0.2 [::1] 0.0.0.0", public, true},
		{"admin, meant", exact, "127.0.0.1 localhost", admin, true},
		{"another port", wide, "127.0.0.1 localhost [::1]", other, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			client := newClient(t, fetch.Config{Allow: c.allow, Own: own, Timeout: time.Second})
			for host := range strings.FieldsSeq(c.hosts) {
				if _, err := get(t, client, fmt.Sprintf("http://%s:%d/", host, c.port)); err == nil || refused(err) != c.refused {
					t.Errorf("%s: error %v; want refused: %v", host, err, c.refused)
				}
			}
		})
	}
}

// A proxy of the environment would connect in our place, past the guard.
func TestUsesNoProxy(t *testing.T) {
	asked := make(chan string, 10)
	proxy := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { asked <- r.URL.String() }))
	defer proxy.Close()
	for _, name := range []string{"HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"} {
		t.Setenv(name, proxy.URL)
	}
	resolver := &net.Resolver{PreferGo: true, Dial: func(context.Context, string, string) (net.Conn, error) {
		near, far := net.Pipe()
		go func() {
			defer func() { _ = far.Close() }()
			answerDNS(far, [4]byte{169, 254, 1, 1})
		}()
		return near, nil
	}}
	client := newClient(t, fetch.Config{Resolver: resolver})
	for _, scheme := range []string{"http", "https"} {
		if _, err := get(t, client, scheme+"://inner.example./"); err == nil || err.Error() != "connecting to 169.254.1.1 is not allowed" {
			t.Errorf("%s: %v", scheme, err)
		}
	}
	if len(asked) > 0 {
		t.Errorf("the proxy was asked for %s", <-asked)
	}
}

// FuzzGuard compares the judgement of addresses, in any spelling, with a
// plain model of what is denied by default. What isn't denied is not connected
// to.
func FuzzGuard(f *testing.F) {
	for _, seed := range []string{
		"127.0.0.1", "127.1", "2130706433", "0x7f.1", "0177.0.0.1", "[::1]", "[::]", "0.0.0.0", "0", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]",
		"[64:ff9b::7f00:1]", "[2002:7f00:1::]", "[2001:0:102:304::80ff:fffe]", "[::127.0.0.1]", "[fe80::1%25lo]", "169.254.169.254", "224.0.0.1",
		"localhost", "10.0.0.1", "192.0.2.1", "[2001:db8::1]", "[fd00::1]", "[ff02::1]", "[::2]", "[fd00::5efe:7f00:1]",
	} {
		f.Add(seed)
	}
	// A resolver that knows nothing: what has an address is a spelling of one.
	resolver := &net.Resolver{PreferGo: true, Dial: func(context.Context, string, string) (net.Conn, error) {
		return nil, io.ErrClosedPipe
	}}
	client := newClient(f, fetch.Config{Resolver: resolver})
	f.Fuzz(func(t *testing.T, host string) {
		addr, err := netip.ParseAddr(strings.TrimSuffix(strings.TrimPrefix(strings.ReplaceAll(host, "%25", "%"), "["), "]"))
		if err != nil || !deniedByModel(addr) {
			return
		}
		_, err = get(t, client, "http://"+host+":1/")
		if err == nil || errors.Is(err, syscall.ECONNREFUSED) || strings.Contains(err.Error(), "no complete response") {
			t.Errorf("%s, which is %s: error %v; want it refused", host, addr, err)
		}
	})
}

// deniedByModel is what a reader of docs/lua.md expects.
func deniedByModel(addr netip.Addr) bool {
	addr = addr.Unmap().WithZone("")
	if addr.Is6() {
		b := addr.As16()
		last := netip.AddrFrom4([4]byte(b[12:]))
		switch {
		case addr.IsLoopback(), addr.IsUnspecified():
		case netip.MustParsePrefix("64:ff9b::/96").Contains(addr), netip.MustParsePrefix("::/96").Contains(addr):
			return deniedByModel(last)
		case netip.MustParsePrefix("2002::/16").Contains(addr):
			return deniedByModel(netip.AddrFrom4([4]byte(b[2:])))
		}
	}
	return addr.IsLoopback() || addr.IsUnspecified() || addr.IsLinkLocalUnicast() || addr.IsMulticast()
}
