package proxy_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"

	"github.com/keystone-gateway/keystone-gateway/proxy/exchange"
	"github.com/keystone-gateway/keystone-gateway/proxy/exchange/exchangetest"
	"github.com/keystone-gateway/keystone-gateway/proxy/message"
)

// TestCutReasons: a stream is told whose doing it is that it is cut, for protocols
// that can say so.
func TestCutReasons(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	target := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, err := io.Copy(io.Discard, r.Body); err != nil {
			return
		}
		_, _ = io.WriteString(w, "hello")
		_ = http.NewResponseController(w).Flush()
		if r.URL.Path == "/wait" {
			<-release
		}
		panic(http.ErrAbortHandler)
	}))
	t.Cleanup(target.Close)
	t.Cleanup(func() { close(release) })
	dir := t.TempDir()
	script := `chi_route("GET", "/fail", function(request, response) response:write("a") response:flush() error("x") end)`
	if err := os.WriteFile(filepath.Join(dir, "edge.lua"), []byte(script), 0o600); err != nil {
		t.Fatal(err)
	}
	services := ", services: [{url: \"" + target.URL + "\"}]}\n"
	server := serve(t, "server: {address: \"127.0.0.1:0\"}\naccess_log: {enabled: false}\nlua_routing: {enabled: true, scripts_dir: \""+dir+"\"}\ntenants:\n"+
		"  - {name: plain, domains: [a.example.com]"+services+
		"  - {name: scripted, domains: [b.example.com], lua_routes: [edge.lua], lua: {timeout: 20s}"+services+
		"  - {name: hasty, domains: [c.example.com], timeouts: {total: 300ms}"+services+
		"  - {name: patient, domains: [d.example.com], timeouts: {total: 30s}"+services)
	for name, c := range map[string]struct {
		host, path string
		broken     error // in the place of the request's end
		want       exchange.CutReason
	}{
		"the target has ended":     {host: "a", path: "/", want: exchange.CutByTarget},
		"the client has ended":     {host: "a", path: "/", broken: io.ErrUnexpectedEOF, want: exchange.CutByClient},
		"a script has failed":      {host: "b", path: "/fail", want: exchange.CutByGateway},
		"the time has been up":     {host: "c", path: "/wait", want: exchange.CutByTime},
		"the target ends, scripts": {host: "b", path: "/", want: exchange.CutByTarget},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ask := func(host string) *exchangetest.Stream {
				s := &exchangetest.Stream{Head: exchangetest.Request("GET", host+".example.com", c.path)}
				if c.broken != nil {
					s.Head.Method, s.Head.Length, s.Broken = []byte("POST"), message.Unsized, c.broken
				}
				server.Serve(s)
				return s
			}
			s := ask(c.host)
			if c.host == "c" && !s.WasCut { // the machine is so slow that nothing had begun
				s = ask("d")
			}
			if !s.WasCut || s.CutReason != c.want {
				t.Errorf("status %d, %q, cut %v for reason %d, want a cut for %d", s.Status, s.Content, s.WasCut, s.CutReason, c.want)
			}
		})
	}
}
