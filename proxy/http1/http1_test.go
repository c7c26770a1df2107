package http1_test

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/keystone-gateway/keystone-gateway/proxy/http1"
	"github.com/keystone-gateway/keystone-gateway/proxy/message"
	"github.com/keystone-gateway/keystone-gateway/test/measure"
)

const headLimit = 32 << 10

// readHead reads one head as the gateway does, from any number of reads.
func readHead(src io.Reader, limit int) (head []byte, rest []byte, err error) {
	var r http1.Reader
	r.Reset(src)
	r.SkipEmptyLine()
	head, err = r.ReadHead(nil, limit)
	return head, append([]byte{}, r.Take()...), err
}

func parseRequest(text string) (*http1.Request, error) {
	head, _, err := readHead(strings.NewReader(text), headLimit)
	if err != nil {
		return nil, err
	}
	r := new(http1.Request)
	return r, r.Parse(head, 8<<10)
}

func TestRequestParse(t *testing.T) {
	r, err := parseRequest("\r\nPOST /a/b?x=1 HTTP/1.1\r\nhost: Example.com:80\r\nX-a:  b c \t\r\nCONTENT-length: 5\r\nX-A: d\r\nConnection: X-A, close\r\n\r\n")
	if err != nil {
		t.Fatal(err)
	}
	if string(r.Method) != "POST" || string(r.Resource) != "/a/b?x=1" || string(r.Authority) != "Example.com:80" || r.Minor != 1 {
		t.Errorf("method %q, resource %q, authority %q, minor %d", r.Method, r.Resource, r.Authority, r.Minor)
	}
	if r.Framing != http1.Length || r.Length != 5 || !r.Close {
		t.Errorf("framing %v, length %d, close %v", r.Framing, r.Length, r.Close)
	}
	if f := r.Header[1]; string(f.Name) != "X-a" || string(f.Value) != "b c" || !f.Dropped || !r.Header[3].Dropped {
		t.Errorf("field %q: %q, dropped %v and %v", f.Name, f.Value, f.Dropped, r.Header[3].Dropped)
	}
	if r.Header[2].Dropped || r.Header.Get(message.ContentLength) == nil {
		t.Error("Content-Length is not itself any more")
	}
}

func TestRequestForms(t *testing.T) {
	for _, c := range []struct{ line, resource, authority string }{
		{"GET / HTTP/1.1", "/", "h"},
		{"GET http://h HTTP/1.1", "/", "h"},
		{"GET http://h?q HTTP/1.1", "/?q", "h"},
		{"GET HTTPS://H/p?q HTTP/1.1", "/p?q", "H"},
		{"OPTIONS * HTTP/1.1", "*", "h"},
	} {
		r, err := parseRequest(c.line + "\r\nHost: h\r\n\r\n")
		if err != nil || string(r.Resource) != c.resource || string(r.Authority) != c.authority {
			t.Errorf("%s: %v, resource %q, authority %q", c.line, err, r.Resource, r.Authority)
		}
	}
}

func TestRequestRefuses(t *testing.T) {
	const line, host, end = "GET / HTTP/1.1\r\n", "Host: h\r\n", "\r\n"
	for text, want := range map[string]message.Violation{
		"GET  / HTTP/1.1\r\n" + host + end:            message.BadRequestLine,
		" GET / HTTP/1.1\r\n" + host + end:            message.BadRequestLine,
		"G@T / HTTP/1.1\r\n" + host + end:             message.BadRequestLine,
		"GET / HTTP/1.1 \r\n" + host + end:            message.BadVersion,
		"GET / HTTP/1.2\r\n" + host + end:             message.BadVersion,
		"GET / http/1.1\r\n" + host + end:             message.BadVersion,
		"GET /\r\n" + host + end:                      message.BadRequestLine,
		"GET /\x7f HTTP/1.1\r\n" + host + end:         message.BadTarget,
		"GET /#f HTTP/1.1\r\n" + host + end:           message.BadTarget,
		"GET x HTTP/1.1\r\n" + host + end:             message.BadTarget,
		"GET * HTTP/1.1\r\n" + host + end:             message.BadTarget,
		"GET http://u@h/ HTTP/1.1\r\n" + host + end:   message.BadTarget,
		"GET http://other/ HTTP/1.1\r\n" + host + end: message.BadHost,
		line + end:                                                                   message.BadHost,
		line + host + host + end:                                                     message.BadHost,
		line + host + " folded: x\r\n" + end:                                         message.ObsoleteFold,
		line + host + "X : y\r\n" + end:                                              message.BadFieldName,
		line + host + ": y\r\n" + end:                                                message.BadFieldName,
		line + host + "X\r\n" + end:                                                  message.BadFieldName,
		line + host + "X: a\x00b\r\n" + end:                                          message.BadFieldValue,
		line + host + "X: a\rb\r\n" + end:                                            message.BadFieldValue,
		line + host + "X: a\n" + end:                                                 message.BadLineEnd,
		"GET / HTTP/1.1\n" + host + end:                                              message.BadLineEnd,
		"\nGET / HTTP/1.1\r\n" + host + end:                                          message.BadRequestLine,
		line + host + "Content-Length: 1\r\nContent-Length: 1\r\n" + end:             message.BadContentLength,
		line + host + "Content-Length: 1, 1\r\n" + end:                               message.BadContentLength,
		line + host + "Content-Length: +1\r\n" + end:                                 message.BadContentLength,
		line + host + "Content-Length: 1 1\r\n" + end:                                message.BadContentLength,
		line + host + "Content-Length:\r\n" + end:                                    message.BadContentLength,
		line + host + "Content-Length: 9999999999999999999\r\n" + end:                message.BadContentLength,
		line + host + "Transfer-Encoding: chunked\r\nContent-Length: 1\r\n" + end:    message.ConflictingFraming,
		line + host + "Transfer-Encoding: identity\r\n" + end:                        message.BadTransferEncoding,
		line + host + "Transfer-Encoding: gzip, chunked\r\n" + end:                   message.BadTransferEncoding,
		line + host + "Transfer-Encoding: chunked\r\ntransfer-encoding: x\r\n" + end: message.BadTransferEncoding,
		"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n" + end:                    message.BadTransferEncoding,
		line + host + "Expect: 200-ok\r\n" + end:                                     message.BadExpect,
		line + host + "Expect: 100-continue, x\r\n" + end:                            message.BadExpect,
		line + host + "Expect: 100-continue\r\nExpect: x\r\n" + end:                  message.BadExpect,
		line + host + "Connection: a b\r\n" + end:                                    message.BadConnection,
		line + host + "Connection: " + strings.Repeat("a,", 40) + "\r\n" + end:       message.BadConnection,
		line + host + strings.Repeat("a: b\r\n", 300) + end:                          message.HeaderTooLarge,
		"GET /" + strings.Repeat("a", 9000) + " HTTP/1.1\r\n" + host + end:           message.TargetTooLong,
	} {
		_, err := parseRequest(text)
		if !errors.Is(err, want) {
			t.Errorf("%.60q: %v, want %v", text, err, want)
		}
	}
}

func TestReadHeadEndsEarly(t *testing.T) {
	for text, check := range map[string]func(error) bool{
		"":                      func(err error) bool { return errors.As(err, new(*http1.ErrNothing)) },
		"GET / HTT":             func(err error) bool { return err == io.ErrUnexpectedEOF },
		"\r\n\r\nGET / ":        func(err error) bool { return err == error(message.BadRequestLine) },
		"\x16\x03\x01":          func(err error) bool { return err == error(message.BadRequestLine) },
		"GET / HTTP/1.1\nHost:": func(err error) bool { return err == error(message.BadLineEnd) },
	} {
		if _, _, err := readHead(strings.NewReader(text), headLimit); !check(err) {
			t.Errorf("%q: %v", text, err)
		}
	}
	long := "GET / HTTP/1.1\r\nX: " + strings.Repeat("a", 2*headLimit)
	if _, _, err := readHead(strings.NewReader(long), headLimit); err != error(message.HeaderTooLarge) {
		t.Errorf("a long head: %v", err)
	}
	if _, _, err := readHead(strings.NewReader(long[:3*headLimit/2]+"\r\n\r\n"), 2*headLimit); err != nil {
		t.Errorf("a long head within its limit: %v", err)
	}
}

func TestResponseParse(t *testing.T) {
	for _, c := range []struct {
		text    string
		toHEAD  bool
		framing http1.Framing
		err     error
	}{
		{text: "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", framing: http1.Length},
		{text: "HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n", framing: http1.NoBody},
		{text: "HTTP/1.1 200 \r\n\r\n", framing: http1.UntilClose},
		{text: "HTTP/1.1 200 OK\r\nTransfer-Encoding: CHUNKED\r\n\r\n", framing: http1.Chunked},
		{text: "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", toHEAD: true, framing: http1.NoBody},
		{text: "HTTP/1.1 304 x\r\nContent-Length: 5\r\n\r\n", framing: http1.NoBody},
		{text: "HTTP/1.1 204 x\r\n\r\n", framing: http1.NoBody},
		{text: "HTTP/1.1 103 x\r\nLink: a\r\n\r\n", framing: http1.NoBody},
		{text: "HTTP/1.1 103 x\r\nContent-Length: 5\r\n\r\n", err: message.ConflictingFraming},
		{text: "HTTP/2.0 200 OK\r\n\r\n", err: message.BadVersion},
		{text: "HTTP/1.1 99 OK\r\n\r\n", err: message.BadStatusLine},
		{text: "HTTP/1.1 600 OK\r\n\r\n", framing: http1.UntilClose},
		{text: "HTTP/1.1 999 OK\r\nContent-Length: 5\r\n\r\n", framing: http1.Length},
		{text: "HTTP/1.1 1000 OK\r\n\r\n", err: message.BadStatusLine},
		{text: "HTTP/1.1 200OK\r\n\r\n", err: message.BadStatusLine},
		{text: "HTTP/1.1  200 OK\r\n\r\n", err: message.BadStatusLine},
		{text: "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", err: message.BadTransferEncoding},
		{text: "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\n", err: message.BadContentLength},
		{text: "HTTP/1.1 200 OK\r\nA : b\r\n\r\n", err: message.BadFieldName},
	} {
		head, _, err := readHead(strings.NewReader(c.text), headLimit)
		var r http1.Response
		if err == nil {
			err = r.Parse(head, c.toHEAD)
		}
		if !errors.Is(err, c.err) || err == nil && r.Framing != c.framing {
			t.Errorf("%q: %v, framing %v", c.text, err, r.Framing)
		}
	}
}

// readBody reads a body to its end.
func readBody(src io.Reader, framing http1.Framing, length int64) (content []byte, b *http1.Body, err error) {
	r, b := new(http1.Reader), new(http1.Body)
	r.Reset(src)
	b.Reset(r, framing, length)
	for {
		span, err := b.Next()
		if err != nil {
			return content, b, err
		}
		content = append(content, span...)
	}
}

func TestChunkedBody(t *testing.T) {
	for _, c := range []struct {
		text, content string
		err           error
	}{
		{"0\r\n\r\n", "", io.EOF},
		{"3\r\nabc\r\n0\r\n\r\n", "abc", io.EOF},
		{"3;x=\"y\"\r\nabc\r\n00\r\n\r\n", "abc", io.EOF},
		{"A\r\n0123456789\r\n2\r\nab\r\n0\r\nX: y\r\n\r\n", "0123456789ab", io.EOF},
		{"", "", io.ErrUnexpectedEOF},
		{"3\r\nab", "ab", io.ErrUnexpectedEOF},
		{"3\r\nabc\r\n", "abc", io.ErrUnexpectedEOF},
		{"3\r\nabc\r\n0\r\n", "abc", io.ErrUnexpectedEOF},
		{"3\nabc\r\n0\r\n\r\n", "", message.BadChunk},
		{"3\r\nabc\n0\r\n\r\n", "abc", message.BadChunk},
		{"3\r\nabcd\r\n0\r\n\r\n", "abc", message.BadChunk},
		{"g\r\n", "", message.BadChunk},
		{"\n", "", message.BadChunk},
		{"-3\r\nabc", "", message.BadChunk},
		{"0x3\r\nabc\r\n0\r\n\r\n", "", message.BadChunk},
		{"3 \r\nabc\r\n0\r\n\r\n", "", message.BadChunk},
		{" 3\r\nabc\r\n0\r\n\r\n", "", message.BadChunk},
		{"\r\n3\r\nabc\r\n0\r\n\r\n", "", message.BadChunk},
		{"3;\x00\r\nabc\r\n0\r\n\r\n", "", message.BadChunk},
		{"3;a\rb\r\nabc\r\n0\r\n\r\n", "", message.BadChunk},
		{"fffffffffffffffff\r\nabc\r\n0\r\n\r\n", "", message.BadChunk},
		{"3;" + strings.Repeat("a", 400) + "\r\nabc\r\n0\r\n\r\n", "", message.BadChunk},
		{"0\r\nX : y\r\n\r\n", "", message.BadTrailer},
		{"0\r\n X: y\r\n\r\n", "", message.BadTrailer},
		{"0\r\nX: y\n\r\n", "", message.BadChunk},
		{"0\r\n" + strings.Repeat("X: y\r\n", 4000) + "\r\n", "", message.BadChunk},
	} {
		for name, src := range map[string]io.Reader{"whole": strings.NewReader(c.text), "bytes": iotest.OneByteReader(strings.NewReader(c.text))} {
			content, b, err := readBody(src, http1.Chunked, 0)
			if string(content) != c.content || !errors.Is(err, c.err) {
				t.Errorf("%.40q (%s): %q, %v; want %q, %v", c.text, name, content, err, c.content, c.err)
			}
			if b.Done() != (c.err == io.EOF) {
				t.Errorf("%.40q (%s): done is %v", c.text, name, b.Done())
			}
		}
	}
}

func TestLengthBody(t *testing.T) {
	text := strings.Repeat("0123456789", 20_000)
	src := strings.NewReader(text + "next")
	content, b, err := readBody(src, http1.Length, int64(len(text)))
	if string(content) != text || err != io.EOF || b.Read() != int64(len(text)) || !b.Done() {
		t.Errorf("%d bytes, %v", len(content), err)
	}
	if _, _, err := readBody(strings.NewReader("abc"), http1.Length, 4); err != io.ErrUnexpectedEOF {
		t.Errorf("a cut body: %v", err)
	}
}

func TestTrailers(t *testing.T) {
	_, b, err := readBody(strings.NewReader("0\r\nX-Sum: 1\r\nContent-Length: 5\r\nHost: evil\r\nX-Sum: 2\r\n\r\n"), http1.Chunked, 0)
	if err != io.EOF {
		t.Fatal(err)
	}
	if got := string(http1.AppendLastChunk(nil, b.Trailer())); got != "0\r\nX-Sum: 1\r\nX-Sum: 2\r\n\r\n" {
		t.Errorf("%q", got)
	}
}

func TestParseAllocates0(t *testing.T) {
	text := []byte("GET /a/b?c=d HTTP/1.1\r\nHost: example.com\r\nUser-Agent: x\r\nAccept: */*\r\nCookie: a=b; c=d\r\nX-Forwarded-For: 1.2.3.4\r\n\r\n")
	src := bytes.NewReader(text)
	var r http1.Reader
	var m http1.Request
	var head []byte
	r.Reset(src)
	run := func() {
		src.Reset(text)
		var err error
		if head, err = r.ReadHead(head[:0], headLimit); err == nil {
			err = m.Parse(head, 8<<10)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	run()
	if n := measure.Allocations(1000, run); n != 0 {
		t.Errorf("reading and parsing a head allocates %d times in 1000 runs, want 0", n)
	}
}

func BenchmarkRequestParse(b *testing.B) {
	head := []byte("GET /a/b?c=d HTTP/1.1\r\nHost: example.com\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64)\r\nAccept: */*\r\nAccept-Encoding: gzip, br\r\nCookie: a=b; c=d\r\nX-Custom: 1\r\n\r\n")
	var m http1.Request
	b.ReportAllocs()
	for b.Loop() {
		if err := m.Parse(head, 8<<10); err != nil {
			b.Fatal(err)
		}
	}
}

// TestExpect: Expect is a list, whose members may be none.
func TestExpect(t *testing.T) {
	for value, want := range map[string]bool{
		"": false, ",": false, " , ,": false, "100-continue": true, "100-Continue": true, "100-continue,": true, ", 100-continue, 100-continue": true,
	} {
		r, err := parseRequest("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\nExpect: " + value + "\r\n\r\n")
		if err != nil || r.Continue != want {
			t.Errorf("Expect %q: %v, %v; want %v", value, r.Continue, err, want)
		}
	}
}

// TestAuthorities: what names the same host and port agrees, and nothing else.
func TestAuthorities(t *testing.T) {
	for _, c := range []struct {
		target, host string
		agree        bool
	}{
		{"http://x.example:80/", "x.example", true},
		{"http://x.example/", "x.example:80", true},
		{"http://x.example/", "X.Example.", true},
		{"http://x.example.:080/", "x.example:", true},
		{"https://x.example:443/", "x.example", true},
		{"http://x.example:8080/", "x.example:8080", true},
		{"http://[::1]:80/", "[0:0:0:0:0:0:0:1]", true},
		{"http://[2001:DB8::1]/", "[2001:db8::1]:80", true},
		{"http://x.example:443/", "x.example", false},
		{"https://x.example:80/", "x.example", false},
		{"http://x.example:8080/", "x.example", false},
		{"http://x.example/", "y.example", false},
		{"http://x.example/", "x.example..", false},
		{"http://x.example/", "x.example:80:80", false},
		{"http://x.example/", "x.example:99999999999999999999", false},
		{"http://x.example:80/", "x.example:0", false},
		{"http://[::1]/", "[::2]", false},
		{"http://[::1]/", "::1", false},
		{"http://[::1/", "[::1]", false},
		{"http://x.example/", "", false},
		{"http://:80/", "", false},
	} {
		r, err := parseRequest("GET " + c.target + " HTTP/1.1\r\nHost: " + c.host + "\r\n\r\n")
		if agree := err == nil; agree != c.agree || err != nil && err != error(message.BadHost) {
			t.Errorf("%s with Host %s: %v (authority %q), agree is to be %v", c.target, c.host, err, r.Authority, c.agree)
		}
	}
}

// TestChunkLines: white space and extensions are read where the grammar of RFC
// 9112 §7.1.1 has them.
func TestChunkLines(t *testing.T) {
	for line, good := range map[string]bool{
		"2": true, "2;a": true, "2;a=b": true, "2;a=\"b;c d\\\"\"": true, "2 ; a = b": true, "2\t;\ta\t=\t\"x\"": true,
		"2;a ;b=c; d": true, "02;a;a": true, "2 ;a=b;c =d": true, "2 ": false, "2\t": false, "2;a ": false, "2;a=b ": false,
		"2;": false, "2; ": false, "2;a=": false, "2 a": false, "2;=b": false,
		"2;a=\"b": false, "2;a=\"b\\\"": false, "2;a=b c": false, "2;a=\"b\"c": false, "2;a==b": false, "2;;a": false, "2;a=\"\\\x00\"": false,
		" 2": false, "": false, "0x2": false,
	} {
		body, _ := bodyAfterHead(t, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"+line+"\r\nab\r\n0\r\n\r\n")
		span, err := body.Next()
		if good != (string(span) == "ab" && err == nil) {
			t.Errorf("chunk line %q: %q, %v; good is to be %v", line, span, err, good)
		}
	}
}

// TestAppendRequest: what is written is what the message says, and what the
// connection needs besides.
func TestAppendRequest(t *testing.T) {
	t.Parallel()
	field := func(name, value string) message.Field {
		return message.Field{Name: []byte(name), Value: []byte(value), ID: message.Identify([]byte(name))}
	}
	dropped := field("X-Dropped", "1")
	dropped.Dropped = true
	get := message.Sent{Method: []byte("GET"), Path: []byte("/a"), Query: []byte("?b")}
	full := message.Sent{Method: []byte("POST"), Path: []byte("/"), Authority: []byte("h:1"), Continue: true, Trailers: true}
	full.Header, full.Without = message.Header{field("X-A", "1"), dropped, field("Via", "1.1 a"), field("Expect", "x"), field("Vary", "b")}, message.SetOf(message.Via, message.Expect)
	full.Own, full.Length, full.UpgradeAsked = message.Header{field("Upgrade", "x"), field("Via", "1.1 g")}, message.Unsized, true
	sized := message.Sent{Method: []byte("POST"), Path: []byte("/"), Trailers: true}
	sized.Header, sized.Length = message.Header{field("Content-Length", "3")}, 3
	for want, r := range map[string]*message.Sent{
		"GET /base/a?b HTTP/1.1\r\nHost: t\r\n\r\n":                                                      &get,
		"OPTIONS * HTTP/1.1\r\nHost: t\r\nConnection: Upgrade\r\n\r\n":                                   {Method: []byte("OPTIONS"), Path: []byte("*"), Form: message.AsteriskForm, UpgradeAsked: true},
		"POST /base/ HTTP/1.1\r\nHost: t\r\nContent-Length: 3\r\nTE: trailers\r\nConnection: TE\r\n\r\n": &sized,
		"POST /base/ HTTP/1.1\r\nHost: h:1\r\nX-A: 1\r\nVary: b\r\nUpgrade: x\r\nVia: 1.1 g\r\nTransfer-Encoding: chunked\r\nExpect: 100-continue\r\nTE: trailers\r\nConnection: Upgrade, TE\r\n\r\n": &full,
	} {
		if got := string(http1.AppendRequest(nil, r, "/base", "t")); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
