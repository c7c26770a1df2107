package admin_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/keystone-gateway/keystone-gateway/admin"
	"github.com/keystone-gateway/keystone-gateway/proxy"
	"github.com/keystone-gateway/keystone-gateway/test/port"
)

// patience bounds every wait; nothing that works comes near it.
const patience = time.Minute

// gateway is a data plane with its admin API, both on real sockets.
type gateway struct {
	t      *testing.T
	file   string
	base   string // URL of the admin API
	root   string // base without admin_base_path
	public string // URL of the data plane
	client *http.Client
	stop   context.CancelFunc // of the data plane
}

// start runs a gateway whose configuration is the text with two listeners on
// free ports before it; a line "admin:" in text gets the address there, unless
// it has one.
func start(t *testing.T, text string) *gateway {
	t.Helper()
	return startWith(t, text, proxy.Options{})
}

// startWith is start with further options of the data plane.
func startWith(t *testing.T, text string, o proxy.Options) *gateway {
	t.Helper()
	g := &gateway{t: t, file: filepath.Join(t.TempDir(), "config.yaml")}
	g.write(text)
	config, err := proxy.Load(g.file)
	if err != nil {
		t.Fatal(err)
	}
	o.File, o.Config, o.Log = g.file, config, zerolog.Nop()
	server, err := proxy.New(o)
	if err != nil {
		t.Fatal(err)
	}
	api, err := admin.New(admin.Options{Server: server, Log: zerolog.Nop(), Version: "1.2.3"})
	if err != nil {
		server.Close()
		t.Fatal(err)
	}
	g.base, g.public = api.Addr(), "http://"+server.Addr().String()
	g.root = strings.TrimSuffix(g.base, config.AdminBasePath)
	g.client = &http.Client{Timeout: patience, Transport: &http.Transport{DisableKeepAlives: true}}
	g.run(server, api)
	return g
}

func (g *gateway) run(server *proxy.Server, api *admin.API) {
	ctx, stop := context.WithCancel(context.Background())
	adminCtx, stopAdmin := context.WithCancel(context.Background())
	served, answered := make(chan error, 1), make(chan error, 1)
	go func() { served <- server.Run(ctx) }()
	go func() { answered <- api.Run(adminCtx) }()
	g.stop = stop
	g.t.Cleanup(func() {
		stop()
		if err := <-served; err != nil {
			g.t.Errorf("server.Run: %v", err)
		}
		stopAdmin()
		if err := <-answered; err != nil {
			g.t.Errorf("api.Run: %v", err)
		}
	})
}

func (g *gateway) write(text string) {
	g.t.Helper()
	head := "server: {address: '127.0.0.1:0'}\naccess_log: {enabled: false}\n"
	switch {
	case !strings.Contains(text, "admin:"):
		head += "admin: {address: '127.0.0.1:0'}\n"
	case !strings.Contains(text, "  address:"):
		text = strings.Replace(text, "admin:\n", "admin:\n  address: '127.0.0.1:0'\n", 1)
	}
	if err := os.WriteFile(g.file, []byte(head+text), 0o600); err != nil {
		g.t.Fatal(err)
	}
}

// settle returns when every request that has been answered is counted.
func (g *gateway) settle() {
	g.t.Helper()
	for deadline := time.Now().Add(patience); !strings.Contains(g.ask("GET", "/metrics").text, "\nkeystone_requests_in_flight 0\n"); {
		if time.Now().After(deadline) {
			g.t.Fatal("requests in flight without end")
		}
	}
}

// answer is what came back.
type answer struct {
	status int
	header http.Header
	text   string
}

// ask sends a request; fields are "Name: value". A path that begins with "//"
// is below the root, any other below admin_base_path.
func (g *gateway) ask(method, path string, fields ...string) answer {
	g.t.Helper()
	url := g.base + path
	if rest, ok := strings.CutPrefix(path, "//"); ok {
		url = g.root + "/" + rest
	}
	return g.send(method, url, fields...)
}

func (g *gateway) send(method, url string, fields ...string) answer {
	g.t.Helper()
	return g.sendBody(method, url, "", fields...)
}

func (g *gateway) sendBody(method, url, content string, fields ...string) answer {
	g.t.Helper()
	request, err := http.NewRequest(method, url, strings.NewReader(content))
	if err != nil {
		g.t.Fatal(err)
	}
	if method != http.MethodGet && strings.HasPrefix(url, g.root) {
		request.Header.Set("X-Gateway-Admin", "1")
	}
	for _, f := range fields {
		name, value, _ := strings.Cut(f, ": ")
		if name == "Host" {
			request.Host = value
		}
		if name == "Origin" { // there may be several
			request.Header.Add(name, value)
			continue
		}
		request.Header.Set(name, value)
	}
	response, err := g.client.Do(request)
	if err != nil {
		g.t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		g.t.Fatal(err)
	}
	return answer{response.StatusCode, response.Header, string(body)}
}

// json decodes the body, which must be a JSON object with a status.
func (a answer) json(t *testing.T, status int) map[string]any {
	t.Helper()
	if got := a.header.Get("Content-Type"); a.status != status || got != "application/json" {
		t.Fatalf("got %d %s %s, want %d application/json", a.status, got, a.text, status)
	}
	var document map[string]any
	if err := json.Unmarshal([]byte(a.text), &document); err != nil {
		t.Fatalf("%v in %s", err, a.text)
	}
	return document
}

// refused checks that the body is an error with a code.
func (a answer) refused(t *testing.T, status int, code string) {
	t.Helper()
	e, _ := a.json(t, status)["error"].(map[string]any)
	if e["code"] != code || e["message"] == "" {
		t.Fatalf("got %s, want an error with the code %q", a.text, code)
	}
}

// at follows keys and indexes into a document.
func at(t *testing.T, document any, path ...any) any {
	t.Helper()
	for _, step := range path {
		switch inner := document.(type) {
		case map[string]any:
			value, ok := inner[step.(string)]
			if !ok {
				t.Fatalf("no key %q in %v", step, inner)
			}
			document = value
		case []any:
			document = inner[step.(int)]
		default:
			t.Fatalf("%v is no object or list, want one with %v", document, step)
		}
	}
	return document
}

func keys(document any) []string {
	object, _ := document.(map[string]any)
	list := make([]string, 0, len(object))
	for key := range object {
		list = append(list, key)
	}
	slices.Sort(list)
	return list
}

// target starts an upstream and returns its URL.
func target(t *testing.T) string {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "hello") }))
	t.Cleanup(server.Close)
	return server.URL
}

// closedTarget returns a URL that nothing listens at.
func closedTarget(t *testing.T) string {
	t.Helper()
	return "http://" + port.Reserve(t)
}

// twoTenants is a configuration with a tenant that works and one that doesn't.
func twoTenants(t *testing.T) string {
	return fmt.Sprintf(`tenants:
  - name: up
    domains: [up.example.com]
    services: [{name: one, url: %q}]
  - name: down
    path_prefix: /down
    services: [{name: dead, url: %q}]
`, target(t), closedTarget(t))
}
