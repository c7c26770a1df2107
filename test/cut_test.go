package test

import (
	"errors"
	"io"
	"strings"
	"syscall"
	"testing"
)

// TestCutIsReset: a client that can't tell by its framing that an answer is cut
// is told by a reset; an orderly end would make the answer look whole.
func TestCutIsReset(t *testing.T) {
	t.Parallel()
	f := startFlow(t, "", func(r *request) reply {
		switch r.target {
		case "/chunked":
			return reply{parts: []string{answer("200 OK", "5\r\nhello\r\n", chunked)}, end: fin}
		case "/reset":
			return reply{parts: []string{answer("200 OK", "hello")}, end: reset}
		}
		return answerOK(r)
	})
	for _, path := range []string{"/chunked", "/reset"} {
		for _, lines := range [][]string{nil, {"Connection: keep-alive"}} {
			client := dial(t, f.gateway.address)
			client.send(t, f.expand(lined("GET "+path+" HTTP/1.0", append([]string{"Host: {host}"}, lines...)...)))
			got, err := io.ReadAll(client.reader)
			if !errors.Is(err, syscall.ECONNRESET) && !strings.HasPrefix(string(got), "HTTP/1.1 502") {
				t.Errorf("%s: %q, then %v; want a reset", path, got, err)
			}
		}
	}
}
