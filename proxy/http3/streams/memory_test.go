package streams_test

import (
	"testing"

	"github.com/quic-go/quic-go"

	"github.com/keystone-gateway/keystone-gateway/test/until"
)

// TestTenantMemory: content that its tenant has no memory for is refused, request by
// request; the connection goes on.
func TestTenantMemory(t *testing.T) {
	t.Parallel()
	g := serve(t, "", ", max_client_memory: 31KiB", echo)
	h := connect(t, g)
	s := h.send(false, head("POST", "/"))
	if got := answer(s); got != "503" {
		t.Errorf("content of any length: %q", got)
	}
	if got := h.stopped(s); got != "stream H3_NO_ERROR" {
		t.Errorf("the client is told about the rest: %q", got)
	}
	for _, parts := range [][][]byte{{head("GET", "/")}, {head("POST", "/", "content-length", "5"), frame(0, []byte("hello"))}} {
		if got := answer(h.send(true, parts...)); got != "200" {
			t.Errorf("a small request: %q", got)
		}
	}
}

// stopped is how the gateway has told the client that the rest of a request isn't wanted.
func (h *hand) stopped(s *quic.Stream) string {
	h.t.Helper()
	<-s.Context().Done()
	_, err := s.Write([]byte{0})
	return ending(err)
}

// TestHeadMemory: a head that there is no memory for ends its stream with
// H3_EXCESSIVE_LOAD; connections, this one too, go on. What others hold counts, too: it
// isn't for any time but its own.
func TestHeadMemory(t *testing.T) {
	g := serve(t, "server: {max_memory: 64MiB, timeouts: {header: 10m}}\nrequest_limits: {max_header_size: 1MiB}", "", echo)
	h := connect(t, g)
	length := 1 << 20
	part := append([]byte{1, 0x80, byte(length >> 16), 0, 0}, make([]byte, 900<<10)...)
	full := make(chan string, 100)
	for range 24 { // with 16 MiB for all connections
		s := h.send(false)
		go func() {
			_, _ = s.Write(part)
			if got := answer(s); got != "" {
				full <- got
			}
		}()
	}
	if got := <-full; got != "stream H3_EXCESSIVE_LOAD" {
		t.Errorf("%q", got)
	}
	until.True(t, "a small request is served", func() bool { return answer(h.send(true, head("GET", "/"))) == "200" })
}
