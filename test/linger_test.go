package test

import (
	"fmt"
	"io"
	"strings"
	"testing"
	"time"
)

// upload is larger than what the sockets on the way hold together.
const upload = 11 << 20

// TestAnswerBeforeEndOfUpload: a client that sends all of its body before it
// reads gets the answer that came meanwhile (RFC 9112 §9.6).
func TestAnswerBeforeEndOfUpload(t *testing.T) {
	t.Parallel()
	m := startMock(t, "early", func(r *request) reply {
		early := func(status string, end ending) reply {
			return reply{parts: []string{answer(status, "no", length2, "X-Answer-To: "+r.target)}, early: true, end: end}
		}
		switch r.target {
		case "/closes":
			return early("401 Unauthorized", fin)
		case "/413-closes":
			return reply{parts: []string{answer("413 x", "no", length2, "Connection: close")}, early: true, end: fin}
		case "/stays":
			return early("403 Forbidden", hang)
		}
		return answerOK(r)
	})
	config := strings.Builder{}
	config.WriteString("request_limits: {max_body_size: 64MiB}\ntenants:\n")
	tenantConfig(&config, "early", "domains: [early.example]", m)
	large := startGateway(t, config.String())
	small := startGateway(t, strings.Replace(config.String(), "64MiB", "1MiB", 1))
	length := fmt.Sprintf("Content-Length: %d", upload)
	for _, c := range []struct {
		name    string
		gateway *gateway
		head    string
		status  int
	}{
		{"413 of the gateway", small, lined("POST / HTTP/1.1", "Host: early.example", length), 413},
		{"413 of the gateway in chunks", small, lined("POST / HTTP/1.1", "Host: early.example", chunked) + fmt.Sprintf("%x\r\n", upload), 413},
		{"404 of the gateway", large, lined("POST / HTTP/1.1", "Host: nobody.example", length), 404},
		{"400 of the gateway", large, lined("POST / HTTP/1.1", "Host: early.example", length, "X : y"), 400},
		{"401 of a target that closes", large, lined("POST /closes HTTP/1.1", "Host: early.example", length), 401},
		{"401 of a target that closes, in chunks", large, lined("POST /closes HTTP/1.1", "Host: early.example", chunked) + fmt.Sprintf("%x\r\n", upload), 401},
		{"413 of a target that closes", large, lined("POST /413-closes HTTP/1.1", "Host: early.example", length), 413},
		{"403 of a target that stays", large, lined("POST /stays HTTP/1.1", "Host: early.example", length), 403},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			client := dial(t, c.gateway.address)
			client.send(t, c.head+strings.Repeat("x", upload)) // fails where the connection is reset
			if got := client.answer(t, "POST"); got.status != c.status {
				t.Errorf("got %d, want %d", got.status, c.status)
			}
			client.expectEnd(t)
		})
	}
}

// TestSlowAfterAnswer: a client that goes on sending, however slowly, gets its
// answer; one that pauses, or never ends, is not listened to for ever.
func TestSlowAfterAnswer(t *testing.T) {
	t.Parallel()
	begin := func(t *testing.T, settings string) (*flow, *client) {
		t.Helper()
		f := startFlow(t, settings, nil)
		client := dial(t, f.gateway.address)
		client.send(t, f.expand(post(fmt.Sprintf("Content-Length: %d", 1<<30))))
		return f, client
	}
	t.Run("slow", func(t *testing.T) {
		t.Parallel()
		_, client := begin(t, "")
		every := time.NewTicker(100 * time.Millisecond)
		defer every.Stop()
		for range 16 { // longer than a second
			<-every.C
			client.send(t, "x")
		}
		if got := client.answer(t, "POST"); got.status != 413 {
			t.Errorf("got %d", got.status)
		}
	})
	for name, c := range map[string]struct{ timeouts, sent string }{
		"a pause":     {"{linger: 60s, linger_idle: 300ms}", ""},
		"without end": {"{linger: 300ms, linger_idle: 60s}", "x"},
		"at once":     {"{linger: 0s}", "x"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f, client := begin(t, "server:\n  timeouts: "+c.timeouts+"\n")
			if got := client.answer(t, "POST"); got.status != 413 {
				t.Errorf("got %d", got.status)
			}
			every(t, 10*time.Millisecond, func() { _, _ = io.WriteString(client, c.sent) })
			eventually(t, patience, "the gateway has closed the connection", func() bool { return openConnections(t, f.gateway) == 0 })
		})
	}
}
