package exchange_test

import (
	"net"
	"testing"

	"github.com/keystone-gateway/keystone-gateway/proxy/exchange/exchangetest"
)

// TestRetriedMethods: what may be sent twice is, when the first target has closed
// without a word.
func TestRetriedMethods(t *testing.T) {
	t.Parallel()
	for method, attempts := range map[string]int{
		"GET": 2, "HEAD": 2, "OPTIONS": 2, "PUT": 2, "DELETE": 2, "QUERY": 2, "POST": 1, "PATCH": 1, "PURGE": 1, "get": 1,
	} {
		t.Run(method, func(t *testing.T) {
			t.Parallel()
			var ended endings
			s := &exchangetest.Stream{Head: plain(exchangetest.Request(method, "a.example.com", "/"))}
			newPlane(t, &ended, record(t, "").url, record(t, "").url).Serve(s)
			if ended.attempts != attempts || ended.code != "upstream_closed" {
				t.Errorf("%d attempts and %q, want %d", ended.attempts, ended.code, attempts)
			}
		})
	}
}

// TestStreamedContentIsSentOnce: not even what may be sent twice is, if its content
// isn't there any more.
func TestStreamedContentIsSentOnce(t *testing.T) {
	t.Parallel()
	for length, attempts := range map[int64]int{10: 2, 64<<10 + 1: 1} {
		var ended endings
		s := &exchangetest.Stream{Head: sized(length)}
		s.Head.Method = []byte("PUT")
		for _, part := range halves(int(length)) {
			s.Parts = append(s.Parts, []byte(part))
		}
		newPlane(t, &ended, record(t, "").url, record(t, "").url).Serve(s)
		if ended.attempts != attempts || ended.code != "upstream_closed" || ended.in != length {
			t.Errorf("%d bytes: %d attempts, %q and %d bytes read; want %d attempts", length, ended.attempts, ended.code, ended.in, attempts)
		}
	}
}

// TestLeavingWhileWaiting: a request whose client goes is given up.
func TestLeavingWhileWaiting(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	var ended endings
	s := &exchangetest.Stream{Head: get()}
	go func() {
		conn, err := listener.Accept()
		if err != nil {
			return
		}
		defer func() { _ = conn.Close() }()
		_, _ = conn.Read(make([]byte, 1))
		s.Leave()
		_, _ = conn.Read(make([]byte, 64<<10)) // the rest of the request
		_, _ = conn.Read(make([]byte, 1))      // until the gateway closes
	}()
	plane := newPlane(t, &ended, "http://"+listener.Addr().String())
	plane.Serve(s)
	if s.Status != 0 || !s.WasCut || ended.code != "client_gone" || plane.InFlight() != 0 {
		t.Errorf("got %d, cut: %v, %q", s.Status, s.WasCut, ended.code)
	}
}
