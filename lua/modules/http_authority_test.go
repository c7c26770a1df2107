package modules_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/keystone-gateway/keystone-gateway/lua/vm/vmtest"
	"github.com/keystone-gateway/keystone-gateway/tenants/fetch"
)

// The field that says that a script has caused a request is on every one of
// them, and is the gateway's only.
func TestHTTPHops(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/again" {
			http.Redirect(w, r, "/", http.StatusFound)
			return
		}
		fmt.Fprintf(w, "%q", r.Header[fetch.HopsField])
	}))
	defer server.Close()
	L := netVM(t, netTenant(t, fetch.Config{Hops: func() string { return "p-1-f" }}), vmtest.Limits(), map[string]string{"u": server.URL})
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
