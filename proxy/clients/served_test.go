package clients

import (
	"bufio"
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/keystone-gateway/keystone-gateway/proxy/listener"
	"github.com/keystone-gateway/keystone-gateway/test/until"
)

// answers reads so many answers, each as its status, with what its head says of the
// connection, the error's code, and the body; then whether the connection ends.
func answers(t *testing.T, conn net.Conn, methods ...string) string {
	t.Helper()
	in := bufio.NewReader(conn)
	var said []string
	for _, method := range methods {
		r, err := http.ReadResponse(in, &http.Request{Method: method})
		if err != nil {
			said = append(said, "nothing")
			break
		}
		text := r.Status[:3]
		if how := r.Header.Get("Connection"); how != "" {
			text += " " + how
		}
		if r.Close && r.ProtoMinor == 1 {
			text += " close"
		}
		if code := r.Header.Get("X-Gateway-Error"); code != "" {
			text += " " + code
			_, _ = io.Copy(io.Discard, r.Body)
		} else if body, err := io.ReadAll(r.Body); err != nil || len(body) > 0 {
			text += " " + string(body)
		}
		_ = r.Body.Close()
		said = append(said, text)
	}
	return strings.Join(said, ", ")
}

// TestConnectionsOfHTTP1: what a connection is answered, request by request, and
// whether it goes on after that.
func TestConnectionsOfHTTP1(t *testing.T) {
	t.Parallel()
	const get, host = "GET /a HTTP/1.1\r\nHost: x\r\n\r\n", " HTTP/1.1\r\nHost: x\r\n"
	for _, c := range []struct {
		name, sent string
		methods    string
		want       string
		goesOn     bool
	}{
		{"one request", get, "GET", "200 GET /a", true},
		{"two at once", get + get, "GET GET", "200 GET /a, 200 GET /a", true},
		{"an empty line between them", get + "\r\n" + get, "GET GET", "200 GET /a, 200 GET /a", true},
		{"the last one", "GET /a" + host + "Connection: close\r\n\r\n", "GET", "200 close GET /a", false},
		{"no body after HEAD", "HEAD /a" + host + "\r\n" + get, "HEAD GET", "200, 200 GET /a", true},
		{"HTTP/1.0", "GET /a HTTP/1.0\r\nHost: x\r\n\r\n", "GET", "200 close GET /a", false},
		{"HTTP/1.0, kept", "GET /a HTTP/1.0\r\nHost: x\r\nConnection: keep-alive\r\n\r\n" + get, "GET GET", "200 keep-alive GET /a, 200 GET /a", true},
		{"a body that nobody reads", "POST /a" + host + "Content-Length: 5\r\n\r\nhello" + get, "POST GET", "200 POST /a, 200 GET /a", true},
		{"a large one", "POST /a" + host + "Content-Length: 65536\r\n\r\n" + strings.Repeat("x", 65536) + get, "POST GET", "200 POST /a, 200 GET /a", true},
		{"one that is too large to be read in vain", "POST /a" + host + "Content-Length: 65537\r\n\r\n" + strings.Repeat("x", 65537), "POST", "200 close POST /a", false},
		{"one of unknown length", "POST /a" + host + "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n", "POST", "200 close POST /a", false},
		{"one that it wasn't told to send", "POST /a" + host + "Content-Length: 5\r\nExpect: 100-continue\r\n\r\n", "POST", "200 close POST /a", false},
		{"nonsense", "nonsense\r\n\r\n", "GET", "400 close bad_request", false},
		{"nonsense after a request", get + "nonsense\r\n\r\n", "GET GET", "200 GET /a, 400 close bad_request", false},
		{"TLS", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", "GET", "400 close bad_request", false},
		{"the PROXY protocol", "PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n" + get, "GET", "400 close bad_request", false},
		{"a large head", "GET /a" + host + "X: " + strings.Repeat("x", 2000) + "\r\n\r\n", "GET", "431 close header_too_large", false},
		{"HTTP/2, which isn't spoken", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "GET", "400 close bad_request", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			o := serving(t, listener.Settings{Protocols: listener.HTTP1}, usual())
			conn := o.dial(t)
			if _, err := io.WriteString(conn, c.sent); err != nil {
				t.Fatal(err)
			}
			if got := answers(t, conn, strings.Fields(c.methods)...); got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
			o.ends(t, conn, !c.goesOn)
			if panics := o.Plane.Panics(); panics > 0 {
				t.Errorf("%d panics", panics)
			}
		})
	}
}

// ends demands that a connection has been ended by the server, or that it serves one
// more request.
func (o *servedHouse) ends(t *testing.T, conn net.Conn, want bool) {
	t.Helper()
	if want {
		if n, err := io.Copy(io.Discard, conn); n > 0 || err != nil {
			t.Errorf("after its answer came %d bytes and %v", n, err)
		}
		_ = conn.Close()
		until.True(t, "nothing is left of the connection", func() bool { return o.account.Used() == 0 })
		return
	}
	if _, err := io.WriteString(conn, "GET /z HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	if got := answers(t, conn, "GET"); got != "200 GET /z" {
		t.Errorf("the connection doesn't go on: %q", got)
	}
}

// TestConnectionsEndInTime: who sends no head is answered, who sends nothing isn't.
func TestConnectionsEndInTime(t *testing.T) {
	t.Parallel()
	const short = int64(50 * time.Millisecond)
	get := "GET /a HTTP/1.1\r\nHost: x\r\n\r\n"
	for _, c := range []struct {
		name, sent, methods, want string
		limits                    func(*Limits)
	}{
		{"nothing at all", "", "GET", "nothing", func(l *Limits) { l.Header = short }},
		{"half a head", "GET /a HT", "GET", "408 close header_timeout", func(l *Limits) { l.Header = short }},
		{"an empty line", "\r\n", "GET", "nothing", func(l *Limits) { l.Header = short }},
		{"nothing after a request", get, "GET GET", "200 GET /a, nothing", func(l *Limits) { l.Keepalive = short }},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			limits := usual()
			c.limits(&limits)
			o := serving(t, listener.Settings{Protocols: listener.HTTP1}, limits)
			conn := o.dial(t)
			if _, err := io.WriteString(conn, c.sent); err != nil {
				t.Fatal(err)
			}
			if got := answers(t, conn, strings.Fields(c.methods)...); got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
			o.ends(t, conn, true)
		})
	}
}

// TestLastRequests: the last one that a connection may have says so, as does each in a
// drain.
func TestLastRequests(t *testing.T) {
	t.Parallel()
	const get = "GET /a HTTP/1.1\r\nHost: x\r\n\r\n"
	o := serving(t, listener.Settings{Protocols: listener.HTTP1, MaxRequests: 2}, usual())
	conn := o.dial(t)
	_, _ = io.WriteString(conn, get+get+get)
	if got := answers(t, conn, "GET", "GET"); got != "200 GET /a, 200 close GET /a" {
		t.Errorf("got %q", got)
	}
	o.ends(t, conn, true)
	conn = o.dial(t)
	_, _ = io.WriteString(conn, get)
	if got := answers(t, conn, "GET"); got != "200 GET /a" {
		t.Errorf("got %q", got)
	}
	o.draining.Store(true)
	_, _ = io.WriteString(conn, get)
	if got := answers(t, conn, "GET"); got != "200 close GET /a" {
		t.Errorf("in a drain: got %q", got)
	}
	o.ends(t, conn, true)
}

// TestLingers: whoever is still sending when it is answered reads its answer, and is
// listened to until it ends, or for as long as that may take.
func TestLingers(t *testing.T) {
	t.Parallel()
	const post = "POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 10000000\r\n\r\n"
	for name, change := range map[string]func(*Limits){
		"until it closes": func(*Limits) {}, "until it is silent for long": func(l *Limits) { l.LingerIdle = int64(50 * time.Millisecond) },
		"for so long": func(l *Limits) { l.Linger = int64(50 * time.Millisecond) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			limits := usual()
			change(&limits)
			o := serving(t, listener.Settings{Protocols: listener.HTTP1}, limits)
			conn := o.dial(t)
			_, _ = io.WriteString(conn, post+strings.Repeat("x", 100_000))
			if got := answers(t, conn, "POST"); got != "200 close POST /a" {
				t.Fatalf("got %q", got)
			}
			if n, err := io.Copy(io.Discard, conn); n > 0 || err != nil {
				t.Errorf("after its answer came %d bytes and %v", n, err)
			}
			if name == "until it closes" {
				if o.account.Used() == 0 {
					t.Error("it isn't listened to any more")
				}
				if _, err := conn.Write(make([]byte, 100_000)); err != nil {
					t.Errorf("it can't send on: %v", err)
				}
				_ = conn.Close()
			}
			until.True(t, "the connection has ended", func() bool { return o.account.Used() == 0 })
		})
	}
}

// TestLingersAfterRefusals: whoever has sent nonsense is listened to as well; whose request
// was the last one of a drain had sent all of it.
func TestLingersAfterRefusals(t *testing.T) {
	t.Parallel()
	for sent, want := range map[string]string{"nonsense\r\n\r\n": "400 close bad_request", "GET /a HTTP/1.1\r\nHost: x\r\n\r\n": "200 close GET /a"} {
		o := serving(t, listener.Settings{Protocols: listener.HTTP1}, usual())
		conn := o.dial(t)
		drained := strings.HasPrefix(want, "200")
		if drained {
			_, _ = io.WriteString(conn, sent)
			if got := answers(t, conn, "GET"); got != "200 GET /a" {
				t.Fatalf("got %q", got)
			}
		}
		o.draining.Store(drained)
		_, _ = io.WriteString(conn, sent)
		if got := answers(t, conn, "GET"); got != want {
			t.Fatalf("got %q, want %q", got, want)
		}
		if n, err := io.Copy(io.Discard, conn); n > 0 || err != nil {
			t.Errorf("after its answer came %d bytes and %v", n, err)
		}
		if open := o.account.Used() > 0; open == drained {
			t.Errorf("after %q it is listened to: %v", want, open)
		}
	}
}

// certified is a TLS configuration, and a client's that believes in it.
func certified(t *testing.T, protocols ...string) (ours, theirs *tls.Config) {
	t.Helper()
	s := httptest.NewTLSServer(http.NotFoundHandler())
	defer s.Close()
	roots := s.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs
	return &tls.Config{Certificates: s.TLS.Certificates, NextProtos: protocols, MinVersion: tls.VersionTLS12},
		&tls.Config{RootCAs: roots, ServerName: "example.com", MinVersion: tls.VersionTLS12}
}

// TestConnectionsOfTLS: ALPN chooses the protocol, and whoever has no handshake is
// told of.
func TestConnectionsOfTLS(t *testing.T) {
	t.Parallel()
	ours, theirs := certified(t, "h2", "http/1.1")
	limits := usual()
	o := serving(t, listener.Settings{Protocols: listener.HTTP1 | listener.HTTP2, TLS: ours}, limits)
	for _, many := range []bool{false, true} {
		transport := &http.Transport{TLSClientConfig: theirs.Clone(), ForceAttemptHTTP2: many, DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, network, o.at.Addr().String())
		}}
		client := &http.Client{Transport: transport, Timeout: time.Minute}
		for range 3 { // on one connection
			r, err := client.Get("https://example.com/a")
			if err != nil {
				t.Fatal(err)
			}
			body, _ := io.ReadAll(r.Body)
			_ = r.Body.Close()
			if string(body) != "GET /a" || (r.ProtoMajor == 2) != many {
				t.Errorf("got %q by %s", body, r.Proto)
			}
		}
		if used, least := o.account.Used(), int64(awakeSize+secureSize); used < least || used > 4*least {
			t.Errorf("%d bytes are held by one connection", used)
		}
		transport.CloseIdleConnections()
		until.True(t, "nothing is left of the connection", func() bool { return o.account.Used() == 0 })
	}
	conn := o.dial(t)
	_, _ = io.WriteString(conn, "GET /a HTTP/1.1\r\nHost: x\r\n\r\n"+strings.Repeat("x", 100_000))
	if got := answers(t, conn, "GET"); got != "400 close tls_expected" {
		t.Errorf("who speaks HTTP is answered %q", got)
	}
	o.ends(t, conn, true)
	if got := o.noted(&o.failures); !strings.HasPrefix(got, "127.0.0.1 : ") || strings.Contains(got, ";") {
		t.Errorf("noted is %q", got)
	}
	conn = o.dial(t)
	_, _ = io.WriteString(conn, "PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n")
	o.ends(t, conn, true)
	if got := o.noted(&o.failures); !strings.Contains(got, "proxy_protocol.from") {
		t.Errorf("noted is %q", got)
	}
	conn = o.dial(t)
	_ = conn.Close() // only looked
	before := o.noted(&o.failures)
	strange := tls.Client(o.dial(t), &tls.Config{ServerName: "other.example", RootCAs: theirs.RootCAs, MinVersion: tls.VersionTLS12})
	if strange.Handshake() == nil {
		t.Error("the certificate is believed for another name")
	}
	until.True(t, "it is told of", func() bool { return o.noted(&o.failures) != before })
	if got := strings.TrimPrefix(o.noted(&o.failures), before); !strings.HasPrefix(got, "; 127.0.0.1 other.example: ") || strings.Count(got, ";") != 1 {
		t.Errorf("noted is %q", got)
	}
}

// TestHandshakesEndInTime: with words that name the limit.
func TestHandshakesEndInTime(t *testing.T) {
	t.Parallel()
	ours, _ := certified(t)
	const short = 50 * time.Millisecond
	limits := usual()
	limits.Header = int64(short)
	for _, c := range []struct {
		settings listener.Settings
		limits   Limits
		want     string
	}{
		{listener.Settings{Protocols: listener.HTTP1, TLS: ours}, limits, "server.timeouts.header (50ms)"},
		{listener.Settings{Protocols: listener.HTTP1, TLS: ours, HandshakeTimeout: short}, usual(), "handshake_timeout (50ms)"},
	} {
		o := serving(t, c.settings, c.limits)
		conn := o.dial(t)
		_, _ = io.WriteString(conn, "\x16\x03")
		_, _ = io.Copy(io.Discard, conn)
		if got := o.noted(&o.failures); !strings.HasSuffix(got, c.want) {
			t.Errorf("noted is %q, want %q", got, c.want)
		}
		until.True(t, "nothing is left of the connection", func() bool { return o.account.Used() == 0 })
	}
}

// TestHTTP2WithoutTLS: a client that begins with the preface gets HTTP/2 where that is
// spoken, others HTTP/1, or a refusal where that isn't.
func TestHTTP2WithoutTLS(t *testing.T) {
	t.Parallel()
	const get = "GET /a HTTP/1.1\r\nHost: x\r\n\r\n"
	both := serving(t, listener.Settings{Protocols: listener.HTTP1 | listener.HTTP2}, usual())
	alone := serving(t, listener.Settings{Protocols: listener.HTTP2}, usual())
	for _, o := range []*servedHouse{both, alone} {
		protocols := new(http.Protocols)
		protocols.SetUnencryptedHTTP2(true)
		transport := &http.Transport{Protocols: protocols}
		client := &http.Client{Transport: transport, Timeout: time.Minute}
		r, err := client.Get("http://" + o.at.Addr().String() + "/a")
		if err != nil {
			t.Fatal(err)
		}
		if body, _ := io.ReadAll(r.Body); string(body) != "GET /a" || r.ProtoMajor != 2 {
			t.Errorf("got %q by %s", body, r.Proto)
		}
		_ = r.Body.Close()
		if o.Streams.Open() != 1 || o.CloseIdle(1<<62, nil) != 1 {
			t.Errorf("%d connections of HTTP/2 are open", o.Streams.Open())
		}
		until.True(t, "it leaves when it is idle", func() bool { return o.Streams.Open() == 0 && o.account.Used() == 0 })
	}
	conn := both.dial(t)
	_, _ = io.WriteString(conn, get)
	if got := answers(t, conn, "GET"); got != "200 GET /a" {
		t.Errorf("HTTP/1 is answered %q", got)
	}
	both.ends(t, conn, false)
	conn = alone.dial(t)
	_, _ = io.WriteString(conn, get)
	if got := answers(t, conn, "GET"); got != "505 close http2_expected" {
		t.Errorf("HTTP/1 where it isn't spoken is answered %q", got)
	}
	alone.ends(t, conn, true)
	conn = alone.dial(t)
	_, _ = io.WriteString(conn, "nonsense\r\n\r\n")
	alone.ends(t, conn, true) // of which nobody knows what it speaks
}
