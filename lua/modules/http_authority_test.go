package modules_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"

	"github.com/keystone-gateway/keystone-gateway/lua/modules"
	"github.com/keystone-gateway/keystone-gateway/lua/vm/vmtest"
)

// What the process itself listens on is refused, whatever is allowed, unless
// that is exactly the address of a listener for tenants.
func TestHTTPOwnListeners(t *testing.T) {
	const public, admin, other = 8080, 9090, 1
	own := func(at netip.AddrPort) modules.Ownership {
		switch {
		case !at.Addr().IsLoopback() && !at.Addr().IsUnspecified():
		case at.Port() == public:
			return modules.OwnPublic
		case at.Port() == admin:
			return modules.OwnAdmin
		}
		return modules.NotOwn
	}
	wide := permit("0.0.0.0/0", "::/0", "127.0.0.0/8", "127.0.0.1/32", "::1/128", "0.0.0.0/32", "::/128")
	named := append(wide, modules.Permission{Name: "localhost"}, modules.Permission{Name: "localhost", Port: public},
		modules.Permission{Network: netip.MustParsePrefix("127.0.0.0/8"), Port: public})
	exact := append(named, modules.Permission{Network: netip.MustParsePrefix("127.0.0.1/32"), Port: public},
		modules.Permission{Network: netip.MustParsePrefix("127.0.0.1/32"), Port: admin})
	for _, c := range []struct {
		name    string
		allow   []modules.Permission
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
			tenant := guardedTenant(t, modules.ClientConfig{Allow: c.allow, Own: own})
			for host := range strings.FieldsSeq(c.hosts) {
				L := netVM(t, tenant, vmtest.Limits(), map[string]string{"u": fmt.Sprintf("http://%s:%d/", host, c.port)})
				got, err := netEval(L, `local r, m = http.get(u, {timeout = 1}) return r, m`)
				if err != nil || strings.Contains(got, "is not allowed") != c.refused {
					t.Errorf("%s: got %q, %v; want refused: %v", host, got, err, c.refused)
				}
			}
		})
	}
}

// The field that says that a script has caused a request is on every one of
// them, and is the gateway's only.
func TestHTTPHops(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/again" {
			http.Redirect(w, r, "/", http.StatusFound)
			return
		}
		fmt.Fprintf(w, "%q", r.Header[modules.HopsField])
	}))
	defer server.Close()
	L := netVM(t, netTenant(t, modules.ClientConfig{Hops: func() string { return "p-1-f" }}), vmtest.Limits(), map[string]string{"u": server.URL})
	for _, c := range []struct{ script, want string }{
		{`return http.get(u).body`, `["p-1-f"]`},
		{`return http.get(u .. "/again", {redirects = 2}).body`, `["p-1-f"]`},
		{`return http.all{u, u}[2].body`, `["p-1-f"]`},
		{`return (http_get(u, {["x-gateway-hops"] = "p-0-f", ["X_Gateway-Hops"] = "1"}))`, `["p-1-f"]`},
		{`return (http_post(u, "", {headers = {["X-GATEWAY-HOPS"] = "p-0-f"}}))`, `["p-1-f"]`},
	} {
		if got, err := netEval(L, c.script); err != nil || got != c.want {
			t.Errorf("%s: got %q, %v; want %s", c.script, got, err, c.want)
		}
	}
	for _, name := range []string{"X-Gateway-Hops", "x-gateway-hops", "X_GATEWAY_HOPS", "X-Gateway-Admin", "x-gateway_admin", "X-Gateway-"} {
		if _, err := netEval(L, fmt.Sprintf(`http.get(u, {headers = {[%q] = "1"}})`, name)); err == nil || !strings.Contains(err.Error(), "belongs to the gateway") {
			t.Errorf("%s can be set: %v", name, err)
		}
	}
}

// A proxy of the environment would connect in our place, past the guard.
func TestHTTPUsesNoProxy(t *testing.T) {
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
	L := netVM(t, guardedTenant(t, modules.ClientConfig{Resolver: resolver}), vmtest.Limits(), nil)
	for _, scheme := range []string{"http", "https"} {
		got, err := netEval(L, `return http.get("`+scheme+`://inner.example./")`)
		if err != nil || got != "nil|connecting to 169.254.1.1 is not allowed" {
			t.Errorf("%s: %q, %v", scheme, got, err)
		}
	}
	if len(asked) > 0 {
		t.Errorf("the proxy was asked for %s", <-asked)
	}
}

// FuzzHTTPGuard compares the judgement of addresses, in any spelling, with a
// plain model of what is denied by default. What isn't denied is not connected
// to.
func FuzzHTTPGuard(f *testing.F) {
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
	tenant := guardedTenant(f, modules.ClientConfig{Resolver: resolver})
	f.Fuzz(func(t *testing.T, host string) {
		addr, err := netip.ParseAddr(strings.TrimSuffix(strings.TrimPrefix(strings.ReplaceAll(host, "%25", "%"), "["), "]"))
		if err != nil || !deniedByModel(addr) {
			return
		}
		L := netVM(t, tenant, vmtest.Limits(), map[string]string{"u": "http://" + host + ":1/"})
		got, err := netEval(L, `local r, m = http.get(u, {timeout = 60}) return r, m`)
		if err != nil || !strings.HasPrefix(got, "nil|") || strings.Contains(got, "connection refused") || strings.Contains(got, "no complete response") {
			t.Errorf("%s, which is %s: got %q, %v; want it refused", host, addr, got, err)
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
