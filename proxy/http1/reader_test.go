package http1_test

import (
	"errors"
	"io"
	"testing"

	"github.com/keystone-gateway/keystone-gateway/proxy/http1"
	"github.com/keystone-gateway/keystone-gateway/proxy/message"
)

// lazySource gives one head a read, and counts the reads that held a buffer
// while they waited.
type lazySource struct {
	heads   []string
	waiting int
}

func (s *lazySource) Read(p []byte) (int, error) {
	s.waiting++
	return s.next(p)
}

func (s *lazySource) ReadLazily(acquire func() []byte, release func([]byte)) ([]byte, int, error) {
	buf := acquire()
	n, err := s.next(buf)
	if err != nil {
		release(buf)
		return nil, 0, err
	}
	return buf, n, nil
}

func (s *lazySource) next(p []byte) (n int, err error) {
	if len(s.heads) == 0 {
		return 0, io.EOF
	}
	n, s.heads = copy(p, s.heads[0]), s.heads[1:]
	return n, nil
}

// TestWaitHoldsNoBuffer waits for messages on an empty reader, which must not
// keep a buffer for a connection that may stay idle.
func TestWaitHoldsNoBuffer(t *testing.T) {
	const head = "GET / HTTP/1.1\r\n\r\n"
	source := &lazySource{heads: []string{head, head + head, head}}
	var reader http1.Reader
	reader.Reset(source)
	for i := range 4 {
		if err := reader.Wait(); err != nil {
			t.Fatal(err)
		}
		if got, err := reader.ReadHead(nil, 1000); err != nil || string(got) != head {
			t.Fatalf("head %d: got %q and %v, want %q", i, got, err, head)
		}
	}
	if err := reader.Wait(); err == nil {
		t.Error("got no error at the end")
	}
	if source.waiting != 0 {
		t.Errorf("%d reads held a buffer while they waited, want none", source.waiting)
	}
}

// TestHeadLimit: a head of exactly the limit is read, one byte more isn't, be it
// in the start line, in a field or in the empty line, and however it arrives.
func TestHeadLimit(t *testing.T) {
	t.Parallel()
	const line, rest = "GET /path HTTP/1.1\r\n", "Host: a\r\nX: y\r\n\r\n"
	for limit := range len(line+rest) + 3 {
		for _, size := range []int{1, 2, 3, 1000} {
			var pieces []string
			for left := line + rest; left != ""; left = left[min(size, len(left)):] {
				pieces = append(pieces, left[:min(size, len(left))])
			}
			var reader http1.Reader
			reader.Reset(&lazySource{heads: pieces})
			_, err := reader.ReadHead(nil, limit)
			want := error(nil)
			switch {
			case limit < len(line):
				want = message.TargetTooLong
			case limit < len(line+rest):
				want = message.HeaderTooLarge
			}
			if !errors.Is(err, want) || (err == nil) != (want == nil) {
				t.Errorf("limit %d of %d bytes that come by %d: %v, want %v", limit, len(line+rest), size, err, want)
			}
		}
	}
}
