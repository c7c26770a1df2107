package exchange_test

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/keystone-gateway/keystone-gateway/proxy/exchange"
	"github.com/keystone-gateway/keystone-gateway/proxy/exchange/exchangetest"
	"github.com/keystone-gateway/keystone-gateway/proxy/memory"
	"github.com/keystone-gateway/keystone-gateway/proxy/message"
	"github.com/keystone-gateway/keystone-gateway/proxy/settings"
	"github.com/keystone-gateway/keystone-gateway/proxy/socket"
	"github.com/keystone-gateway/keystone-gateway/tenants"
)

// limited holds the clients of a tenant to small limits; the server's are larger.
func limited(g *exchange.Generation, t *exchange.Tenant) {
	limits, coding := tenants.DefaultRequestLimits(), tenants.DefaultCompression()
	limits.MaxURLSize = 200
	g.Bounds = exchange.NewBounds(&limits, tenants.ClientTimeoutsConfig{}, &coding)
	limits.MaxBodySize, limits.MaxHeaderSize, limits.MaxURLSize = 100, 100, 50
	own := tenants.ClientTimeoutsConfig{BodyIdle: settings.Duration(time.Minute), WriteIdle: settings.Duration(2 * time.Minute), MinRate: 7}
	t.Bounds = g.Bounds.Within(&tenants.Config{RequestLimits: limits, ClientTimeouts: own, Compression: coding})
}

// TestFaults: what a client gets of what goes wrong, and what the log has of it.
func TestFaults(t *testing.T) {
	t.Parallel()
	type change = func(*exchange.Generation, *exchange.Tenant)
	request := func(method, host, path string, fields ...string) message.Request {
		return plain(exchangetest.Request(method, host, path, fields...))
	}
	const at = "a.example.com"
	via := func(g *exchange.Generation, _ *exchange.Tenant) { g.Via = "gw" }
	refusing := func(_ *exchange.Generation, t *exchange.Tenant) { t.Refuse = exchange.Misconfigured }
	empty := func(_ *exchange.Generation, t *exchange.Tenant) { t.Pool = nil }
	long := func(n int) string { return "/" + strings.Repeat("a", n-1) }
	parts := func(n int) (list [][]byte) {
		for range n {
			list = append(list, []byte("x"))
		}
		return list
	}
	for _, c := range []struct {
		name   string
		change change
		stream *exchangetest.Stream
		answer string
		status int
		code   string
		last   bool   // the connection can't go on
		fields string // besides those of each
		cause  string // begins so
	}{
		{"CONNECT", nil, &exchangetest.Stream{Head: request("CONNECT", at, "/")}, okay, 405, "method_refused", true, "Allow: GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS", ""},
		{"TRACE", nil, &exchangetest.Stream{Head: request("TRACE", at, "/")}, okay, 405, "method_refused", true, "Allow: GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS", ""},
		{"no tenant", nil, &exchangetest.Stream{Head: request("GET", "b.example.com", "/")}, okay, 404, "no_tenant", false, "", ""},
		{"a bad host", nil, &exchangetest.Stream{Head: request("GET", "a b", "/")}, okay, 400, "bad_host", true, "", ""},
		{"a bad host of one letter", nil, &exchangetest.Stream{Head: request("GET", " ", "/")}, okay, 400, "bad_host", true, "", ""},
		{"an empty host", nil, &exchangetest.Stream{Head: request("GET", "", "/", "Host", "")}, okay, 400, "bad_host", true, "", ""},
		{"no host", nil, &exchangetest.Stream{Head: request("GET", "", "/")}, okay, 404, "no_tenant", false, "", ""},
		{"a bad path", nil, &exchangetest.Stream{Head: request("GET", at, "/%00")}, okay, 400, "bad_path", true, "", ""},
		{"a loop", via, &exchangetest.Stream{Head: request("GET", at, "/", "Via", "1.1 a, 1.1 gw (x)")}, okay, 508, "loop", false, "", ""},
		{"no word of a loop", via, &exchangetest.Stream{Head: request("GET", at, "/", "Via", "gw")}, okay, 200, "", false, "", ""},
		{"refused", refusing, &exchangetest.Stream{Head: get()}, okay, 503, "tenant_misconfigured", false, "Retry-After: 5", ""},
		{"nothing there", empty, &exchangetest.Stream{Head: get()}, okay, 404, "no_route", false, "", ""},

		{"a target that fits", limited, &exchangetest.Stream{Head: request("GET", at, long(50))}, okay, 200, "", false, "", ""},
		{"a target too long for the tenant", limited, &exchangetest.Stream{Head: request("GET", at, long(51))}, okay, 414, "url_too_long", true, "", "more than request_limits.max_url_size (50B)"},
		{"a target too long", limited, &exchangetest.Stream{Head: request("GET", at, long(201))}, okay, 414, "url_too_long", true, "", "more than request_limits.max_url_size (200B)"},
		{"content that fits", limited, &exchangetest.Stream{Head: sized(100), Parts: parts(100)}, okay, 200, "", false, "", ""},
		{"too much content", limited, &exchangetest.Stream{Head: sized(101), Parts: parts(101)}, okay, 413, "body_too_large", true, "", "more than request_limits.max_body_size (100B)"},
		{"too much content, and it is waited for", limited, &exchangetest.Stream{Head: sized(101), Waits: true}, okay, 413, "body_too_large", true, "", ""},
		{"unsized content that fits", limited, &exchangetest.Stream{Head: sized(message.Unsized), Parts: parts(100)}, okay, 200, "", false, "", ""},
		{"too much unsized content", limited, &exchangetest.Stream{Head: sized(message.Unsized), Parts: parts(101)}, okay, 413, "body_too_large", true, "", "more than request_limits.max_body_size (100B)"},

		{"a head that is none", nil, &exchangetest.Stream{Refused: message.BadRequestLine}, okay, 400, "bad_request", true, "", ""},
		{"too large a head", nil, &exchangetest.Stream{Refused: message.HeaderTooLarge}, okay, 431, "header_too_large", true, "", "more than request_limits.max_header_size (32KiB) or 256 lines"},
		{"framing", nil, &exchangetest.Stream{Refused: message.BadContentLength}, okay, 400, "bad_framing", true, "", ""},
		{"framing twice", nil, &exchangetest.Stream{Refused: message.ConflictingFraming}, okay, 400, "bad_framing", true, "", ""},
		{"a coding", nil, &exchangetest.Stream{Refused: message.BadTransferEncoding}, okay, 400, "bad_framing", true, "", ""},
		{"an expectation", nil, &exchangetest.Stream{Refused: message.BadExpect}, okay, 417, "bad_expectation", true, "", ""},
		{"a slow head", func(g *exchange.Generation, _ *exchange.Tenant) { g.HeaderTimeout = settings.Duration(3 * time.Second) },
			&exchangetest.Stream{Refused: exchange.SlowHead}, okay, 408, "header_timeout", true, "", "the header section was not complete within server.timeouts.header (3s)"},
		{"no memory for the head", nil, &exchangetest.Stream{Refused: memory.ErrNoMemory}, okay, 503, "script_memory", true, "Retry-After: 1", ""},

		{"malformed content", nil, &exchangetest.Stream{Head: sized(5), Parts: parts(1), Broken: message.BadChunk}, okay, 400, "bad_body", true, "", ""},
		{"a malformed trailer", nil, &exchangetest.Stream{Head: sized(message.Unsized), Broken: message.BadTrailer}, okay, 400, "bad_body", true, "", ""},
		{"content that pauses", limited, &exchangetest.Stream{Head: sized(5), Parts: parts(1), Broken: socket.ErrTimeout}, okay, 408, "body_timeout", true, "",
			"nothing of the body came for client_timeouts.body_idle (1m), or less than client_timeouts.min_rate (7B) asks for"},
		{"content that pauses, of the server's", nil, &exchangetest.Stream{Head: sized(message.Unsized), Parts: parts(1), Broken: socket.ErrTimeout}, okay, 408, "body_timeout", true, "",
			"nothing of the body came for server.timeouts.body_idle (0s), or less than server.min_rate (0B) asks for"},

		{"no answer", nil, &exchangetest.Stream{Head: sized(1), Parts: parts(1)}, "", 502, "upstream_closed", false, "", ""},
		{"a malformed answer", nil, &exchangetest.Stream{Head: get()}, "HTTP/1.1 x\r\n\r\n", 502, "upstream_bad_response", false, "", ""},
		{"an upgrade that nobody asked for", nil, &exchangetest.Stream{Head: get()}, "HTTP/1.1 101 x\r\nUpgrade: a\r\nConnection: upgrade\r\n\r\n", 502, "upstream_bad_response", false, "", ""},
		{"an upgrade to what wasn't offered", nil, &exchangetest.Stream{Head: upgrade("Upgrade", "a")}, "HTTP/1.1 101 x\r\nUpgrade: b\r\nConnection: upgrade\r\n\r\n", 502, "upstream_bad_response", false, "", ""},
		{"an upgrade to h2c", nil, &exchangetest.Stream{Head: upgrade("Upgrade", "a, h2c")}, "HTTP/1.1 101 x\r\nUpgrade: h2c\r\nConnection: upgrade\r\n\r\n", 502, "upstream_bad_response", false, "", ""},
		{"an upgrade of a stream that can't", nil, &exchangetest.Stream{Head: upgrade("Upgrade", "A")}, "HTTP/1.1 101 x\r\nUpgrade: a\r\nConnection: upgrade\r\n\r\n", 502, "upstream_bad_response", false, "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			for _, json := range []bool{false, true} {
				var ended endings
				s := &exchangetest.Stream{Head: c.stream.Head, Refused: c.stream.Refused, Parts: c.stream.Parts, Broken: c.stream.Broken, Waits: c.stream.Waits}
				s.Head.Header = append(message.Header(nil), c.stream.Head.Header...)
				if json {
					s.Head.Receive(message.Field{Name: []byte("Accept"), Value: []byte("text/html, Application/JSON"), ID: message.Accept})
				}
				changedPlane(t, &ended, c.change, record(t, c.answer).url).Serve(s)
				if s.Status != c.status || ended.code != c.code || s.Last != c.last || !s.Finished || s.WasCut {
					t.Fatalf("got %d, code %q, last: %v, finished: %v, cut: %v; want %d, %q, %v", s.Status, ended.code, s.Last, s.Finished, s.WasCut, c.status, c.code, c.last)
				}
				if !strings.HasPrefix(ended.cause, c.cause) {
					t.Errorf("the log has %q, want %q", ended.cause, c.cause)
				}
				if c.code == "" {
					continue
				}
				if s.Told {
					t.Error("the client was told to send what is refused")
				}
				media := "text/plain; charset=utf-8"
				if json {
					media = "application/json"
				}
				var want []string
				if c.fields != "" {
					want = append(want, c.fields)
				}
				want = append(want, "Content-Type: "+media, "Date: NOW", "X-Gateway-Error: "+c.code, "X-Request-Id: ID")
				if got := lines(s); !sameLines(got, want) {
					t.Errorf("got the fields %s, want %s", got, strings.Join(want, "|"))
				}
				id := s.Field("X-Request-Id")
				text, begin := string(s.Content), fmt.Sprintf("%d %s: ", c.status, message.StatusText(c.status))
				if !json && (!strings.HasPrefix(text, begin) || !strings.HasSuffix(text, "\ncode: "+c.code+"\nrequest id: "+id+"\n")) {
					t.Errorf("got %q", text)
				}
				if json && (!strings.HasPrefix(text, `{"error":{"code":"`+c.code+`","message":"`) || !strings.HasSuffix(text, `","request_id":"`+id+"\"}}\n")) {
					t.Errorf("got %q", text)
				}
				if s.Length != int64(len(text)) || ended.out != int64(len(text)) {
					t.Errorf("a length of %d was sent and %d counted, of %d bytes", s.Length, ended.out, len(text))
				}
			}
		})
	}
}

func sameLines(got string, want []string) bool {
	list := strings.Split(got, "|")
	if len(list) != len(want) {
		return false
	}
	for _, line := range want {
		if !strings.Contains("|"+got+"|", "|"+line+"|") {
			return false
		}
	}
	return true
}

// TestCuts: what has begun and can't be completed is cut, and the log says why.
func TestCuts(t *testing.T) {
	t.Parallel()
	gone := errors.New("gone")
	const text = "Content-Type: text/plain\r\n"
	okay := "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n" + text + "\r\n2\r\nok\r\n0\r\n\r\n"
	for _, c := range []struct {
		name, answer string
		write, end   error // of the client
		code, cause  string
		failures     uint64
	}{
		{"a short answer", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n" + text + "\r\nok", nil, nil, "upstream_response_cut", `after 2 bytes: target "t1": `, 1},
		{"no last chunk", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n" + text + "\r\n2\r\nok\r\n", nil, nil, "upstream_response_cut", `after 2 bytes: target "t1": `, 1},
		{"the client goes", okay, gone, nil, "client_gone", "after 2 bytes: cannot write to the client: gone", 0},
		{"the client takes nothing", okay, socket.ErrTimeout, nil, "client_write_timeout",
			"after 2 bytes: the client has taken nothing for server.timeouts.write_idle (0s), or less than server.min_rate (0B) asks for, or the request took longer than timeouts.total", 0},
		{"the client goes at the end", okay, nil, gone, "client_gone", "after 2 bytes: cannot write to the client: gone", 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			for name, change := range map[string]func(*exchange.Generation, *exchange.Tenant){"plain": nil, "compressed": compressing} {
				var ended endings
				target := record(t, c.answer)
				target.closes.Store(true)
				s := &failing{write: c.write, end: c.end}
				s.Head = get("Accept-Encoding", "gzip")
				changedPlane(t, &ended, change, target.url).Serve(s)
				if s.Status != 200 || !s.WasCut || s.Finished || s.Completed || ended.code != c.code || ended.out != 2 || ended.failures != c.failures || !strings.HasPrefix(ended.cause, c.cause) {
					t.Errorf("%s: got %d, cut: %v, finished: %v, %q because of %q, %d bytes, %d failures; want %q because of %q",
						name, s.Status, s.WasCut, s.Finished, ended.code, ended.cause, ended.out, ended.failures, c.code, c.cause)
				}
			}
		})
	}
}

// failing is a stream whose client fails to take what is written.
type failing struct {
	exchangetest.Stream
	write, end error
}

func (f *failing) Write(span []byte) error {
	if f.write != nil {
		return f.write
	}
	return f.Stream.Write(span)
}

func (f *failing) End(trailer message.Header) error {
	if f.end != nil {
		return f.end
	}
	return f.Stream.End(trailer)
}

// TestClientsThatLeave: nothing is sent to who is gone.
func TestClientsThatLeave(t *testing.T) {
	t.Parallel()
	for name, s := range map[string]*exchangetest.Stream{
		"before the head": {Refused: exchange.ErrClientGone},
		"within the head": {Refused: io.ErrUnexpectedEOF},
		"within content":  {Head: sized(2), Parts: [][]byte{{'x'}}, Broken: io.ErrUnexpectedEOF},
		"while streaming": {Head: sized(message.Unsized), Parts: [][]byte{{'x'}}, Broken: errors.New("reset")},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var ended endings
			newPlane(t, &ended, record(t, okay).url).Serve(s)
			if s.Status != 0 || len(s.Content) > 0 || !s.WasCut || s.Finished || ended.code != "client_gone" {
				t.Errorf("got %d with %q, cut: %v, code %q", s.Status, s.Content, s.WasCut, ended.code)
			}
		})
	}
}

// TestHeadOfFaults: a HEAD gets of a fault what a GET would, without the content.
func TestHeadOfFaults(t *testing.T) {
	t.Parallel()
	for _, method := range []string{"GET", "HEAD"} {
		var ended endings
		s := &exchangetest.Stream{Head: plain(exchangetest.Request(method, "b.example.com", "/"))}
		newPlane(t, &ended).Serve(s)
		if s.Status != 404 || s.Length < 100 || !s.Completed || !s.Finished || (len(s.Content) > 0) != (method == "GET") || ended.out != int64(len(s.Content)) {
			t.Errorf("%s: got %d, %d bytes of %d, completed: %v, counted: %d", method, s.Status, len(s.Content), s.Length, s.Completed, ended.out)
		}
	}
}

// TestNoWeight: a tenant whose targets all have no weight says so, and when to come
// again.
func TestNoWeight(t *testing.T) {
	t.Parallel()
	var ended endings
	s := &exchangetest.Stream{Head: get()}
	weightlessPlane(t, &ended, record(t, okay).url).Serve(s)
	if s.Status != 503 || ended.code != "no_healthy_target" || s.Field("Retry-After") != "1" || !strings.Contains(string(s.Content), "every target of the tenant has weight 0") {
		t.Errorf("got %d, %q, %q, Retry-After %q", s.Status, ended.code, s.Content, s.Field("Retry-After"))
	}
}
