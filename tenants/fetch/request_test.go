package fetch_test

import (
	"bytes"
	"cmp"
	"compress/gzip"
	"crypto/x509"
	"errors"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

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
		{"odd host", func(r *fetch.Request) error { return r.SetURL("http://a!b/", "") }, "has no valid host"},
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
		size := map[string]int{"/small": fetch.FreeBody / 2, "/free": fetch.FreeBody, "/beyond": fetch.FreeBody + 1, "/large": 100 << 10, "/head": 1}[r.URL.Path]
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
		{"/free", 0, 0},
		{"/beyond", fetch.FreeBody + 1, 3 * fetch.FreeBody},
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

// TestResponsesToTheLast: a response of as many bytes as are asked for comes whole,
// of one more none, however it is framed and coded.
func TestResponsesToTheLast(t *testing.T) {
	t.Parallel()
	text := strings.Repeat("0123456789", 20_000)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		length, _ := strconv.Atoi(r.URL.Query().Get("n"))
		body := []byte(text[:length])
		if r.URL.Path == "/gzip" {
			var b bytes.Buffer
			z := gzip.NewWriter(&b)
			_, _ = z.Write(body)
			_ = z.Close()
			body = b.Bytes()
			w.Header().Set("Content-Encoding", "gzip")
		}
		if r.URL.Path == "/sized" {
			w.Header().Set("Content-Length", strconv.Itoa(length))
		} else {
			_ = http.NewResponseController(w).Flush()
		}
		_, _ = w.Write(body)
	}))
	defer server.Close()
	client := newClient(t, fetch.Config{Allow: permit("127.0.0.0/8"), MaxResponse: 1 << 20})
	for _, path := range []string{"/sized", "/chunked", "/gzip"} {
		for _, n := range []int{0, 1, 4096, 4097, 10_000, 64<<10 + 1, 200_000} {
			for most, fits := range map[int]bool{n - 1: false, n: true, n + 1: true} {
				if most <= 0 || path == "/gzip" && n < 4096 { // where coding makes more of it
					continue
				}
				r := client.NewRequest()
				if err := r.SetURL(server.URL+path+"?n="+strconv.Itoa(n), ""); err != nil {
					t.Fatal(err)
				}
				r.MaxResponse = int64(most)
				r.Decompress = path == "/gzip"
				answer, err := client.Do(t.Context(), r, nil)
				switch {
				case fits && (err != nil || answer.Body != text[:n]):
					t.Errorf("%s, %d bytes of at most %d: %v", path, n, most, err)
				case !fits && (err == nil || !strings.Contains(err.Error(), "response larger than "+strconv.Itoa(most)+" bytes")):
					t.Errorf("%s, %d bytes of at most %d: %v, want that it is too large", path, n, most, err)
				}
			}
		}
	}
}

// TestDefaults: what a tenant's configuration leaves open.
func TestDefaults(t *testing.T) {
	t.Parallel()
	c := fetch.New(fetch.Config{}).Config()
	if c.Timeout != 5*time.Second || c.MaxResponse != 1<<20 || c.MaxConnections != 64 || c.MaxParallel != 16 || c.UserAgent != "keystone-gateway" {
		t.Errorf("got %+v", c)
	}
	own := fetch.Config{Timeout: 1, MaxResponse: 2, MaxConnections: 3, MaxParallel: 4, UserAgent: "a"}
	if c := fetch.New(own).Config(); c.Timeout != 1 || c.MaxResponse != 2 || c.MaxConnections != 3 || c.MaxParallel != 4 || c.UserAgent != "a" {
		t.Errorf("got %+v", c)
	}
}

// TestRequestsAsSent: what a request consists of is what the server gets, and what
// it leaves open is the client's.
func TestRequestsAsSent(t *testing.T) {
	t.Parallel()
	var got http.Request
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { got = *r }))
	defer server.Close()
	for name, c := range map[string]struct {
		hops  string // the client's
		make  func(r *fetch.Request) error
		path  string
		query string
		want  http.Header
		host  string
	}{
		"nothing": {"", nil, "/", "", http.Header{"User-Agent": {"keystone-gateway"}}, ""},
		"fields": {"", func(r *fetch.Request) error {
			return errors.Join(r.Add("x-a", "1", "2"), r.Add("X-A", "3"), r.Add("user-agent", "me"))
		}, "/a?b=c", "d=e",
			http.Header{"User-Agent": {"me"}, "X-A": {"1", "2", "3"}}, ""},
		"gzip": {"", func(r *fetch.Request) error { r.Decompress = true; return nil }, "/", "", http.Header{"User-Agent": {"keystone-gateway"}, "Accept-Encoding": {"gzip"}}, ""},
		"a coding of its own": {"", func(r *fetch.Request) error { r.Decompress = true; return r.Add("Accept-Encoding", "br") }, "/", "",
			http.Header{"User-Agent": {"keystone-gateway"}, "Accept-Encoding": {"br"}}, ""},
		"a host":               {"", func(r *fetch.Request) error { return r.Add("Host", "Z9.example:90") }, "/", "", http.Header{"User-Agent": {"keystone-gateway"}}, "Z9.example:90"},
		"hops":                 {"first", nil, "/", "", http.Header{"User-Agent": {"keystone-gateway"}, fetch.HopsField: {"first"}}, ""},
		"hops of the request":  {"first", func(r *fetch.Request) error { r.Hops = "third"; return nil }, "/", "", http.Header{"User-Agent": {"keystone-gateway"}, fetch.HopsField: {"third"}}, ""},
		"what is in no line":   {"", nil, "/?a=<b>\"", "c=d", http.Header{"User-Agent": {"keystone-gateway"}}, ""},
		"a method":             {"", func(r *fetch.Request) error { return r.SetMethod("purge") }, "/", "", http.Header{"User-Agent": {"keystone-gateway"}}, ""},
		"an empty query":       {"", nil, "/?", "", http.Header{"User-Agent": {"keystone-gateway"}}, ""},
		"a fragment goes away": {"", nil, "/a#b", "", http.Header{"User-Agent": {"keystone-gateway"}}, ""},
	} {
		client := newClient(t, fetch.Config{Allow: permit("127.0.0.0/8"), Hops: func() string { return c.hops }})
		r := client.NewRequest()
		if err := r.SetURL(server.URL+c.path, c.query); err != nil {
			t.Fatal(err)
		}
		if c.make != nil {
			if err := c.make(r); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := client.Do(t.Context(), r, nil); err != nil {
			t.Fatal(err)
		}
		if !maps.EqualFunc(got.Header, c.want, slices.Equal) {
			t.Errorf("%s: the server gets %q, want %q", name, got.Header, c.want)
		}
		want := map[string]string{"fields": "/a?b=c&d=e", "what is in no line": "/?a=%3Cb%3E%22&c=d", "a fragment goes away": "/a", "an empty query": "/?"}[name]
		if want == "" {
			want = "/"
		}
		if host := cmp.Or(c.host, strings.TrimPrefix(server.URL, "http://")); got.Host != host || got.RequestURI != want || (got.Method == "PURGE") != (name == "a method") {
			t.Errorf("%s: the server gets %s %s for %s, want %s for %s", name, got.Method, got.RequestURI, got.Host, want, host)
		}
	}
}

// TestMemoryOfHTTP2: what HTTP/2 may hold of a response is granted too.
func TestMemoryOfHTTP2(t *testing.T) {
	t.Parallel()
	for _, two := range []bool{false, true} {
		server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, r.Proto) }))
		server.EnableHTTP2 = two
		server.StartTLS()
		roots := x509.NewCertPool()
		roots.AddCert(server.Certificate())
		client := newClient(t, fetch.Config{Allow: permit("127.0.0.0/8"), RootCAs: roots})
		r := client.NewRequest()
		if err := r.SetURL(server.URL, ""); err != nil {
			t.Fatal(err)
		}
		g := &granter{most: 1 << 30}
		answer, err := client.Do(t.Context(), r, g)
		if err != nil || (answer.Body == "HTTP/2.0") != two || (g.asked > 64<<10) != two {
			t.Errorf("HTTP/2 %v: %+v, %v, %d bytes were asked for", two, answer, err, g.asked)
		}
		server.Close()
	}
}
