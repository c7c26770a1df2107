package fetch_test

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/keystone-gateway/keystone-gateway/tenants/fetch"
)

func TestRequestRefuses(t *testing.T) {
	t.Parallel()
	client := newClient(t, fetch.Config{})
	for _, test := range []struct {
		name string
		make func(r *fetch.Request) error
		want string
	}{
		{"method", func(r *fetch.Request) error { return r.SetMethod("GET /") }, "is not a method"},
		{"no method", func(r *fetch.Request) error { return r.SetMethod("") }, "is not a method"},
		{"CONNECT", func(r *fetch.Request) error { return r.SetMethod("connect") }, "CONNECT is not supported"},
		{"name", func(r *fetch.Request) error { return r.Add("a b", "x") }, "is not the name of a header"},
		{"value", func(r *fetch.Request) error { return r.Add("A", "x\r\nB: y") }, "line break"},
		{"host", func(r *fetch.Request) error { return r.Add("Host", "a b") }, "Host is not a host"},
		{"two hosts", func(r *fetch.Request) error { return r.Add("Host", "a", "b") }, "Host is not a host"},
		{"length", func(r *fetch.Request) error { return r.Add("content-length", "1") }, "belongs to the connection"},
		{"hops", func(r *fetch.Request) error { return r.Add("x_gateway-hops", "1") }, "belongs to the gateway"},
		{"scheme", func(r *fetch.Request) error { return r.SetURL("file:///etc/passwd", "") }, "does not begin with http"},
		{"no host", func(r *fetch.Request) error { return r.SetURL("http:///", "") }, "has no valid host"},
		{"long", func(r *fetch.Request) error { return r.SetURL("http://a/"+strings.Repeat("a", fetch.MaxURL), "") }, "longer than"},
	} {
		if err := test.make(client.NewRequest()); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v, want %q", test.name, err, test.want)
		}
	}
	if _, err := client.Do(t.Context(), client.NewRequest(), nil); err == nil || !strings.Contains(err.Error(), "no URL") {
		t.Errorf("without a URL: %v", err)
	}
}

// granter counts what it is asked for, and grants no more than most.
type granter struct{ asked, most int }

var errShort = errors.New("no memory")

func (g *granter) Grant(bytes int) error {
	if g.asked += bytes; g.asked > g.most {
		return errShort
	}
	return nil
}

// TestMemoryIsAskedFor: what a response needs beyond what is free is granted
// before it is there, and not when it isn't.
func TestMemoryIsAskedFor(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		size := map[string]int{"/small": fetch.FreeBody / 2, "/large": 100 << 10, "/head": 1}[r.URL.Path]
		if r.URL.Path == "/head" {
			w.Header().Set("X", strings.Repeat("x", 2*fetch.FreeHead))
		}
		_, _ = io.WriteString(w, strings.Repeat("b", size))
	}))
	defer server.Close()
	client := newClient(t, fetch.Config{Allow: permit("127.0.0.0/8")})
	for _, test := range []struct {
		path        string
		least, most int
	}{
		{"/small", 0, 0},
		{"/large", 100 << 10, 400 << 10},
		{"/head", 2 * fetch.FreeHead, 3 * fetch.FreeHead},
	} {
		r := client.NewRequest()
		if err := r.SetURL(server.URL+test.path, ""); err != nil {
			t.Fatal(err)
		}
		g := &granter{most: 1 << 30}
		if _, err := client.Do(t.Context(), r, g); err != nil || g.asked < test.least || g.asked > test.most {
			t.Errorf("%s: %v, %d bytes, want %d to %d", test.path, err, g.asked, test.least, test.most)
		}
		if test.least == 0 {
			continue
		}
		if _, err := client.Do(t.Context(), r, &granter{most: test.least / 2}); !errors.Is(err, errShort) {
			t.Errorf("%s without memory: %v", test.path, err)
		}
	}
}
