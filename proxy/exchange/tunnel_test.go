package exchange_test

import (
	"bufio"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/keystone-gateway/keystone-gateway/proxy/exchange"
	"github.com/keystone-gateway/keystone-gateway/proxy/exchange/exchangetest"
	"github.com/keystone-gateway/keystone-gateway/proxy/message"
	"github.com/keystone-gateway/keystone-gateway/test/raw"
)

// tunneler is a stream that can become a tunnel.
type tunneler struct {
	exchangetest.Stream
	head message.Response
	end  end
}

func (s *tunneler) Agrees(*message.Response) bool { return true }

func (s *tunneler) Tunnel(r *message.Response, _ time.Duration) (exchange.TunnelEnd, error) {
	s.Status, s.head = r.Status, *r
	for _, f := range r.Header {
		if !f.Dropped && !r.Without.Has(f.ID) {
			s.Header = append(s.Header, message.Field{Name: f.Name, Value: f.Value, ID: message.Identify(f.Name)})
		}
	}
	return &s.end, nil
}

// end is a client's end of a tunnel: what it sends is known, and then it has ended.
type end struct {
	parts  []string
	broken error // in the place of the end
	got    strings.Builder
	closed bool
	cause  error
}

func (e *end) Receive(int64) ([]byte, error) {
	if len(e.parts) == 0 {
		if e.broken != nil {
			return nil, e.broken
		}
		return nil, io.EOF
	}
	part := e.parts[0]
	e.parts = e.parts[1:]
	return []byte(part), nil
}

func (e *end) Release() {}

func (e *end) Send(p []byte) error {
	_, _ = e.got.Write(p)
	return nil
}

func (e *end) CloseWrite() error { e.closed = true; return nil }
func (e *end) Abort(cause error) { e.cause = cause }

// switching is a target that changes to another protocol, says hello, repeats what
// it hears, and says goodbye.
func switching(t *testing.T, head string) (url string) {
	t.Helper()
	return "http://" + raw.Serve(t, func(conn net.Conn) {
		in := bufio.NewReader(conn)
		if _, err := readRequest(in); err != nil {
			return
		}
		_, _ = io.WriteString(conn, strings.ReplaceAll(head, "\n", "\r\n")+"hello ")
		_, _ = io.Copy(conn, in)
		_, _ = io.WriteString(conn, " bye")
	})
}

// TestTunnels: what both sides send reaches the other, each may end before the
// other, and the client learns what was chosen.
func TestTunnels(t *testing.T) {
	t.Parallel()
	const switched = "HTTP/1.1 101 Fine\nConnection: upgrade\nUpgrade: a/1\nX-Request-Id: forged\nContent-Length: 7\n\n"
	for name, c := range map[string]struct {
		ask, head string
		status    int
		code      string
	}{
		"chosen":          {"x, A/1", strings.Replace(switched, "Content-Length: 7\n", "", 1), 101, ""},
		"not named":       {"x", strings.ReplaceAll(switched, "Upgrade: a/1\n", ""), 502, "upstream_bad_response"},
		"not in the list": {"b, a", switched, 502, "upstream_bad_response"},
		"no word for it":  {"a/1", strings.ReplaceAll(switched, "Connection: upgrade\n", ""), 502, "upstream_bad_response"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var ended endings
			s := &tunneler{end: end{parts: []string{"one ", "two"}}}
			s.Head = upgrade("Upgrade", c.ask)
			plane := newPlane(t, &ended, switching(t, c.head))
			plane.Serve(s)
			if s.Status != c.status || ended.code != c.code || plane.Tunnels() != 0 || ended.tunnelled != (c.status == 101) {
				t.Fatalf("got %d, %q, tunnelled: %v; want %d, %q", s.Status, ended.code, ended.tunnelled, c.status, c.code)
			}
			if c.status != 101 {
				return
			}
			if got := s.end.got.String(); got != "hello one two bye" || !s.end.closed || s.end.cause != nil || !s.Finished {
				t.Errorf("the client has got %q, its end: %v, %v", got, s.end.closed, s.end.cause)
			}
			if ended.in != int64(len("one two")) || ended.out != int64(len("hello one two bye")) {
				t.Errorf("%d bytes in and %d out are counted", ended.in, ended.out)
			}
			if got := lines(&s.Stream); got != "Upgrade: a/1|X-Request-Id: ID" || string(s.head.Reason) != "Fine" || !s.head.Bodiless || s.head.Length != message.Unsized {
				t.Errorf("the head is %s, %+v", got, s.head)
			}
		})
	}
}
