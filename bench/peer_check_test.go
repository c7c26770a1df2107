//go:build linux

package main

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// proxied is a made-up answer to /echo: the head that the upstream got, and
// what the client gets.
type proxied struct {
	status          int
	sent, answered  http.Header
	servesEverybody bool
	answersAll      string // instead of the head
}

func goodProxied(host string, script script) *proxied {
	p := &proxied{status: http.StatusOK, sent: http.Header{}, answered: http.Header{}}
	for name, value := range map[string]string{
		"Host": host, "X-Forwarded-For": "127.0.0.1", "X-Forwarded-Host": host, "X-Forwarded-Proto": "http", "X-Request-Id": "0123456789abcdef",
	} {
		p.sent.Set(name, value)
	}
	p.answered.Set("X-Request-Id", "0123456789abcdef")
	if script == middlewareWork {
		p.sent.Set("X-Anon", "1")
		p.sent.Set("X-Tenant", "shop")
		p.answered.Set("X-Gateway", "keystone")
	}
	return p
}

func (p *proxied) serve(w http.ResponseWriter, r *http.Request, hosts int) {
	var n int
	if _, err := fmt.Sscanf(r.Host, "t%05d.example.com", &n); (err != nil || n >= hosts) && !p.servesEverybody {
		w.WriteHeader(http.StatusNotFound)
		return
	}
	for name, values := range p.answered {
		w.Header()[name] = values
	}
	w.WriteHeader(p.status)
	if p.answersAll != "" {
		_, _ = fmt.Fprint(w, p.answersAll)
		return
	}
	_, _ = fmt.Fprint(w, "GET /echo HTTP/1.1\r\n")
	for name, values := range p.sent {
		for _, value := range values {
			_, _ = fmt.Fprintf(w, "%s: %s\r\n", name, value)
		}
	}
}

// TestCheckWork demands that the check finds whatever part of the work is not
// done.
func TestCheckWork(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name   string
		script script
		spoil  func(*proxied)
		want   string // in the error; empty is none
	}{
		{name: "all done", spoil: func(*proxied) {}},
		{name: "all done by a script", script: middlewareWork, spoil: func(*proxied) {}},
		{name: "unknown hosts served", spoil: func(p *proxied) { p.servesEverybody = true }, want: "unknown host"},
		{name: "an error", spoil: func(p *proxied) { p.status = http.StatusBadGateway }, want: "got 502"},
		{name: "no upstream", spoil: func(p *proxied) { p.answersAll = "hello" }, want: "want the head"},
		{name: "Host rewritten", spoil: func(p *proxied) { p.sent.Set("Host", "127.0.0.1:1") }, want: "Host"},
		{name: "no client address", spoil: func(p *proxied) { p.sent.Del("X-Forwarded-For") }, want: "X-Forwarded-For"},
		{name: "protocol twice", spoil: func(p *proxied) { p.sent.Add("X-Forwarded-Proto", "http") }, want: "X-Forwarded-Proto"},
		{name: "no host forwarded", spoil: func(p *proxied) { p.sent.Del("X-Forwarded-Host") }, want: "X-Forwarded-Host"},
		{name: "connections closed", spoil: func(p *proxied) { p.sent.Set("Connection", "close") }, want: "want it kept"},
		{name: "no id to the upstream", spoil: func(p *proxied) { p.sent.Del("X-Request-Id") }, want: "X-Request-Id"},
		{name: "another id to the client", spoil: func(p *proxied) { p.answered.Set("X-Request-Id", "another-of-16-byt") }, want: "X-Request-Id"},
		{name: "no script", script: middlewareWork, spoil: func(p *proxied) { p.sent.Del("X-Anon") }, want: "X-Anon"},
		{name: "half a script", script: middlewareWork, spoil: func(p *proxied) { p.answered.Del("X-Gateway") }, want: "X-Gateway"},
		{name: "a script nobody asked for", spoil: func(p *proxied) { p.answered.Set("X-Gateway", "keystone") }, want: "X-Gateway"},
		{name: "a wrong answer of a script", script: scriptAnswerWork, spoil: func(*proxied) {}, want: "want hello"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			w := &work{hosts: 3, script: test.script}
			server := httptest.NewServer(http.HandlerFunc(func(writer http.ResponseWriter, r *http.Request) {
				p := goodProxied(r.Host, test.script)
				test.spoil(p)
				p.serve(writer, r, w.hosts)
			}))
			defer server.Close()
			err := checkWork(t.Context(), &target{address: netip.MustParseAddrPort(server.Listener.Addr().String())}, w)
			if (err == nil) != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want an error about %q", err, test.want)
			}
		})
	}
}

// TestGoModule demands that a peer is only built where that was asked for, and
// that what was built goes before what is on the PATH.
func TestGoModule(t *testing.T) {
	cache, path := t.TempDir(), t.TempDir()
	t.Setenv("XDG_CACHE_HOME", cache)
	t.Setenv("PATH", path)
	l := &lab{options: &options{}}
	m := goModule{program: "some-proxy", module: "example.com/some/proxy", version: "v1.2.3"}
	if _, err := m.find(t.Context(), l); err == nil || !strings.Contains(err.Error(), "-build-peers") {
		t.Errorf("got %v, want an error that names the flag", err)
	}
	installed := filepath.Join(path, m.program)
	kept := filepath.Join(cache, "keystone-gateway-bench", "example.com", "some", "proxy@v1.2.3", m.program)
	for _, want := range []string{installed, kept} {
		if err := os.MkdirAll(filepath.Dir(want), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(want, []byte("#!/bin/sh\n"), 0o700); err != nil {
			t.Fatal(err)
		}
		if got, err := m.find(t.Context(), l); got != want || err != nil {
			t.Errorf("got %q, %v, want %q", got, err, want)
		}
		if _, pinned := m.pinned(want); pinned != (want == kept) {
			t.Errorf("%s counts as the pinned version: %t", want, pinned)
		}
	}
}
