package main

import (
	"context"
	_ "embed" // for demoPage
	"fmt"
	"html/template"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/mattn/go-isatty"
	"github.com/valyala/fasthttp"

	"github.com/keystone-gateway/keystone-gateway/proxy"
)

// demoAddresses are where config.yaml expects its upstreams.
var demoAddresses = []string{"127.0.0.1:9101", "127.0.0.1:9102"}

// demoKey is what scripts/api.lua asks for, unless the environment has another.
const demoKey = "demo"

// demoWelcome is the path of the first upstream below which it has the page that
// says what to try; config.yaml has a tenant for it.
const demoWelcome = "/welcome"

//go:embed demo.html
var demoPage string

var demoTemplate = template.Must(template.New("demo").Parse(demoPage))

// demo is what -demo starts besides the gateway.
type demo struct {
	parent  int // who has started the process
	servers []*fasthttp.Server
	grpc    *http.Server                // of gRPC
	content atomic.Pointer[demoContent] // of the page; nil until the gateway listens
	tls     demoTLS
}

// demoContent is what there is to try.
type demoContent struct {
	Base, Shop, Admin string // URLs; "" is none
	Secure, CA        string // the one with https, and the file of its certificate; "" is none
	Tenants           []demoTenant
	Tries             []demoTry
}

type demoTenant struct{ Name, Routing, Match string }

type demoTry struct{ Line, Note string }

// startDemo starts the upstreams of the demo, and sets the key of its API.
func startDemo() (*demo, error) {
	if os.Getenv("DEMO_API_KEY") == "" {
		if err := os.Setenv("DEMO_API_KEY", demoKey); err != nil {
			return nil, fmt.Errorf("cannot set DEMO_API_KEY: %w", err)
		}
	}
	d := &demo{parent: os.Getppid()}
	for i, address := range demoAddresses {
		listener, err := net.Listen("tcp", address)
		if err != nil {
			d.stop()
			return nil, fmt.Errorf("cannot start the demo's upstream %d, whose address is fixed: %w", i+1, err)
		}
		server := &fasthttp.Server{Handler: d.handler(i + 1), Name: "demo", CloseOnShutdown: true}
		d.servers = append(d.servers, server)
		go func() { _ = server.Serve(listener) }() // ends with stop
	}
	listener, err := net.Listen("tcp", demoGRPC)
	if err != nil {
		d.stop()
		return nil, fmt.Errorf("cannot start the demo's service of gRPC, whose address is fixed: %w", err)
	}
	d.grpc = newDemoGRPC()
	go func() { _ = d.grpc.Serve(listener) }() // ends with stop
	return d, nil
}

func (d *demo) stop() {
	for _, s := range d.servers {
		_ = s.Shutdown()
	}
	if d.grpc != nil {
		_ = d.grpc.Close()
	}
	d.tls.remove()
}

// handler answers with what it was asked, so that one sees what the gateway has
// made of a request.
func (d *demo) handler(number int) fasthttp.RequestHandler {
	return func(ctx *fasthttp.RequestCtx) {
		ctx.SetContentType("text/plain; charset=utf-8")
		path := string(ctx.Path())
		if path == "/health" {
			fmt.Fprintln(ctx, "ok")
			return
		}
		if below, ok := strings.CutPrefix(path, demoWelcome); ok {
			d.welcome(ctx, below)
			return
		}
		fmt.Fprintf(ctx, "upstream %d: %s %s\nHost: %s\n", number, ctx.Method(), ctx.RequestURI(), ctx.Host())
		for _, name := range []string{"X-Forwarded-For", "X-Forwarded-Proto", "X-Forwarded-Host", "X-Request-Id"} {
			fmt.Fprintf(ctx, "%s: %s\n", name, ctx.Request.Header.Peek(name))
		}
	}
}

// welcome shows the page, at one path only.
func (d *demo) welcome(ctx *fasthttp.RequestCtx, path string) {
	content := d.content.Load()
	if content == nil || path != "/" {
		ctx.SetStatusCode(fasthttp.StatusNotFound)
		fmt.Fprintln(ctx, "The demo has nothing here. What there is to try stands at /.")
		return
	}
	ctx.SetContentType("text/html; charset=utf-8")
	ctx.Response.Header.Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'")
	if err := demoTemplate.Execute(ctx, content); err != nil {
		ctx.Error("the page can't be made", fasthttp.StatusInternalServerError)
	}
}

// greet says what runs where, and what to try; it is said on the page, too.
func (d *demo) greet(w *os.File, server *proxy.Server, admin string) {
	content := newDemoContent(server, admin, &d.tls)
	d.content.Store(content)
	bold, dim, reset := "", "", ""
	if isatty.IsTerminal(w.Fd()) && os.Getenv("NO_COLOR") == "" {
		bold, dim, reset = "\x1b[1;36m", "\x1b[2m", "\x1b[0m"
	}
	var b strings.Builder
	fmt.Fprintf(&b, "\n%sKeystone Gateway%s listens on %s%s%s%s, its admin API on %s%s%s\n\n", bold, reset, bold, content.Base, reset, content.alsoSecure(), bold, content.Admin, reset)
	for _, t := range content.Tenants {
		fmt.Fprintf(&b, "  %-10s %s%-10s%s %s\n", t.Name, dim, t.Routing, reset, t.Match)
	}
	fmt.Fprintf(&b, "\n%sTry:%s\n", bold, reset)
	for _, t := range content.Tries {
		fmt.Fprintf(&b, "  %s", t.Line)
		if t.Note != "" {
			fmt.Fprintf(&b, "   %s# %s%s", dim, t.Note, reset)
		}
		b.WriteString("\n")
	}
	if welcomes(server) {
		fmt.Fprintf(&b, "\nor open %s%s/%s in a browser, which shows these lines and more\n", bold, content.Base, reset)
	}
	b.WriteString("\n")
	_, _ = w.WriteString(b.String())
}

// welcomes reports whether a tenant leads to the page.
func welcomes(server *proxy.Server) bool {
	for t := range server.Tenants() {
		for _, target := range t.Targets() {
			if target.Address().String() == "http://"+demoAddresses[0]+demoWelcome {
				return true
			}
		}
	}
	return false
}

// alsoSecure names the second place where it listens.
func (c *demoContent) alsoSecure() string {
	if c.Secure == "" {
		return ""
	}
	return " and " + c.Secure
}

func newDemoContent(server *proxy.Server, admin string, secure *demoTLS) *demoContent {
	c := &demoContent{Base: "http://" + server.Addr().String(), Admin: admin}
	c.Secure, c.CA = secure.url(server), secure.cert
	tried := 0
	for t := range server.Tenants() {
		c.Tenants = append(c.Tenants, demoTenant{t.Name, t.Routing, strings.TrimSpace(strings.Join(t.Domains, ", ") + " " + t.Prefix)})
		shop := scripted(t, "shop.lua")
		for _, domain := range t.Domains {
			if _, port, err := net.SplitHostPort(server.Addr().String()); err == nil && shop && strings.HasSuffix(domain, ".localhost") {
				c.Shop = "http://" + domain + ":" + port // browsers take these names for this machine
			}
		}
		if tried < 2 && c.tryTenant(t, shop) {
			tried++
		}
		c.tryGRPC(t)
	}
	if admin != "" {
		c.Tries = append(c.Tries, demoTry{"curl " + admin + "/health", ""})
	}
	return c
}

// tryTenant adds what the demo's scripts do there. There is nothing to try where
// no name is known.
func (c *demoContent) tryTenant(t proxy.TenantView, shop bool) bool {
	host, path := "", t.Prefix+"/hello"
	if len(t.Domains) > 0 {
		host = "-H 'Host: " + t.Domains[0] + "' "
	}
	if t.Prefix != "" {
		path = strings.TrimSuffix(t.Prefix, "/") + "/users?page=2"
	}
	if strings.Contains(host, "*") {
		return false
	}
	key, note := "", ""
	if scripted(t, "api.lua") {
		key, note = "-H 'Authorization: Bearer "+os.Getenv("DEMO_API_KEY")+"' ", "scripts/api.lua asks for the key"
	}
	c.Tries = append(c.Tries, demoTry{fmt.Sprintf("curl %s%s'%s%s'", host, key, c.Base, path), note})
	if shop {
		c.Tries = append(c.Tries, demoTry{fmt.Sprintf("curl %s'%s/hello/Ada'", host, c.Base), "scripts/shop.lua answers"})
		if c.Secure != "" {
			c.Tries = append(c.Tries, demoTry{fmt.Sprintf("curl --cacert %s %s'%s/hello/Ada'", quoted(c.CA), host, c.Secure), "the same over TLS, with a certificate of this run"})
		}
	}
	return true
}

// scripted reports whether a tenant has a script, which may be named without .lua.
func scripted(t proxy.TenantView, name string) bool {
	return slices.Contains(t.Scripts, name) || slices.Contains(t.Scripts, strings.TrimSuffix(name, ".lua"))
}

// parentPause is how often watchParent looks.
const parentPause = 250 * time.Millisecond

// watchParent calls stop when whoever has started the process, the parent, is gone: killing
// "go run" passes no signal on to what it runs, which would keep the demo's ports.
// It looks, since the kernel tells only of the end of a thread (Linux), or of
// nothing (others).
func watchParent(ctx context.Context, parent int, stop func()) {
	ticker := time.NewTicker(parentPause)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		if os.Getppid() != parent {
			stop()
			return
		}
	}
}
