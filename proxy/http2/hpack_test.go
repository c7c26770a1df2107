package http2_test

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"golang.org/x/net/http2/hpack"

	"github.com/keystone-gateway/keystone-gateway/proxy/http2"
)

// line is a field as text.
func line(name, value string) string { return fmt.Sprintf("%q=%q", name, value) }

func linesOf(b *http2.Block) (lines []string) {
	for i := range b.Len() {
		lines = append(lines, line(string(b.Name(i)), string(b.Value(i))))
	}
	return lines
}

// oracle decodes blocks as x/net's decoder does.
type oracle struct {
	decoder *hpack.Decoder
	lines   []string
}

func newOracle() *oracle {
	o := &oracle{}
	o.decoder = hpack.NewDecoder(4096, func(f hpack.HeaderField) { o.lines = append(o.lines, line(f.Name, f.Value)) })
	return o
}

func (o *oracle) decode(block []byte) ([]string, error) {
	o.lines = nil
	if _, err := o.decoder.Write(block); err != nil {
		return nil, err
	}
	return o.lines, o.decoder.Close()
}

// TestDecoder has x/net's encoder make blocks whose table fills, is emptied and
// changes its size, and compares what is read with x/net's decoder.
func TestDecoder(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(1, 2))
	var encoded bytes.Buffer
	encoder := hpack.NewEncoder(&encoded)
	var decoder http2.Decoder
	var block http2.Block
	other := newOracle()
	for round := range 2000 {
		encoded.Reset()
		if random.IntN(20) == 0 {
			encoder.SetMaxDynamicTableSize(uint32(random.IntN(5000)))
		}
		var want []string
		for range random.IntN(30) {
			f := hpack.HeaderField{Name: fmt.Sprint("x-", random.IntN(40)), Value: strings.Repeat("v", random.IntN(300)), Sensitive: random.IntN(10) == 0}
			if random.IntN(3) == 0 {
				f = hpack.HeaderField{Name: "cookie", Value: fmt.Sprint(random.IntN(10))}
			}
			want = append(want, line(f.Name, f.Value))
			if err := encoder.WriteField(f); err != nil {
				t.Fatal(err)
			}
		}
		block.Reset(1 << 20)
		if err := decoder.Decode(encoded.Bytes(), &block); err != nil {
			t.Fatalf("round %d: %v", round, err)
		}
		if got := linesOf(&block); strings.Join(got, "\n") != strings.Join(want, "\n") {
			t.Fatalf("round %d: got %q, want %q", round, got, want)
		}
		if _, err := other.decode(encoded.Bytes()); err != nil {
			t.Fatal(err)
		}
	}
}

// TestLargeBlock: what there is too much of is refused by itself, and the table
// stays as the peer has it; what is out of all proportion ends the connection.
func TestLargeBlock(t *testing.T) {
	t.Parallel()
	var encoded bytes.Buffer
	encoder := hpack.NewEncoder(&encoded)
	var decoder http2.Decoder
	var block http2.Block
	write := func(name, value string) {
		if err := encoder.WriteField(hpack.HeaderField{Name: name, Value: value}); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 10 {
		write("a", strings.Repeat("x", 100+i))
	}
	block.Reset(500)
	if err := decoder.Decode(encoded.Bytes(), &block); err != nil || !block.TooLarge() || block.Len() != 4 {
		t.Errorf("%d fields, too large: %v, error %v", block.Len(), block.TooLarge(), err)
	}
	encoded.Reset()
	write("a", strings.Repeat("x", 109))
	block.Reset(500)
	if err := decoder.Decode(encoded.Bytes(), &block); err != nil || block.Len() != 1 || len(encoded.Bytes()) != 1 || len(block.Value(0)) != 109 {
		t.Errorf("%d fields of %d bytes, error %v", block.Len(), encoded.Len(), err)
	}
	block.Reset(500)
	err := decoder.Decode(bytes.Repeat(encoded.Bytes(), 200), &block)
	if wrong, ok := errors.AsType[*http2.ConnError](err); !ok || wrong.Code != http2.EnhanceYourCalm {
		t.Errorf("a block of 200 times the same: %v", err)
	}
}

// FuzzDecoder: bytes that nobody has encoded are the same to x/net, block for block.
func FuzzDecoder(f *testing.F) {
	f.Add([]byte("\x82\x86\x84\x41\x8c\xf1\xe3\xc2\xe5\xf2\x3a\x6b\xa0\xab\x90\xf4\xff"), []byte("\x82\x86\x84\xbe"))
	f.Add([]byte("\x40\x01a\x01b\xbe\x3f\xe1\x1f"), []byte("\x20\x3f\xe1\x1f\x40\x01a\x01b\x0f\x2f\x01c"))
	f.Add([]byte("\x860"), []byte("0"))
	f.Fuzz(func(t *testing.T, first, second []byte) {
		var decoder http2.Decoder
		var block http2.Block
		other := newOracle()
		for _, data := range [][]byte{first, second, first} {
			block.Reset(1 << 20)
			got := decoder.Decode(data, &block)
			want, err := other.decode(data)
			if err == nil && got != nil && strings.Contains(got.Error(), "behind its first field") {
				return // x/net sees it only where its table isn't empty
			}
			if (got == nil) != (err == nil) {
				t.Fatalf("%x: %v, and x/net says %v", data, got, err)
			}
			if got != nil {
				return
			}
			if lines := linesOf(&block); !block.TooLarge() && strings.Join(lines, "\n") != strings.Join(want, "\n") {
				t.Fatalf("%x: %q, and x/net says %q", data, lines, want)
			}
		}
	})
}
