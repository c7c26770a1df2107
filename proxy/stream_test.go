package proxy_test

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/textproto"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/keystone-gateway/keystone-gateway/proxy"
	"github.com/keystone-gateway/keystone-gateway/proxy/exchange"
	"github.com/keystone-gateway/keystone-gateway/proxy/exchange/exchangetest"
	"github.com/keystone-gateway/keystone-gateway/proxy/message"
)

// asked is a request, in no protocol.
type asked struct {
	method, host, path string
	fields             []string // names and values
	body               []string // in parts
	sized              bool     // its length is known in advance
	trailer            string   // the value of X-Trailer
	broken             bool     // the body ends too early
	waits              bool     // for 100 Continue
}

// got is what its client gets.
type got struct {
	told     bool
	interims []int
	status   int
	header   http.Header
	body     string
	trailer  http.Header
	cut      bool
}

// ways are how a request comes to the exchange: both must mean the same.
var ways = map[string]func(t *testing.T, server *proxy.Server, a asked) got{"HTTP/1": overHTTP1, "memory": inMemory}

func inMemory(_ *testing.T, server *proxy.Server, a asked) got {
	s := &exchangetest.Stream{Head: exchangetest.Request(a.method, a.host, a.path, a.fields...), Waits: a.waits}
	for _, part := range a.body {
		s.Parts = append(s.Parts, []byte(part))
	}
	if len(a.body) > 0 {
		s.Head.Length = message.Unsized
		if a.sized {
			s.Head.Length = int64(len(strings.Join(a.body, "")))
		}
	}
	if a.trailer != "" {
		s.Trailers.Add([]byte("X-Trailer"), []byte(a.trailer))
	}
	if a.broken {
		s.Broken = io.ErrUnexpectedEOF
	}
	server.Serve(s)
	if s.Finished == s.WasCut {
		panic("a stream is finished or cut, once")
	}
	g := got{told: s.Told, interims: s.Interims, status: s.Status, body: string(s.Content), cut: s.WasCut, header: http.Header{}, trailer: http.Header{}}
	for _, f := range s.Header {
		g.header.Add(string(f.Name), string(f.Value))
	}
	if g.header.Del("Content-Length"); s.Length >= 0 && s.Status != 0 { // which the protocol would say
		g.header.Set("Content-Length", fmt.Sprint(s.Length))
	}
	for _, f := range s.Trailer {
		g.trailer.Add(string(f.Name), string(f.Value))
	}
	return g
}

func overHTTP1(t *testing.T, server *proxy.Server, a asked) (g got) {
	conn, err := net.Dial("tcp", server.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	out := fmt.Appendf(nil, "%s %s HTTP/1.1\r\nHost: %s\r\nConnection: TE\r\nTE: trailers\r\n", a.method, a.path, a.host)
	for i := 0; i < len(a.fields); i += 2 {
		out = fmt.Appendf(out, "%s: %s\r\n", a.fields[i], a.fields[i+1])
	}
	switch {
	case len(a.body) == 0:
	case a.sized:
		out = fmt.Appendf(out, "Content-Length: %d\r\n", len(strings.Join(a.body, "")))
	default:
		out = append(out, "Transfer-Encoding: chunked\r\n"...)
	}
	if a.waits {
		out = append(out, "Expect: 100-continue\r\n"...)
	}
	in := bufio.NewReader(conn)
	send := func(p []byte) { _, _ = conn.Write(p) } // what is refused early is answered all the same
	send(append(out, "\r\n"...))
	if a.waits {
		first, err := in.Peek(len("HTTP/1.1 100"))
		if g.told = err == nil && string(first[9:]) == "100"; g.told {
			_, _ = http.ReadResponse(in, nil)
		}
	}
	if !a.waits || g.told {
		send(bodyOf(a))
	}
	if a.broken {
		_ = conn.(*net.TCPConn).CloseWrite()
	}
	g.read(in, a.method)
	return g
}

// bodyOf is the body as HTTP/1 has it.
func bodyOf(a asked) (out []byte) {
	for _, part := range a.body {
		if a.sized {
			out = append(out, part...)
			continue
		}
		out = fmt.Appendf(out, "%x\r\n%s\r\n", len(part), part)
	}
	if a.broken || a.sized || len(a.body) == 0 {
		return out
	}
	out = append(out, "0\r\n"...)
	if a.trailer != "" {
		out = append(out, "X-Trailer: "+a.trailer+"\r\n"...)
	}
	return append(out, "\r\n"...)
}

// read reads responses up to the final one.
func (g *got) read(in *bufio.Reader, method string) {
	for {
		response, err := http.ReadResponse(in, &http.Request{Method: method})
		if err != nil {
			g.cut = true
			return
		}
		if response.StatusCode >= 200 {
			body, err := io.ReadAll(response.Body)
			g.status, g.header, g.body, g.trailer, g.cut = response.StatusCode, response.Header, string(body), response.Trailer, err != nil
			return
		}
		g.interims = append(g.interims, response.StatusCode)
	}
}

// manyTalents is a target that shows what it has got, or answers in the way that
// the path names.
func manyTalents(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	w.Header().Set("Content-Type", "text/plain")
	switch r.URL.Path {
	case "/early":
		w.WriteHeader(http.StatusEarlyHints)
	case "/hops":
		w.Header().Set("Connection", "X-Hop")
		w.Header().Set("X-Hop", "1")
		w.Header().Set("Keep-Alive", "timeout=60")
		w.Header().Set("X-Gateway-Error", "forged")
	case "/trailer":
		w.Header().Set("Trailer", "X-Sum")
		_, _ = io.WriteString(w, "hello")
		w.Header().Set("X-Sum", "5")
		return
	case "/cut":
		_, _ = io.WriteString(w, "hello")
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	case "/long":
		w.Header().Set("Content-Length", "5000")
		_, _ = io.WriteString(w, strings.Repeat("long ", 1000))
		return
	case "/none":
		w.WriteHeader(http.StatusNoContent)
		return
	}
	framing := "none"
	if len(r.TransferEncoding) > 0 {
		framing = r.TransferEncoding[0]
	} else if r.ContentLength > 0 {
		framing = fmt.Sprint(r.ContentLength)
	}
	_, _ = fmt.Fprintf(w, "%s %s %s %d %s", r.Method, r.RequestURI, framing, len(body), r.Trailer.Get("X-Trailer"))
}

// twoWays is a server for requests of both ways.
func twoWays(t *testing.T) *proxy.Server {
	t.Helper()
	target := httptest.NewServer(http.HandlerFunc(manyTalents))
	t.Cleanup(target.Close)
	dir := t.TempDir()
	script := `chi_route("GET", "/local", function(request, response) response:status(201) response:write(request.protocol ~= "" and "made") end)
chi_route("GET", "/stream", function(request, response) response:write("a") response:flush() response:write("b") end)
chi_route("POST", "/read", function(request, response) response:write("read " .. #request.body) end)`
	if err := os.WriteFile(filepath.Join(dir, "edge.lua"), []byte(script), 0o600); err != nil {
		t.Fatal(err)
	}
	return serve(t, "server: {address: \"127.0.0.1:0\", via: gw}\nrequest_limits: {max_body_size: 200KiB}\naccess_log: {enabled: false}\ncompression: {enabled: true}\nlua_routing: {enabled: true, scripts_dir: \""+dir+"\"}\ntenants:\n"+
		"  - {name: plain, domains: [a.example.com], services: [{url: \""+target.URL+"\"}]}\n"+
		"  - {name: scripted, domains: [b.example.com], lua_routes: [edge.lua], lua: {timeout: 20s}, services: [{url: \""+target.URL+"\"}]}\n")
}

// TestBothWays asks the same in HTTP/1 and by a stream that knows no protocol: an
// exchange that asked for one would answer differently.
func TestBothWays(t *testing.T) {
	t.Parallel()
	server := twoWays(t)
	kib := strings.Repeat("x", 1<<10)
	large := slices.Repeat([]string{kib}, 100) // more than is buffered
	for name, c := range map[string]struct {
		asked asked
		want  got // what isn't zero in it
	}{
		"GET":               {asked{path: "/?q=1"}, got{status: 200, body: "GET /?q=1 none 0 "}},
		"HEAD":              {asked{method: "HEAD", path: "/long"}, got{status: 200, header: http.Header{"Content-Length": {"5000"}}}},
		"a known length":    {asked{method: "POST", path: "/", body: []string{"ab", "c"}, sized: true}, got{status: 200, body: "POST / 3 3 "}},
		"no known length":   {asked{method: "POST", path: "/", body: []string{"ab", "c"}}, got{status: 200, body: "POST / chunked 3 "}},
		"a trailer":         {asked{method: "POST", path: "/", body: []string{"abc"}, trailer: "sum"}, got{status: 200, body: "POST / chunked 3 sum"}},
		"a large body":      {asked{method: "POST", path: "/", body: large, sized: true}, got{status: 200, body: "POST / 102400 102400 "}},
		"too large":         {asked{method: "POST", path: "/", body: slices.Repeat(large, 3), sized: true}, got{status: 413, header: http.Header{"X-Gateway-Error": {"body_too_large"}}}},
		"found too large":   {asked{method: "POST", path: "/", body: slices.Repeat(large, 3)}, got{status: 413}},
		"a broken body":     {asked{method: "POST", path: "/", body: []string{"abc"}, broken: true}, got{cut: true}},
		"waits":             {asked{method: "POST", path: "/", body: []string{"abc"}, sized: true, waits: true}, got{told: true, status: 200, body: "POST / 3 3 "}},
		"waits too large":   {asked{method: "POST", path: "/", body: slices.Repeat(large, 3), sized: true, waits: true}, got{status: 413}},
		"waits for scripts": {asked{method: "POST", host: "b", path: "/read", body: []string{"abc"}, waits: true}, got{told: true, status: 200, body: "read 3"}},
		"early hints":       {asked{path: "/early"}, got{interims: []int{103}, status: 200, body: "GET /early none 0 "}},
		"fields of hops": {asked{path: "/hops", fields: []string{"X-Request-Id", "mine"}}, got{status: 200, body: "GET /hops none 0 ", header: http.Header{
			"X-Hop": nil, "Keep-Alive": nil, "X-Gateway-Error": nil, "Via": {"1.1 gw"},
		}}},
		"a target's trailer": {asked{path: "/trailer"}, got{status: 200, body: "hello", trailer: http.Header{"X-Sum": {"5"}}}},
		"a cut response":     {asked{path: "/cut"}, got{status: 200, body: "hello", cut: true}},
		"no content":         {asked{path: "/none"}, got{status: 204, header: http.Header{"Content-Length": nil}}},
		"compressed": {asked{path: "/long", fields: []string{"Accept-Encoding", "gzip"}}, got{status: 200, body: strings.Repeat("long ", 1000), header: http.Header{
			"Content-Encoding": {"gzip"}, "Content-Length": nil, "Vary": {"Accept-Encoding"},
		}}},
		"no tenant": {asked{host: "x", path: "/"}, got{status: 404, header: http.Header{"X-Gateway-Error": {"no_tenant"}}}},
		"a refused method": {asked{method: "TRACE", path: "/"}, got{status: 405, header: http.Header{
			"Allow": {"GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"},
		}}},
		"a script's":        {asked{host: "b", path: "/local"}, got{status: 201, body: "made", header: http.Header{"Content-Length": {"4"}}}},
		"flushed":           {asked{host: "b", path: "/stream"}, got{status: 200, body: "ab", header: http.Header{"Content-Length": nil}}},
		"through scripts":   {asked{host: "b", path: "/x"}, got{status: 200, body: "GET /x none 0 "}},
		"a path that isn't": {asked{path: "/a/%00"}, got{status: 400, header: http.Header{"X-Gateway-Error": {"bad_path"}}}},
	} {
		for way, ask := range ways {
			t.Run(name+" by "+way, func(t *testing.T) {
				t.Parallel()
				a := c.asked
				if a.method == "" {
					a.method = "GET"
				}
				if a.host == "" {
					a.host = "a"
				}
				a.host += ".example.com"
				check(t, ask(t, server, a), c.want)
			})
		}
	}
}

func check(t *testing.T, g, want got) {
	t.Helper()
	if g.header.Get("Content-Encoding") == "gzip" {
		plain, err := gzip.NewReader(strings.NewReader(g.body))
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(plain)
		if g.body = string(body); err != nil {
			t.Error(err)
		}
	}
	if g.status != want.status || g.told != want.told || g.cut != want.cut || !slices.Equal(g.interims, want.interims) {
		t.Errorf("status %d, told %v, cut %v, interims %v; want %d, %v, %v, %v", g.status, g.told, g.cut, g.interims, want.status, want.told, want.cut, want.interims)
	}
	if g.body != want.body && (want.body != "" || g.status < 400) {
		t.Errorf("body %.100q, want %.100q", g.body, want.body)
	}
	for name, value := range want.header {
		if !slices.Equal(g.header[textproto.CanonicalMIMEHeaderKey(name)], value) {
			t.Errorf("%s: %q, want %q", name, g.header[name], value)
		}
	}
	for name, value := range want.trailer {
		if !slices.Equal(g.trailer[name], value) {
			t.Errorf("trailer %s: %q, want %q", name, g.trailer[name], value)
		}
	}
	if g.status != 0 && g.header.Get("X-Request-Id") == "" {
		t.Error("a response without the request's id")
	}
}

// TestStreamLeaves: a client that goes has its call given up, whatever the
// protocol.
func TestStreamLeaves(t *testing.T) {
	t.Parallel()
	s := &exchangetest.Stream{Head: exchangetest.Request("GET", "a.example.com", "/")}
	silent := target(t, func(conn net.Conn) {
		var buf [1 << 10]byte
		if n, err := conn.Read(buf[:]); err == nil && bytes.HasPrefix(buf[:n], []byte("GET")) {
			s.Leave()
		}
		_, _ = conn.Read(buf[:])
	})
	server := start(t, "access_log: {enabled: false}\ntenants:\n  - {name: a, domains: [a.example.com], services: [{url: \"http://"+silent+"\"}]}\n")
	server.Serve(s)
	if !s.WasCut || s.Status != 0 || s.CutReason != exchange.CutByClient {
		t.Errorf("cut %v for reason %d, status %d, want a cut by the client without a response", s.WasCut, s.CutReason, s.Status)
	}
}

// TestStreamRefuses: what the protocol has found wrong with a head is answered as
// it is.
func TestStreamRefuses(t *testing.T) {
	t.Parallel()
	server := start(t, "access_log: {enabled: false}\ntenants:\n  - {name: a, domains: [a.example.com], services: [{url: \"http://127.0.0.1:1\"}]}\n")
	for _, c := range []struct {
		err    error
		status int
		last   bool
	}{{message.HeaderTooLarge, 431, true}, {message.BadHost, 400, true}, {errors.New("what nobody knows"), 500, true}} {
		s := &exchangetest.Stream{Head: exchangetest.Request("GET", "a.example.com", "/"), Refused: c.err}
		server.Serve(s)
		if s.Status != c.status || s.Last != c.last || !s.Finished {
			t.Errorf("%v: status %d, last %v, finished %v", c.err, s.Status, s.Last, s.Finished)
		}
	}
}
