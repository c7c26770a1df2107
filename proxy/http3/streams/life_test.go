package streams_test

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/quic-go/quic-go"

	"github.com/keystone-gateway/keystone-gateway/test/until"
)

// waiting is a target that answers what is not at /wait, and tells who has been given up.
func waiting(entered, gone chan<- struct{}) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/wait" {
			entered <- struct{}{}
			_, _ = io.Copy(io.Discard, r.Body) // a connection whose content isn't read isn't watched
			<-r.Context().Done()
			gone <- struct{}{}
			return
		}
		echo(w, r)
	})
}

// TestClientGone: a request that its client gives up, by whatever means, is given up at
// its target.
func TestClientGone(t *testing.T) {
	entered, gone := make(chan struct{}, 1), make(chan struct{}, 1)
	g := serve(t, "", "", waiting(entered, gone))
	for name, leave := range map[string]func(h *hand, s *quic.Stream){
		"STOP_SENDING":   func(_ *hand, s *quic.Stream) { s.CancelRead(0x10c) },
		"the connection": func(h *hand, _ *quic.Stream) { _ = h.CloseWithError(0x100, "") },
	} {
		h := connect(t, g)
		s := h.send(true, head("GET", "/wait"))
		<-entered
		leave(h, s)
		select {
		case <-gone:
		case <-time.After(patience):
			t.Errorf("%s: the target goes on", name)
		}
	}
	h := connect(t, g)
	s := h.send(false, head("POST", "/wait"))
	<-entered
	s.CancelWrite(0x10c) // RESET_STREAM: the content is not to come
	select {
	case <-gone:
	case <-time.After(patience):
		t.Error("RESET_STREAM: the target goes on")
	}
}

// TestTargetGone: a response that its target has not completed doesn't look complete.
func TestTargetGone(t *testing.T) {
	g := serve(t, "", "", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "10")
		_, _ = io.WriteString(w, "12345")
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	}))
	h := connect(t, g)
	if got := answer(h.send(true, head("GET", "/"))); got != "200 stream H3_INTERNAL_ERROR" && got != "stream H3_INTERNAL_ERROR" {
		t.Errorf("%q", got)
	}
}

// TestTimeouts: heads and content that don't come, responses that aren't taken, and
// connections that ask nothing.
func TestTimeouts(t *testing.T) {
	g := serve(t, "server: {timeouts: {header: 300ms, body_idle: 300ms, write_idle: 500ms, keepalive: 300ms}}", "", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/large" {
			_, _ = w.Write(make([]byte, 8<<20))
			return
		}
		echo(w, r)
	}))
	h := connect(t, g)
	if got := answer(h.send(false, []byte{1, 40})); got != "stream H3_REQUEST_INCOMPLETE" {
		t.Errorf("a head that doesn't come: %q", got)
	}
	if got := answer(h.send(false, head("POST", "/", "content-length", "5"), []byte{0, 5, 'a'})); got != "408" {
		t.Errorf("content that doesn't come: %q", got)
	}
	s := h.send(true, head("GET", "/large"))
	until.True(t, "the request is served", func() bool { return g.Counters().InFlight == 1 })
	until.True(t, "it is given up", func() bool { return g.Counters().InFlight == 0 })
	if got := answer(s); !strings.HasSuffix(got, "stream H3_REQUEST_CANCELLED") {
		t.Errorf("a response that isn't taken: %q", got)
	}
	if got := h.ended(); got != "connection H3_NO_ERROR" {
		t.Errorf("a connection that idles: %q", got)
	}
	if got := connect(t, g).ended(); got != "connection H3_NO_ERROR" {
		t.Errorf("a connection without a request: %q", got)
	}
}

// TestDrain: a gateway that stops tells its clients in two steps, serves what they have
// asked, and leaves nothing behind.
func TestDrain(t *testing.T) {
	entered, release := make(chan struct{}), make(chan struct{})
	g := serve(t, "", "", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		close(entered)
		<-release
		echo(w, r)
	}))
	h := connect(t, g)
	s := h.send(true, head("GET", "/"))
	<-entered
	g.stop()
	if got := h.says(3); !slices.Equal(got, []string{"0x4", fmt.Sprint("GOAWAY ", uint64(1<<62-4)), "GOAWAY 4"}) {
		t.Errorf("it says %v", got)
	}
	late := h.send(true, head("GET", "/"))
	if got := answer(late); got != "stream H3_REQUEST_REJECTED" {
		t.Errorf("a request after GOAWAY: %q", got)
	}
	close(release)
	if got := answer(s); got != "200" {
		t.Errorf("a request before it: %q", got)
	}
	if got := h.ended(); got != "connection H3_NO_ERROR" {
		t.Errorf("the connection: %q", got)
	}
	<-g.done
}

// TestMostRequests: after max_requests_per_connection the client has to come anew.
func TestMostRequests(t *testing.T) {
	g := serveOn(t, "[{address: '127.0.0.1:0', tls: true, http3: true, max_requests_per_connection: 2}]", "", "", echo)
	h := connect(t, g)
	for range 2 {
		if got := answer(h.send(true, head("GET", "/"))); got != "200" {
			t.Error(got)
		}
	}
	if got := h.ended(); got != "connection H3_NO_ERROR" {
		t.Error(got)
	}
}

// TestReload: a reload opens and closes the port over UDP, and no request is lost by it.
func TestReload(t *testing.T) {
	entered, release := make(chan struct{}, 1), make(chan struct{})
	g := serve(t, "", "", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/wait" {
			entered <- struct{}{}
			<-release
		}
		echo(w, r)
	}))
	config, err := os.ReadFile(g.file)
	if err != nil {
		t.Fatal(err)
	}
	with := string(config)
	reload := func(text string) {
		t.Helper()
		g.write(text)
		if result := g.Reload(); !result.OK {
			t.Fatal(result)
		}
	}
	h := connect(t, g)
	s := h.send(true, head("GET", "/wait"))
	<-entered
	reload(strings.Replace(with, ", http3: true", "", 1))
	if got := h.says(3); !slices.Equal(got[1:], []string{fmt.Sprint("GOAWAY ", uint64(1<<62-4)), "GOAWAY 4"}) {
		t.Errorf("it says %v", got)
	}
	reload(with) // the port isn't free yet
	close(release)
	if got := answer(s); got != "200" {
		t.Error(got)
	}
	if got := h.ended(); got != "connection H3_NO_ERROR" {
		t.Error(got)
	}
	until.True(t, "the port is open again", func() bool {
		again, err := quic.DialAddr(t.Context(), g.address(), trusting("h3"), nil)
		if err == nil {
			_ = again.CloseWithError(0x100, "")
		}
		return err == nil
	})
	if got := answer(connect(t, g).send(true, head("GET", "/"))); got != "200" {
		t.Error(got)
	}
	reload(strings.Replace(with, ", http3: true", "", 1))
	until.True(t, "the port is closed", func() bool {
		conn, err := net.ListenPacket("udp", g.address())
		if err == nil {
			_ = conn.Close()
		}
		return err == nil
	})
}

// TestDrainCut: what has not ended when the drain time-out has passed is given up, here and
// at its target, and the connection ends.
func TestDrainCut(t *testing.T) {
	t.Parallel()
	entered, gone := make(chan struct{}, 1), make(chan struct{}, 1)
	g := serve(t, "server: {drain_timeout: 200ms}", "", waiting(entered, gone))
	h, idle := connect(t, g), connect(t, g)
	s := h.send(true, head("GET", "/wait"))
	<-entered
	g.stop()
	if got := answer(s); !strings.HasPrefix(got, "connection H3_NO_ERROR") && got != "stream H3_REQUEST_CANCELLED" {
		t.Errorf("the request: %q", got)
	}
	for _, conn := range []*hand{h, idle} {
		if got := conn.ended(); got != "connection H3_NO_ERROR" {
			t.Errorf("the connection: %q", got)
		}
	}
	<-gone
	<-g.done
}

// TestDrainUpload: a request whose content is still coming when the gateway is to stop is
// served to its end; a connection to a gateway that stops is refused.
func TestDrainUpload(t *testing.T) {
	t.Parallel()
	g := serve(t, "", "", echo)
	h := connect(t, g)
	s := h.send(false, head("POST", "/"), frame(0, []byte("first")))
	until.True(t, "the request is served", func() bool { return g.Counters().InFlight == 1 })
	g.stop()
	if got := h.says(2); len(got) != 2 || !strings.HasPrefix(got[1], "GOAWAY") {
		t.Errorf("it says %v", got)
	}
	until.True(t, "new connections are refused", func() bool {
		conn, err := g.dialFrom("127.0.0.1", trusting("h3"))
		if err == nil {
			_ = conn.CloseWithError(0x100, "")
		}
		return err != nil
	})
	_, _ = s.Write(frame(0, []byte("last")))
	_ = s.Close()
	if got := answer(s); got != "200" {
		t.Errorf("%q", got)
	}
	<-g.done
}
