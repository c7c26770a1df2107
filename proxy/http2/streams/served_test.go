package streams_test

import (
	"bytes"
	"io"
	"net/http"
	"strings"
	"testing"
)

// TestServed: requests of Go's client, through the whole gateway, to a target of
// HTTP/1.
func TestServed(t *testing.T) {
	t.Parallel()
	server := serve(t, "request_limits: {max_body_size: 1MB}", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/large":
			_, _ = w.Write(bytes.Repeat([]byte("x"), 3<<20))
		case "/trailer":
			w.Header().Set("Trailer", "X-Sum")
			_, _ = io.WriteString(w, "content")
			w.Header().Set("X-Sum", "7")
		case "/hints":
			w.Header().Set("Link", "</a.css>")
			w.WriteHeader(http.StatusEarlyHints)
			w.WriteHeader(http.StatusNoContent)
		default:
			echo(w, r)
		}
	}))
	c := client(t)
	ask := func(method, path string, body io.Reader) string {
		response, err := c.Do(request(t, server, method, path, body))
		return text(t, response, err)
	}
	for _, test := range []struct {
		method, path string
		body         io.Reader
		want         string
	}{
		{"GET", "/a?b=c", nil, "200 GET a.example /a?b=c 0"},
		{"POST", "/a", strings.NewReader("hello"), "200 POST a.example /a 5"},
		{"POST", "/a", bytes.NewReader(make([]byte, 900<<10)), "200 POST a.example /a 921600"},
		{"POST", "/a", io.MultiReader(bytes.NewReader(make([]byte, 300<<10))), "200 POST a.example /a 307200"},
		{"PUT", "/a", http.NoBody, "200 PUT a.example /a 0"},
		{"HEAD", "/a", nil, "200"},
		{"OPTIONS", "/a", nil, "200 OPTIONS a.example /a 0"},
		{"GET", "/hints", nil, "204"},
	} {
		if got := ask(test.method, test.path, test.body); strings.TrimSpace(got) != test.want {
			t.Errorf("%s %s: got %q, want %q", test.method, test.path, got, test.want)
		}
	}
	if got := ask("GET", "/large", nil); len(got) != len("200 ")+3<<20 {
		t.Errorf("large: %d bytes", len(got))
	}
	if got := ask("POST", "/a", bytes.NewReader(make([]byte, 2<<20))); !strings.HasPrefix(got, "413 ") {
		t.Errorf("too large: %q", got)
	}
	response, err := c.Do(request(t, server, "GET", "/trailer", nil))
	if got := text(t, response, err); got != "200 content" || response.Trailer.Get("X-Sum") != "7" {
		t.Errorf("trailer: %q with %v", got, response.Trailer)
	}
	other := request(t, server, "GET", "/", nil)
	other.Host = "b.example"
	response, err = c.Do(other)
	if got := text(t, response, err); !strings.HasPrefix(got, "404 ") || response.Header.Get("X-Gateway-Error") != "no_tenant" || response.ProtoMajor != 2 {
		t.Errorf("another host: %q, %v", got, response.Header)
	}
}

// TestSideBySide: a stream whose target is slow, or that nobody reads, holds no other
// stream up.
func TestSideBySide(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	server := serve(t, "", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/slow":
			<-release
		case "/endless":
			for {
				if _, err := w.Write(make([]byte, 32<<10)); err != nil {
					return
				}
			}
		}
		echo(w, r)
	}))
	defer close(release)
	p := connect(t, server)
	for i := range 20 {
		p.ask(uint32(4*i+1), "GET", "/slow", true)
		p.ask(uint32(4*i+3), "POST", "/slow", false) // whose content comes, and isn't read
		p.try(p.framer.WriteData(uint32(4*i+3), false, make([]byte, 16<<10)))
	}
	p.ask(1001, "GET", "/quick", true)
	r := p.read(false, func(r *reading) bool { return r.ended(1001) })
	if a := r.answers[1001]; a == nil || a.status != "200" || string(a.body) != "GET a.example /quick 0" {
		t.Fatalf("got %+v, %v", a, r.err)
	}
	p.try(p.framer.WriteSettings(settingWindow(1 << 30)))
	p.try(p.framer.WriteWindowUpdate(0, 1<<30))
	p.ask(1003, "GET", "/endless", true)
	p.read(false, func(r *reading) bool { return r.answers[1003] != nil && len(r.answers[1003].body) > 1<<20 })
	p.ask(1005, "GET", "/quick", true)
	r = p.read(false, func(r *reading) bool { return r.ended(1005) })
	if a := r.answers[1005]; a == nil || a.status != "200" {
		t.Fatalf("beside one that goes on: %+v, %v", a, r.err)
	}
	p.try(p.framer.WriteRSTStream(1003, 8))
}
