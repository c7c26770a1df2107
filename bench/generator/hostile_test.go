package generator_test

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/keystone-gateway/keystone-gateway/bench/generator"
	"github.com/keystone-gateway/keystone-gateway/test/port"
)

// TestMisbehaviour demands that servers that break the rules are told apart,
// and can't hold a run.
func TestMisbehaviour(t *testing.T) {
	t.Parallel()
	const head = "HTTP/1.1 200 OK\r\n"
	for name, test := range map[string]struct {
		response string
		endless  string // is written after it, again and again
		hold     bool   // the connection stays open
		status   int    // 0 is a failure
		kind     generator.Kind
	}{
		"closes at once":         {status: 0, kind: generator.Closed},
		"closes in the head":     {response: head + "Content-Le", kind: generator.Closed},
		"closes in the body":     {response: head + "Content-Length: 10\r\n\r\nhello", kind: generator.Closed},
		"closes in a chunk":      {response: head + "Transfer-Encoding: chunked\r\n\r\n5\r\nhe", kind: generator.Closed},
		"ends by closing":        {response: head + "\r\nhello", status: 200},
		"garbage":                {response: "\x00\x01\x02 not HTTP\r\n\r\n", hold: true, kind: generator.Malformed},
		"status of two digits":   {response: "HTTP/1.1 20 OK\r\n\r\n", hold: true, kind: generator.Malformed},
		"huge header":            {response: head + "X: " + strings.Repeat("x", 100_000) + "\r\n\r\n", hold: true, kind: generator.Malformed},
		"endless header":         {response: head, endless: "X-More: more\r\n", kind: generator.Malformed},
		"endless interims":       {endless: "HTTP/1.1 103 Early Hints\r\n\r\n", kind: generator.Malformed},
		"endless trailers":       {response: head + "Transfer-Encoding: chunked\r\n\r\n0\r\n", endless: "X-More: more\r\n", kind: generator.Malformed},
		"endless chunk line":     {response: head + "Transfer-Encoding: chunked\r\n\r\n5;", endless: "xxxxxxxxxx", kind: generator.Malformed},
		"chunk that isn't one":   {response: head + "Transfer-Encoding: chunked\r\n\r\nhello\r\n", hold: true, kind: generator.Malformed},
		"chunk of 2^64":          {response: head + "Transfer-Encoding: chunked\r\n\r\n10000000000000000\r\n", hold: true, kind: generator.Malformed},
		"chunk without its end":  {response: head + "Transfer-Encoding: chunked\r\n\r\n5\r\nhello0\r\n\r\n", hold: true, kind: generator.Malformed},
		"bytes after the end":    {response: head + "Content-Length: 0\r\n\r\nHTTP/1.1 200 OK\r\n\r\n", hold: true, kind: generator.Malformed},
		"never answers":          {hold: true, kind: generator.Timeout},
		"never ends its head":    {response: head, hold: true, kind: generator.Timeout},
		"never ends its body":    {response: head + "Content-Length: 10\r\n\r\nhello", hold: true, kind: generator.Timeout},
		"endless body":           {response: head + "\r\n", endless: "hello", kind: generator.Timeout},
		"switches the protocols": {response: "HTTP/1.1 101 Switching Protocols\r\n\r\n\x81\x05hello", hold: true, status: 101},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			address := listen(t, func(c net.Conn) {
				if _, err := c.Read(make([]byte, 4096)); err != nil {
					return
				}
				_, err := io.WriteString(c, test.response)
				for err == nil && test.endless != "" {
					_, err = io.WriteString(c, strings.Repeat(test.endless, 100))
				}
				if test.hold {
					_, _ = io.Copy(io.Discard, c)
				}
			})
			o := options(t, "http://"+address+"/")
			o.Connections, o.Duration = 1, 50*time.Millisecond
			if test.kind == generator.Timeout {
				o.Timeout = 100 * time.Millisecond
			}
			only(t, run(t, o), test.status, test.kind)
		})
	}
}

// TestMessages demands that what a server sent can't reach a terminal raw.
func TestMessages(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"plain – text":           "plain – text",
		"\x1b[31mred\x07\r\n":    ".[31mred...",
		"right\u202eleft\u0085":  "right.left.",
		"bytes \xff\xfe":         "bytes ..",
		strings.Repeat("x", 300): strings.Repeat("x", 200) + "…",
	} {
		if got := generator.Message(errors.New(text)); got != want {
			t.Errorf("%q is shown as %q, want %q", text, got, want)
		}
	}
	address := listen(t, func(c net.Conn) {
		_, _ = c.Read(make([]byte, 4096))
		_, _ = io.WriteString(c, strings.Repeat("ä", 4000)+"\r\n\r\n")
		_, _ = io.Copy(io.Discard, c)
	})
	r := run(t, options(t, "http://"+address+"/"))
	only(t, r, 0, generator.Malformed)
	if first := r.Failures[0].First; len(first) > 210 {
		t.Errorf("the message of a failure is %q, want a short one", first)
	}
}

// TestEarlyAnswer demands that a response counts although the server has not
// read all of the body.
func TestEarlyAnswer(t *testing.T) {
	t.Parallel()
	address := listen(t, func(c net.Conn) {
		_, _ = c.Read(make([]byte, 4096))
		_, _ = io.WriteString(c, "HTTP/1.1 413 Content Too Large\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
		_ = c.(*net.TCPConn).CloseWrite()
		_, _ = io.Copy(io.Discard, io.LimitReader(c, 100_000_000))
	})
	o := options(t, "http://"+address+"/")
	o.Body = make([]byte, 1_000_000)
	only(t, run(t, o), 413, 0)
}

func TestRefused(t *testing.T) {
	t.Parallel()
	r := run(t, options(t, "http://"+port.Reserve(t)+"/"))
	only(t, r, 0, generator.Connect)
	if n := r.Requests(); n > 100 {
		t.Errorf("%d connections were tried within 150 ms, want a pause after each", n)
	}
}

func TestTLS(t *testing.T) {
	t.Parallel()
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.StartTLS()
	t.Cleanup(server.Close)
	pool := x509.NewCertPool()
	pool.AddCert(server.Certificate())
	for name, test := range map[string]struct {
		config *tls.Config
		host   string
		status int
	}{
		"unknown authority":    {nil, "", 0},
		"known authority":      {&tls.Config{RootCAs: pool}, "", 200},
		"name of the host":     {&tls.Config{RootCAs: pool}, "example.com:443", 200},
		"another name":         {&tls.Config{RootCAs: pool}, "other.test", 0},
		"without verifying":    {&tls.Config{InsecureSkipVerify: true}, "other.test", 200},
		"no version in common": {&tls.Config{RootCAs: pool, MaxVersion: tls.VersionTLS11}, "", 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := options(t, server.URL)
			o.TLS, o.Host = test.config, test.host
			only(t, run(t, o), test.status, generator.TLS)
		})
	}
	t.Run("a server without TLS", func(t *testing.T) {
		t.Parallel()
		url := serveHTTP(t, func(http.ResponseWriter, *http.Request) {})
		only(t, run(t, options(t, "https"+strings.TrimPrefix(url, "http"))), 0, generator.TLS)
	})
}
