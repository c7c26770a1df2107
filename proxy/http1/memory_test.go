package http1_test

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/keystone-gateway/keystone-gateway/proxy/http1"
	"github.com/keystone-gateway/keystone-gateway/proxy/memory"
)

// ledger is an Allowance that grants up to so many bytes.
type ledger struct {
	most, held int64
	granted    int
}

func (l *ledger) Acquire(bytes int64) bool {
	if l.held+bytes > l.most {
		return false
	}
	l.held += bytes
	l.granted++
	return true
}

func (l *ledger) Release(bytes int64) { l.held -= bytes }

// TestLargeBuffersAreCharged reads a body and what follows it: large buffers are
// asked for, only for a large body, and given back by the next wait; where they
// aren't granted, the body comes through smaller ones.
func TestLargeBuffersAreCharged(t *testing.T) {
	t.Parallel()
	sources := map[string]func(string) io.Reader{
		"lazy": func(text string) io.Reader {
			var pieces []string
			for text != "" {
				n := min(len(text), 3<<10)
				pieces, text = append(pieces, text[:n]), text[n:]
			}
			return &lazySource{heads: pieces}
		},
		"plain": func(text string) io.Reader { return iotest.HalfReader(strings.NewReader(text)) },
	}
	for name, source := range sources {
		for _, c := range []struct {
			length, acquired int
			most             int64
			charged          bool
		}{
			{memory.SmallBuffer, 0, 1 << 30, false},
			{10 * memory.LargeBuffer, 0, 1 << 30, true},
			{10 * memory.LargeBuffer, 0, 0, false},
			{memory.MediumBuffer, memory.MediumBuffer, 1 << 30, false}, // the buffers to begin with are larger
			{10 * memory.LargeBuffer, memory.MediumBuffer, 1 << 30, true},
		} {
			body, allowance := strings.Repeat("0123456789abcdef", c.length/16), &ledger{most: c.most}
			r := &http1.Reader{Allowance: allowance}
			if c.acquired > 0 {
				r.Acquire = func() []byte { return memory.AcquireBuffer(c.acquired) }
			}
			r.Reset(source(body + "x"))
			b := new(http1.Body)
			b.Reset(r, http1.Length, int64(len(body)))
			got, err := readSpans(b, func() {
				if allowance.held != r.Charged() || allowance.held > memory.LargeBuffer {
					t.Errorf("%s, %+v: %d bytes are held, %d charged", name, c, allowance.held, r.Charged())
				}
			})
			if err != io.EOF || got != body || !b.Done() {
				t.Fatalf("%s, %+v: %d of %d bytes, %v", name, c, len(got), len(body), err)
			}
			if (allowance.granted > 0) != c.charged {
				t.Errorf("%s, %+v: %d large buffers were granted", name, c, allowance.granted)
			}
			if err := r.Wait(); err != nil || string(r.Take()) != "x" {
				t.Errorf("%s, %+v: what follows: %v", name, c, err)
			}
			if err := r.Wait(); err == nil {
				t.Errorf("%s, %+v: there is more", name, c)
			}
			r.Release()
			if allowance.held != 0 || r.Charged() != 0 || r.Buffered() != 0 {
				t.Errorf("%s, %+v: after release: %d bytes are held, %d charged", name, c, allowance.held, r.Charged())
			}
		}
	}
}

func readSpans(b *http1.Body, each func()) (string, error) {
	var content []byte
	for {
		span, err := b.Next()
		if err != nil {
			return string(content), err
		}
		content = append(content, span...)
		each()
	}
}

// TestLargeHeadsAreCharged: a head that needs more than the usual buffer gets
// it, once; or an error, where that isn't granted.
func TestLargeHeadsAreCharged(t *testing.T) {
	t.Parallel()
	head := "GET / HTTP/1.1\r\nA: " + strings.Repeat("x", memory.LargeBuffer+memory.LargeBuffer/2) + "\r\n\r\n"
	for most, want := range map[int64]error{
		4 * memory.LargeBuffer: nil, 2 * memory.LargeBuffer: memory.ErrNoMemory, memory.LargeBuffer: memory.ErrNoMemory, 0: memory.ErrNoMemory,
	} {
		allowance := &ledger{most: most}
		r := &http1.Reader{Allowance: allowance}
		r.Reset(strings.NewReader(head))
		got, err := r.ReadHead([]byte("before"), 2*len(head))
		if !errors.Is(err, want) || err == nil && string(got) != "before"+head || err != nil && string(got) != "before" {
			t.Errorf("of %d bytes: %d bytes of head, %v, want %v", most, len(got), err, want)
		}
		if allowance.held != r.Charged() || err == nil && allowance.held != 2*memory.LargeBuffer {
			t.Errorf("of %d bytes: %d are held, %d charged", most, allowance.held, r.Charged())
		}
		if r.Reset(strings.NewReader("")); allowance.held != 0 || r.Charged() != 0 {
			t.Errorf("of %d bytes: after reset %d are held, %d charged", most, allowance.held, r.Charged())
		}
	}
}

// TestReaderStartsAnew: nothing of one source, head or empty line is left for
// the next one.
func TestReaderStartsAnew(t *testing.T) {
	t.Parallel()
	const head = "GET / HTTP/1.1\r\n\r\n"
	var r http1.Reader
	r.Reset(strings.NewReader("GET / HTTP/1.1\r\nA: b"))
	r.SkipEmptyLine()
	if _, err := r.ReadHead(nil, 100); err != io.ErrUnexpectedEOF {
		t.Fatal(err)
	}
	r.Reset(strings.NewReader("\r\n" + head))
	if r.Buffered() != 0 {
		t.Errorf("%d bytes are left after a reset", r.Buffered())
	}
	if _, err := r.ReadHead(nil, 100); err == nil {
		t.Error("an empty line is skipped that nobody asked to skip")
	}
	r.Reset(strings.NewReader("\r\n" + head + "\r\n" + head + "\r\n\r\n" + head))
	for i := range 2 {
		r.SkipEmptyLine()
		if got, err := r.ReadHead(nil, 100); err != nil || string(got) != head {
			t.Errorf("head %d: %q, %v", i, got, err)
		}
	}
	r.SkipEmptyLine()
	if _, err := r.ReadHead(nil, 100); err == nil {
		t.Error("two empty lines are skipped")
	}

	buf := memory.AcquireBuffer(memory.SmallBuffer)
	r.Reset(strings.NewReader(head))
	r.Adopt(buf, copy(buf, head))
	if string(r.Peek()) != head || r.Buffered() != len(head) {
		t.Errorf("adopted: %q", r.Peek())
	}
	reads := r.Reads()
	for range 2 {
		if got, err := r.ReadHead(nil, 100); err != nil || string(got) != head {
			t.Errorf("a head from an adopted buffer, and one after it: %q, %v", got, err)
		}
	}
	if r.Reads() != reads+1 {
		t.Errorf("%d reads of the source, want one", r.Reads()-reads)
	}
}

// TestReady: a body that is said to be ready is read without the source, in
// each of its states; one that isn't needs it.
func TestReady(t *testing.T) {
	t.Parallel()
	const text = "3\r\nabc\r\nA;x=y\r\n0123456789\r\n0\r\nX: y\r\n\r\n"
	for name, c := range map[string]struct {
		framing http1.Framing
		length  int64
		text    string
	}{
		"chunked": {http1.Chunked, 0, text}, "length": {http1.Length, 7, "0123456"}, "until close": {http1.UntilClose, 0, "0123456"}, "none": {http1.NoBody, 0, ""},
		"no trailer": {http1.Chunked, 0, "1\r\na\r\n0\r\n\r\n"}, "bad chunk": {http1.Chunked, 0, "1\r\na\r\nx\r\nb"},
	} {
		for first := 1; first <= max(len(c.text), 1); first++ {
			source := &countingSource{pieces: []string{c.text[:min(first, len(c.text))], c.text[min(first, len(c.text)):]}}
			r, b := new(http1.Reader), new(http1.Body)
			r.Reset(source)
			if c.text != "" {
				if err := r.Wait(); err != nil {
					t.Fatal(err)
				}
			}
			b.Reset(r, c.framing, c.length)
			for err := error(nil); err == nil; {
				ready, before := b.Ready(), source.reads
				_, err = b.Next()
				if read := source.reads > before; read == ready {
					t.Errorf("%s, %d bytes first: ready is %v, but reading it needed the source: %v (%v)", name, first, ready, read, err)
				}
			}
			if !b.Ready() {
				t.Errorf("%s: after the end or an error, a body isn't ready", name)
			}
		}
	}
}

// countingSource gives one piece a read.
type countingSource struct {
	pieces []string
	reads  int
}

func (s *countingSource) Read(p []byte) (int, error) {
	s.reads++
	for len(s.pieces) > 0 && s.pieces[0] == "" {
		s.pieces = s.pieces[1:]
	}
	if len(s.pieces) == 0 {
		return 0, io.EOF
	}
	n := copy(p, s.pieces[0])
	s.pieces[0] = s.pieces[0][n:]
	return n, nil
}

// TestReadInto reads a body where it is to be: first what is buffered, then from
// the source, and never beyond the body.
func TestReadInto(t *testing.T) {
	t.Parallel()
	for _, size := range []int{1, 3, 100} {
		r, b := new(http1.Reader), new(http1.Body)
		r.Reset(iotest.OneByteReader(strings.NewReader("0123456789next")))
		if err := r.Wait(); err != nil {
			t.Fatal(err)
		}
		b.Reset(r, http1.Length, 10)
		var got []byte
		for !b.Done() {
			p := make([]byte, size)
			n, err := b.ReadInto(p)
			if err != nil || n == 0 {
				t.Fatalf("%d bytes, %v", n, err)
			}
			got = append(got, p[:n]...)
			if b.Read() != int64(len(got)) || b.Left() != int64(10-len(got)) {
				t.Errorf("after %d bytes: %d read, %d left", len(got), b.Read(), b.Left())
			}
		}
		if string(got) != "0123456789" {
			t.Errorf("by %d: got %q", size, got)
		}
	}
	r, b := new(http1.Reader), new(http1.Body)
	r.Reset(bytes.NewReader([]byte("01")))
	b.Reset(r, http1.Length, 3)
	p := make([]byte, 10)
	_, _ = b.ReadInto(p)
	for range 2 { // the error stays
		if n, err := b.ReadInto(p); n != 0 || err != io.ErrUnexpectedEOF {
			t.Errorf("a cut body: %d bytes, %v", n, err)
		}
	}
	b.Reset(r, http1.Length, 3)
	r.Reset(iotest.ErrReader(nil))
	if _, err := b.ReadInto(p); err != io.ErrNoProgress {
		t.Errorf("a source that gives nothing: %v", err)
	}
}

// TestUntilClose reads all that comes, and reports the end once it is there.
func TestUntilClose(t *testing.T) {
	t.Parallel()
	content, b, err := readBody(iotest.OneByteReader(strings.NewReader("abc")), http1.UntilClose, 0)
	if string(content) != "abc" || err != io.EOF || !b.Done() || b.Read() != 3 {
		t.Errorf("%q, %v, done %v, %d read", content, err, b.Done(), b.Read())
	}
	reset := errors.New("reset")
	content, b, err = readBody(io.MultiReader(strings.NewReader("abc"), iotest.ErrReader(reset)), http1.UntilClose, 0)
	if string(content) != "abc" || err != reset || b.Done() {
		t.Errorf("cut: %q, %v, done %v", content, err, b.Done())
	}
	if content, b, err = readBody(strings.NewReader("abc"), http1.NoBody, 0); len(content) > 0 || err != io.EOF || !b.Done() {
		t.Errorf("no body: %q, %v, done %v", content, err, b.Done())
	}
}
