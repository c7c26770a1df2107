package socket_test

import (
	"io"
	"testing"
)

// TestWriteVecAtAnyStackDepth calls from every depth of the stack, so that it
// grows at some point within the call: what the kernel reads must not be on a
// stack that has been left. GODEBUG=efence=1 makes a mistake fail for sure.
func TestWriteVecAtAnyStackDepth(t *testing.T) {
	c, peer := pair(t, sweeping(t))
	const depths = 700
	go func() {
		for depth := range depths {
			done := make(chan error)
			go deepen(depth, func() {
				_, err := c.WriteVec([]byte("abc"), []byte("defghij"), []byte("\r\n"))
				done <- err
			})
			if err := <-done; err != nil {
				t.Errorf("depth %d: %v", depth, err)
			}
		}
		_ = c.CloseWrite()
	}()
	got, err := io.ReadAll(peer)
	if err != nil || len(got) != depths*12 {
		t.Fatalf("%d bytes, %v; want %d", len(got), err, depths*12)
	}
	for i := 0; i < len(got); i += 12 {
		if string(got[i:i+12]) != "abcdefghij\r\n" {
			t.Fatalf("at %d: %q", i, got[i:i+12])
		}
	}
}

//go:noinline
func deepen(n int, f func()) byte {
	var pad [16]byte
	pad[n%16] = byte(n)
	if n == 0 {
		f()
		return pad[0]
	}
	return deepen(n-1, f) + pad[n%16]
}
