package http2_test

import (
	"errors"
	"io"
	"strings"
	"testing"
	"time"

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

// TestPaddingIsGivenBack: padding counts in the window, and whoever waits for content
// gives it back, also where none comes with it.
func TestPaddingIsGivenBack(t *testing.T) {
	t.Parallel()
	var process memory.Process
	var account memory.Account
	account.Open(&process)
	var owner memory.Charge
	owner.Begin(&account)
	given := make(chan uint32, 8)
	i := http2.Intake{GiveBack: func(n uint32) { given <- n }}
	i.Begin(&account, &owner)
	read := make(chan error, 1)
	go func() {
		_, err := i.Next()
		read <- err
	}()
	const half = (http2.FirstWindow + 1) / 2
	for range 4 { // twice as much as the window has
		for range 2 {
			if err := i.Put(nil, half/2); err != nil {
				t.Fatal(err)
			}
		}
		select {
		case n := <-given:
			if n != half {
				t.Fatalf("%d of %d bytes were given back", n, half)
			}
		case <-time.After(time.Minute):
			t.Fatal("nothing is given back")
		}
	}
	if err := i.Put([]byte("x"), 1); err != nil {
		t.Fatal(err)
	}
	if err := <-read; err != nil {
		t.Error(err)
	}
}
