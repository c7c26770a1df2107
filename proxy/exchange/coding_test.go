package exchange

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"runtime"
	"strings"
	"testing"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"github.com/molecule-man/go-brrr"

	"github.com/keystone-gateway/keystone-gateway/proxy/message"
)

func acceptEncoding(values ...string) (h message.Header) {
	for _, value := range values {
		h.Add([]byte("Accept-Encoding"), []byte(value))
	}
	return h
}

func TestAccepted(t *testing.T) {
	t.Parallel()
	all := []codingID{zstdCoding, brotliCoding, gzipCoding}
	for _, c := range []struct {
		values  string // "|" between fields
		offered []codingID
		want    string
	}{
		{"gzip, deflate, br, zstd", all, "zstd"},
		{"gzip, deflate, br, zstd", []codingID{gzipCoding, zstdCoding}, "gzip"},
		{"gzip, deflate, br, zstd", nil, "identity"},
		{"gzip|br", all, "br"},
		{"GZIP", all, "gzip"},
		{"gzip;q=0.5, br;q=0.4", all, "gzip"},
		{"gzip;q=0.501, br;q=0.500, zstd;q=0.5", all, "gzip"},
		{"gzip ; q=0.1", all, "gzip"},
		{"gzip;Q=0.001", all, "gzip"},
		{"gzip;q=0", all, "identity"},
		{"gzip;q=0.000, br", all, "br"},
		{"gzip;q=abc", all, "gzip"}, // what can't be read is as none
		{"gzip;q=2", all, "gzip"},
		{"gzip;level=1", all, "gzip"},
		{"gzip;q=1.000", all, "gzip"},
		{"*", all, "zstd"},
		{"*;q=0.5, zstd;q=0", all, "br"},
		{"*;q=0", all, "identity"},
		{"*;q=0, gzip", all, "gzip"},
		{"identity", all, "identity"},
		{"identity;q=0.5, gzip;q=0.4", all, "identity"},
		{"identity;q=0.5, gzip;q=0.5", all, "gzip"},
		{"identity;q=0, gzip;q=0.1", all, "gzip"},
		{"deflate, x-gzip, brotli", all, "identity"},
		{"gzip;q=0, gzip", all, "identity"}, // the first counts
		{"", all, "identity"},
		{",, ,", all, "identity"},
	} {
		if got := accepted(acceptEncoding(strings.Split(c.values, "|")...), c.offered); string(got.name()) != c.want {
			t.Errorf("%q of %v: got %s, want %s", c.values, c.offered, got.name(), c.want)
		}
	}
	if got := accepted(nil, all); got != identity {
		t.Errorf("without Accept-Encoding: got %s", got.name())
	}
}

// FuzzAccepted: whatever a client says, it gets a coding that it has named, or "*".
func FuzzAccepted(f *testing.F) {
	f.Add("gzip;q=0.5, br;q=1, *;q=0")
	f.Fuzz(func(t *testing.T, value string) {
		got := accepted(acceptEncoding(value), []codingID{zstdCoding, brotliCoding, gzipCoding})
		if got != identity && !strings.Contains(strings.ToLower(value), string(got.name())) && !strings.Contains(value, "*") {
			t.Errorf("%q got %s", value, got.name())
		}
	})
}

// collected is an Answer that keeps the content.
type collected struct {
	Answer
	content bytes.Buffer
}

func (c *collected) Write(span []byte) error { _, err := c.content.Write(span); return err }
func (c *collected) Flush() error            { return nil }

// TestEncodersAreRight: of each coding, at each level, what was written in pieces of
// any length, with flushes, is what can be read again, also by an encoder that was
// used for something else before; each flush gives all that came before it.
func TestEncodersAreRight(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(1, 2))
	for coding := gzipCoding; coding < codingCount; coding++ {
		for level := 1; level <= 9; level++ {
			for round := range 3 {
				content := make([]byte, 0, 400_000)
				for len(content) < 1+round*190_000 {
					content = append(content, fmt.Sprintf("line %d of %d, ", random.IntN(1000), random.IntN(10))...)
				}
				to := &collected{}
				e := acquireEncoder(coding, level, to)
				for rest := content; len(rest) > 0; {
					n := min(len(rest), 1+random.IntN(50_000))
					if err := e.write(rest[:n]); err != nil {
						t.Fatal(err)
					}
					if rest = rest[n:]; random.IntN(3) > 0 {
						continue
					}
					if err := e.flush(); err != nil {
						t.Fatal(err)
					}
					if got := decoded(t, coding, to.content.Bytes(), len(content)-len(rest)); !bytes.Equal(got, content[:len(content)-len(rest)]) {
						t.Fatalf("%s at level %d: a flush gave %d bytes of %d", coding.name(), level, len(got), len(content)-len(rest))
					}
				}
				if err := e.end(); err != nil {
					t.Fatal(err)
				}
				e.release()
				if got := decoded(t, coding, to.content.Bytes(), -1); !bytes.Equal(got, content) {
					t.Fatalf("%s at level %d: %d bytes came back of %d", coding.name(), level, len(got), len(content))
				}
				if to.content.Len() > len(content)/2 && len(content) > 1000 {
					t.Errorf("%s at level %d: %d bytes of %d", coding.name(), level, to.content.Len(), len(content))
				}
			}
		}
	}
}

// decoded reads so many bytes, or all up to the end where it is less than 0.
func decoded(t *testing.T, coding codingID, content []byte, most int) []byte {
	t.Helper()
	var reader io.Reader = bytes.NewReader(content)
	var err error
	switch coding {
	case gzipCoding:
		reader, err = gzip.NewReader(reader)
	case zstdCoding:
		var decoder *zstd.Decoder
		decoder, err = zstd.NewReader(reader, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(window))
		defer decoder.Close()
		reader = decoder
	default:
		reader = brrr.NewReader(reader)
	}
	if err != nil {
		t.Fatal(err)
	}
	if most < 0 {
		all, err := io.ReadAll(reader)
		if err != nil {
			t.Fatal(err)
		}
		return all
	}
	got := make([]byte, most)
	n, err := io.ReadFull(reader, got)
	if err != nil {
		t.Fatalf("%s: %v after %d bytes of %d", coding.name(), err, n, most)
	}
	return got
}

// TestEncoderSizes: no encoder takes more than it is charged with.
func TestEncoderSizes(t *testing.T) { //nolint:paralleltest // it measures what is allocated
	content := make([]byte, 32<<10)
	random := rand.New(rand.NewPCG(3, 4))
	for coding := gzipCoding; coding < codingCount; coding++ {
		for level := 1; level <= 9; level++ {
			var before, after runtime.MemStats
			runtime.GC()
			runtime.ReadMemStats(&before)
			w, err := newCompressor(coding, level)
			if err != nil {
				t.Fatal(err)
			}
			w.Reset(io.Discard)
			for range 16 {
				for i := range content {
					content[i] = byte('a' + random.IntN(20))
				}
				if _, err := w.Write(content); err != nil {
					t.Fatal(err)
				}
			}
			if err := w.Flush(); err != nil {
				t.Fatal(err)
			}
			runtime.GC()
			runtime.ReadMemStats(&after)
			runtime.KeepAlive(w)
			if held := int64(after.HeapAlloc) - int64(before.HeapAlloc); held > encoderSizes[coding] || testing.Verbose() {
				t.Logf("%s at level %d holds %d KiB", coding.name(), level, held>>10)
				if held > encoderSizes[coding] {
					t.Errorf("that is more than %d KiB", encoderSizes[coding]>>10)
				}
			}
		}
	}
}

// TestEncodersAllocate: an encoder that is used again allocates nothing for gzip, and
// next to nothing for others.
func TestEncodersAllocate(t *testing.T) { //nolint:paralleltest // it counts allocations
	content := bytes.Repeat([]byte("some content, "), 1000)
	for coding, most := range map[codingID]float64{gzipCoding: 0, brotliCoding: 1, zstdCoding: 2} {
		e := acquireEncoder(coding, 5, sunk{})
		n := testing.AllocsPerRun(50, func() {
			e.w.Reset(e)
			_ = e.write(content)
			_ = e.flush()
			_ = e.write(content)
			_ = e.end()
		})
		e.release()
		if n > most {
			t.Errorf("%s: %v allocations a response, want at most %v", coding.name(), n, most)
		}
	}
}
