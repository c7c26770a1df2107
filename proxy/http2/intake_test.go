package http2_test

import (
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/keystone-gateway/keystone-gateway/proxy/http2"
	"github.com/keystone-gateway/keystone-gateway/proxy/memory"
)

// TestTrailerIsCharged: a trailer section is charged from when it comes, to whoever the
// content belongs, and until the stream is used again; where there is no memory for it,
// the content ends with that.
func TestTrailerIsCharged(t *testing.T) {
	t.Parallel()
	const size = 40_000
	block := func() *http2.Block {
		var decoder http2.Decoder
		b := new(http2.Block)
		b.Reset(1 << 20)
		if err := decoder.Decode(http2.AppendField(nil, []byte("x-digest"), []byte(strings.Repeat("x", size))), b); err != nil {
			t.Fatal(err)
		}
		return b
	}
	for limit, want := range map[int64]error{1 << 20: io.EOF, size / 2: memory.ErrNoMemory} {
		var process memory.Process
		var account, idle memory.Account
		account.Open(&process)
		idle.Open(&process)
		account.SetLimit(limit)
		var owner memory.Charge
		owner.Begin(&account)
		i := http2.Intake{GiveBack: func(uint32) {}}
		i.Begin(&account, &owner)
		if err := i.End(block()); err != nil {
			t.Fatal(err)
		}
		if held := account.Used(); want == io.EOF && held < size || held > 4*size {
			t.Errorf("a trailer of %d bytes is charged as %d", size, held)
		}
		if _, err := i.Next(); !errors.Is(err, want) {
			t.Errorf("with a limit of %d: %v, want %v", limit, err, want)
		}
		i.Reset(&idle)
		if account.Used() != 0 || process.Used() != 0 {
			t.Errorf("after the end %d and %d bytes are charged", account.Used(), process.Used())
		}
	}
}
