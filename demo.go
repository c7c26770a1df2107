package main

import (
	"fmt"
	"net"
	"os"
	"slices"
	"strings"

	"github.com/mattn/go-isatty"
	"github.com/valyala/fasthttp"

	"github.com/keystone-gateway/keystone-gateway/proxy"
)

// demoAddresses are where config.yaml expects its upstreams.
var demoAddresses = []string{"127.0.0.1:9101", "127.0.0.1:9102"}

// demoKey is what scripts/api.lua asks for, unless the environment has another.
const demoKey = "demo"

// startDemo starts the upstreams of the demo, and sets the key of its API.
func startDemo() (stop func(), err error) {
	if os.Getenv("DEMO_API_KEY") == "" {
		if err := os.Setenv("DEMO_API_KEY", demoKey); err != nil {
			return nil, fmt.Errorf("cannot set DEMO_API_KEY: %w", err)
		}
	}
	var servers []*fasthttp.Server
	stop = func() {
		for _, s := range servers {
			_ = s.Shutdown()
		}
	}
	for i, address := range demoAddresses {
		listener, err := net.Listen("tcp", address)
		if err != nil {
			stop()
			return nil, fmt.Errorf("cannot start the demo's upstream %d, whose address is fixed: %w", i+1, err)
		}
		server := &fasthttp.Server{Handler: demoHandler(i + 1), Name: "demo", CloseOnShutdown: true}
		servers = append(servers, server)
		go func() { _ = server.Serve(listener) }() // ends with stop
	}
	return stop, nil
}

// demoHandler answers with what it was asked, so that one sees what the
// gateway has made of a request.
func demoHandler(number int) fasthttp.RequestHandler {
	return func(ctx *fasthttp.RequestCtx) {
		ctx.SetContentType("text/plain; charset=utf-8")
		if string(ctx.Path()) == "/health" {
			fmt.Fprintln(ctx, "ok")
			return
		}
		fmt.Fprintf(ctx, "upstream %d: %s %s\nHost: %s\n", number, ctx.Method(), ctx.RequestURI(), ctx.Host())
		for _, name := range []string{"X-Forwarded-For", "X-Forwarded-Proto", "X-Forwarded-Host", "X-Request-Id"} {
			fmt.Fprintf(ctx, "%s: %s\n", name, ctx.Request.Header.Peek(name))
		}
	}
}

// printGreeting says what runs where, and what to try.
func printGreeting(w *os.File, server *proxy.Server, admin string) {
	bold, dim, reset := "", "", ""
	if isatty.IsTerminal(w.Fd()) && os.Getenv("NO_COLOR") == "" {
		bold, dim, reset = "\x1b[1;36m", "\x1b[2m", "\x1b[0m"
	}
	base := "http://" + server.Addr().String()
	fmt.Fprintf(w, "\n%sKeystone Gateway%s listens on %s%s%s, its admin API on %s%s%s\n\n", bold, reset, bold, base, reset, bold, admin, reset)
	for _, t := range server.Snapshot().Tenants {
		fmt.Fprintf(w, "  %-10s %s%-10s%s %s\n", t.Name, dim, t.Routing, reset, strings.TrimSpace(strings.Join(t.Domains, ", ")+" "+t.Prefix))
	}
	tries := triesFor(server, base, admin)
	if len(tries) > 0 {
		fmt.Fprintf(w, "\n%sTry:%s\n", bold, reset)
	}
	for _, line := range tries {
		fmt.Fprintln(w, "  "+line)
	}
	fmt.Fprintln(w)
}

// triesFor returns commands to try: for the first two tenants, what the
// demo's scripts do there, and for the admin API.
func triesFor(server *proxy.Server, base, admin string) (tries []string) {
	tried := 0
	for _, t := range server.Snapshot().Tenants {
		host, path := "", t.Prefix+"/hello"
		if len(t.Domains) > 0 {
			host = "-H 'Host: " + t.Domains[0] + "' "
		}
		if t.Prefix != "" {
			path = strings.TrimSuffix(t.Prefix, "/") + "/users?page=2"
		}
		if tried == 2 || strings.Contains(host, "*") {
			continue
		}
		tried++
		key, note := "", ""
		if slices.Contains(t.Scripts, "api.lua") {
			key, note = "-H 'Authorization: Bearer "+os.Getenv("DEMO_API_KEY")+"' ", "   # scripts/api.lua asks for the key"
		}
		tries = append(tries, fmt.Sprintf("curl %s%s'%s%s'%s", host, key, base, path, note))
		if slices.Contains(t.Scripts, "shop.lua") {
			tries = append(tries, fmt.Sprintf("curl %s'%s/hello/Ada'   # scripts/shop.lua answers", host, base))
		}
	}
	if admin != "" {
		tries = append(tries, "curl "+admin+"/health")
	}
	return tries
}
