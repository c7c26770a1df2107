package proxy_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/keystone-gateway/keystone-gateway/proxy"
)

// web is an upstream that answers with its name; a request of /hold waits until
// it is released, and probes are counted.
type web struct {
	*httptest.Server
	held, released chan struct{}
	probes         atomic.Int64
}

func newWeb(t *testing.T, name string) *web {
	t.Helper()
	w := &web{held: make(chan struct{}, 1), released: make(chan struct{})}
	w.Server = httptest.NewServer(http.HandlerFunc(func(out http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/health":
			w.probes.Add(1)
		case "/hold":
			w.held <- struct{}{}
			<-w.released
		}
		_, _ = io.WriteString(out, name)
	}))
	t.Cleanup(w.Close)
	return w
}

// get returns the status and the body of an answer to a request of a.example.com.
func (w *workshop) get(path string) string {
	r, err := http.NewRequest(http.MethodGet, "http://"+w.server.Addr().String()+path, nil)
	if err != nil {
		return err.Error()
	}
	r.Host, r.Close = "a.example.com", true
	a, err := http.DefaultClient.Do(r)
	if err != nil {
		return err.Error()
	}
	defer func() { _ = a.Body.Close() }()
	body, err := io.ReadAll(a.Body)
	if err != nil {
		return err.Error()
	}
	return fmt.Sprint(a.StatusCode, " ", string(body))
}

// TestWeightZero drains one target by a reload, then all, and takes them back.
func TestWeightZero(t *testing.T) {
	t.Parallel()
	one, two := newWeb(t, "one"), newWeb(t, "two")
	config := func(a, b int) string {
		return tenantsOf("a", fmt.Sprintf("domains: [a.example.com], health: {path: /health, interval: 100ms}, services: "+
			"[{name: one, url: '%s', weight: %d}, {name: two, url: '%s', weight: %d}]", one.URL, a, two.URL, b))
	}
	w := newWorkshop(t, "scripts/none.lua", "", "c.yaml", config(1, 0))
	w.run()
	held := make(chan string, 1)
	go func() { held <- w.get("/hold") }()
	<-one.held
	for range 5 {
		if got := w.get("/"); got != "200 one" {
			t.Fatalf("two has weight 0: got %s", got)
		}
	}
	probed := two.probes.Load()
	eventually(t, "a target of weight 0 is probed", func() bool { return two.probes.Load() > probed })

	w.write("c.yaml", config(0, 0))
	if result := w.server.Reload(); !result.OK {
		t.Fatal(result.Errors)
	}
	if got := w.get("/"); !strings.HasPrefix(got, "503 ") || !strings.Contains(got, "no_healthy_target") || !strings.Contains(got, "every target of the tenant has weight 0") {
		t.Errorf("all have weight 0: got %s", got)
	}
	for tenant := range w.server.Tenants() {
		if tenant.Healthy() {
			t.Error("a tenant whose targets all have weight 0 counts as healthy")
		}
	}
	loaded, err := proxy.Load(w.dir + "/c.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if warnings := strings.Join(loaded.Warnings(), "\n"); !strings.Contains(warnings, `every service of tenant "a" has weight 0`) {
		t.Errorf("warnings: %s", warnings)
	}
	close(one.released)
	if got := <-held; got != "200 one" {
		t.Errorf("the request that was in progress: got %s", got)
	}

	w.write("c.yaml", config(0, 3))
	if result := w.server.Reload(); !result.OK {
		t.Fatal(result.Errors)
	}
	for range 5 {
		if got := w.get("/"); got != "200 two" {
			t.Errorf("two is back: got %s", got)
		}
	}
}

// TestWeightZeroByName lets a script send requests to a target that gets no others.
func TestWeightZeroByName(t *testing.T) {
	t.Parallel()
	one, two := newWeb(t, "one"), newWeb(t, "two")
	w := newWorkshop(t, "scripts/a.lua", "chi_middleware('/*', function(request, response, next)\n"+
		"  if request.path == '/canary' then request:upstream('two') end\n  next()\nend)\n",
		"c.yaml", tenantsOf("a", plainTenant("a")+", services: [{name: one, url: '"+one.URL+"'}, {name: two, url: '"+two.URL+"', weight: 0}]"))
	w.run()
	for path, expected := range map[string]string{"/": "200 one", "/canary": "200 two"} {
		if got := w.get(path); got != expected {
			t.Errorf("%s: got %s, expected %s", path, got, expected)
		}
	}
}

// TestProbeFields sends probes with the Host and the fields of the configuration.
func TestProbeFields(t *testing.T) {
	t.Setenv("PROBE_KEY", "probe-secret")
	seen := make(chan *http.Request, 1)
	up := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		select {
		case seen <- r:
		default:
		}
	}))
	t.Cleanup(up.Close)
	w := newWorkshop(t, "scripts/none.lua", "", "c.yaml", tenantsOf("a", "domains: [a.example.com], services: [{url: '"+up.URL+"'}], health: {path: /health, interval: 100ms, "+
		"host: 'shop.example.com:8443', headers: {Authorization: 'Bearer ${PROBE_KEY}', user-agent: mine}}"))
	w.run()
	r := <-seen
	if r.Host != "shop.example.com:8443" || r.Header.Get("Authorization") != "Bearer probe-secret" || r.Header.Get("User-Agent") != "mine" || r.Header.Get("Accept") != "*/*" {
		t.Errorf("got a probe of %q with %v", r.Host, r.Header)
	}
}

func TestProbeFieldsAreChecked(t *testing.T) {
	t.Parallel()
	for text, expected := range map[string]string{
		"host: 'a b'":                               "host \"a b\" is not one",
		"host: 'http://a'":                          "host \"http://a\" is not one",
		"host: 'a/b'":                               "host \"a/b\" is not one",
		"headers: {'a b': c}":                       "headers has \"a b\", which is not a field's name",
		"headers: {host: c}":                        "expected it as health.host",
		"headers: {Transfer-Encoding: chunked}":     "which a probe can't send",
		"headers: {a: b, A: c}":                     "headers has both A and a",
		`headers: {a: "tell-nobody\r\nX-Other: b"}`: "the value of headers.a has a control character at byte 11",
	} {
		w := newWorkshop(t, "scripts/none.lua", "", "c.yaml", tenantsOf("a", "domains: [a.example.com], services: [{url: 'http://127.0.0.1:9'}], health: {"+text+"}"))
		_, err := proxy.Load(w.dir + "/c.yaml")
		if err == nil || !strings.Contains(err.Error(), expected) || strings.Contains(err.Error(), "tell-nobody") {
			t.Errorf("%s: got %v, expected %q", text, err, expected)
		}
	}
}
