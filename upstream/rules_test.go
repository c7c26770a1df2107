package upstream

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"os"
	"reflect"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/keystone-gateway/keystone-gateway/proxy/http1"
	"github.com/keystone-gateway/keystone-gateway/proxy/message"
	"github.com/keystone-gateway/keystone-gateway/proxy/socket"
	"github.com/keystone-gateway/keystone-gateway/test/pooled"
)

// TestKeepAlive: how long a connection is kept that a target says it closes: a
// second less than that, or half of it.
func TestKeepAlive(t *testing.T) {
	t.Parallel()
	for value, want := range map[string]time.Duration{
		"": 0, "timeout=5": 4 * time.Second, "timeout=2": time.Second, "timeout=1": time.Second / 2, "timeout=3": 2 * time.Second, "TIMEOUT=\"5\"": 4 * time.Second,
		" timeout = 5 , max=1": 4 * time.Second, "max=100": 0, "timeout=-5": 0, "timeout=5x": 0, "timeout": 0, "timeout=99999999999": 0,
		"timeout=0": -1, "max=0": -1, "timeout=5, max=0": -1, "max=0, timeout=5": -1, "other=0": 0,
	} {
		h := message.Header{{Name: []byte("Other"), Value: []byte("max=0")}, {Name: []byte("Keep-Alive"), Value: []byte(value), ID: message.KeepAlive}}
		got, ok := keptFor(h)
		if !ok {
			got = -1
		}
		if got != want {
			t.Errorf("%q: got %v, want %v (-1 is not at all)", value, got, want)
		}
	}
	c := &Conn{until: 7}
	if c.expired(6) || !c.expired(7) || !c.expired(8) {
		t.Error("a connection expires at its moment, and not before")
	}
	r := &http1.Response{}
	if !c.noteKeepAlive(r) || c.until != 0 || c.expired(1<<62) {
		t.Error("an answer without Keep-Alive leaves the limit of an earlier one")
	}
}

// TestExpiry: the earlier one of a phase's end and the request's.
func TestExpiry(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		d           time.Duration
		total, want int64
	}{{5, 0, 105}, {5, 104, 104}, {5, 105, 105}, {5, 106, 105}, {0, 0, 0}, {0, 106, 106}, {-1, 106, 106}} {
		if got := expiry(100, c.d, c.total); got != c.want {
			t.Errorf("%d from now with a total of %d: got %d, want %d", c.d, c.total, got, c.want)
		}
	}
	for err, want := range map[error]bool{
		os.ErrDeadlineExceeded: true, context.DeadlineExceeded: true, socket.ErrTimeout: true, syscall.ETIMEDOUT: true, &net.DNSError{IsTimeout: true}: true,
		io.EOF: false, &net.DNSError{}: false, context.Canceled: false,
	} {
		if got := isTimeout(err); got != want {
			t.Errorf("%v is a time-out: got %v, want %v", err, got, want)
		}
	}
}

// TestSpeaksTLS: records of TLS, from its alerts to its data, and nothing else.
func TestSpeaksTLS(t *testing.T) {
	t.Parallel()
	for kind := range 256 {
		for version := range 6 {
			for major := range 5 {
				begin := []byte{byte(kind), byte(major), byte(version)}
				want := kind >= 20 && kind <= 23 && major == 3 && version <= 4
				if SpeaksTLS(begin) != want || SpeaksTLS(begin[:2]) {
					t.Errorf("% x is TLS: got %v, want %v; and never its first two bytes", begin, !want, want)
				}
			}
		}
	}
}

// TestHostBytes: of each byte, whether a target's host may have it.
func TestHostBytes(t *testing.T) {
	t.Parallel()
	for c := range 256 {
		want := strings.IndexByte("abcdefghijklmnopqrstuvwxyz0123456789-._", byte(c)) >= 0
		if err := checkHost("a" + string([]byte{byte(c)}) + "b"); (err == nil) != want {
			t.Errorf("byte %#x: %v, allowed is to be %v", c, err, want)
		}
	}
	label := strings.Repeat("a", 63)
	longest := strings.Join([]string{label, label, label, strings.Repeat("a", maxHostLength-3*64)}, ".")
	for host, want := range map[string]bool{
		label: true, label + "a": false, longest: true, longest[:len(longest)-62] + ".a.a": true, longest + "a": false, "a..b": false, "": false, ".a": false,
		"1.2.3": false, "1.2.3a": true, "a.1": false, "1": false,
	} {
		if err := checkHost(host); (err == nil) != want {
			t.Errorf("%d bytes %.20q: %v, allowed is to be %v", len(host), host, err, want)
		}
	}
}

// TestNames: of targets and pools, which are shown as they are.
func TestNames(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]bool{
		"a": true, "~": true, " ": true, "é": true, "\x7f": false, "\x1f": false, "\n": false, "\xff": false, "\u0080": true,
		strings.Repeat("a", maxNameLength): true, strings.Repeat("a", maxNameLength+1): false,
	} {
		if err := checkName(name); (err == nil) != want {
			t.Errorf("%.20q: %v, allowed is to be %v", name, err, want)
		}
	}
}

// TestConnIsReleasedClean fills every field of a connection that a request had
// and demands that only what belongs to the connection itself is left.
func TestConnIsReleasedClean(t *testing.T) {
	t.Parallel()
	ours, theirs := net.Pipe()
	defer func() { _ = theirs.Close() }()
	sock := new(socket.Conn)
	reused := false
	c := &Conn{}
	pooled.Fill(t, &c.Reader, allowing{}, ours)
	c.Conn, c.Sock, c.giveBack = ours, sock, func(bool) { reused = true }
	c.born, c.until, c.served, c.used, c.dirty, c.connectTime = 1, 1, false, true, true, 1
	c.release(true)
	if !reused || !c.served || c.Reader.Allowance != nil || c.Reader.Buffered() != 0 || c.Reader.Charged() != 0 {
		t.Errorf("given back %v, served %v, allowance %v, %d bytes, %d charged", reused, c.served, c.Reader.Allowance, c.Reader.Buffered(), c.Reader.Charged())
	}
	for _, left := range pooled.Left("Reader", &c.Reader, map[string]string{
		"Reader.Acquire":  "the connection's own",
		"Reader.src":      "the connection",
		"Reader.lazy":     "the connection",
		"Reader.reads":    "counts them all",
		"Reader.large":    "made once a connection",
		"Reader.giveBack": "made once a connection",
	}) {
		t.Error("after release,", left)
	}
}

// allowing is an http1.Allowance, and a source that waits without a buffer.
type allowing struct{}

func (allowing) Acquire(int64) bool { return true }
func (allowing) Release(int64)      {}
func (allowing) ReadLazily(func() []byte, func([]byte)) ([]byte, int, error) {
	return nil, 0, errors.New("nothing")
}

// TestProbeReaderIsUsedAnew: an answer to a probe is read alike, whatever the
// probe before has left; and none leaves a buffer or what it was charged.
func TestProbeReaderIsUsedAnew(t *testing.T) {
	t.Parallel()
	used, fresh := new(probeReader), new(probeReader)
	pooled.Fill(t, used, allowing{}, new(bytes.Reader), io.EOF)
	used.reader.Acquire = nil // of which a probe has none
	for _, p := range []*probeReader{used, fresh} {
		p.reader.Reset(bytes.NewReader([]byte("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nab")))
		if err := p.readHead(); err != nil {
			t.Fatal(err)
		}
		if err := p.readBody(); err != nil {
			t.Fatal(err)
		}
		p.reader.Reset(nil)
		if p.reader.Charged() != 0 || p.reader.Buffered() != 0 {
			t.Errorf("%d bytes are charged, %d buffered", p.reader.Charged(), p.reader.Buffered())
		}
	}
	if !reflect.DeepEqual(used.answer, fresh.answer) || !bytes.Equal(used.head, fresh.head) || used.body.Read() != fresh.body.Read() || !used.body.Done() {
		t.Errorf("after another probe %+v, %q, body %+v;\nat first %+v, %q, body %+v", used.answer, used.head, used.body, fresh.answer, fresh.head, fresh.body)
	}
	for _, left := range pooled.Left("reader", &used.reader, map[string]string{
		"reader.Allowance": "of a probe there is none, and Reset doesn't touch it",
		"reader.reads":     "counts them all",
		"reader.large":     "made once",
		"reader.giveBack":  "made once",
	}) {
		t.Error("after a probe,", left)
	}
}
