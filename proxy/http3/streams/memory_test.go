package streams_test

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"runtime"
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

// TestHeaviestCut: when all hold more than there is, streams of the tenant that holds most
// are cut, with H3_EXCESSIVE_LOAD, and their connections go on.
func TestHeaviestCut(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "a.lua"), []byte(`chi_route("POST", "/hold", function(request, response)
	response:write(request.body)
	response:flush()
end)`), 0o600); err != nil {
		t.Fatal(err)
	}
	g := serve(t, "server: {max_memory: 64MiB, timeouts: {write_idle: 10m}, min_rate: 0}\nlua_routing: {enabled: true, scripts_dir: '"+dir+"'}", ", lua_routes: a, max_client_memory: 1GiB", echo)
	// Its windows have room for a part of each response, and not for any as a whole.
	conn, err := quic.DialAddr(t.Context(), g.address(), trusting("h3"), &quic.Config{
		MaxIdleTimeout: patience, InitialStreamReceiveWindow: 64 << 10, MaxStreamReceiveWindow: 64 << 10, InitialConnectionReceiveWindow: 64 << 20, MaxConnectionReceiveWindow: 64 << 20,
	})
	if err != nil {
		t.Fatal(err)
	}
	h := &hand{Conn: conn, t: t}
	content := frame(0, bytes.Repeat([]byte("x"), 1<<20))
	var held []*quic.Stream
	// Each holds what it has sent, or the same as a response, which isn't read. As long as
	// the collector knows of more that earlier tests have left, it is refused.
	until.True(t, "streams hold a lot", func() bool {
		runtime.GC()
		s, err := h.OpenStreamSync(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		_, err = s.Write(append(head("POST", "/hold"), content...))
		if err == nil && s.Close() == nil {
			if _, err := s.Read(make([]byte, 1)); err == nil {
				held = append(held, s)
			}
		}
		n := int64(0)
		for tenant := range g.Tenants() {
			n += tenant.Stats.Memory.Used()
		}
		return n >= 12<<20
	})
	ballast := make([]byte, 80<<20) // so that the process holds more than there is
	for i := 0; i < len(ballast); i += 4 << 10 {
		ballast[i] = 1
	}
	runtime.GC()
	until.True(t, "streams are cut", func() bool { return g.Memory().Cut > 0 })
	cut := 0
	for _, s := range held {
		_, err := io.Copy(io.Discard, s)
		switch got := ending(err); got {
		case "stream H3_EXCESSIVE_LOAD":
			cut++
		case "": // that it has been answered
		default:
			t.Errorf("a stream ends with %q", got)
		}
	}
	if cut == 0 {
		t.Error("no stream was told that it was cut for what it held")
	}
	if h.Context().Err() != nil {
		t.Errorf("the connection has ended: %v", h.ended())
	}
	runtime.KeepAlive(ballast)
}
