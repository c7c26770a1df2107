package test

import (
	"strings"
	"testing"
	"time"
)

// TestTargetKeepAlive: a connection isn't used again once its target has said
// that it will be closed.
func TestTargetKeepAlive(t *testing.T) {
	t.Parallel()
	said := []struct {
		value string
		pause time.Duration
		again bool
	}{
		{"timeout=60", 0, true},
		{"timeout=60, max=100", 0, true},
		{"max=1", 0, true},
		{"timeout=x", 0, true},
		{"", 0, true},
		{"timeout=99999999999999999999", 0, true},
		{"xtimeout=0", 0, true},
		{"timeout=0", 0, false},
		{"Timeout = 0", 0, false},
		{`timeout="0"`, 0, false},
		{"timeout=60, max=0", 0, false},
		{"max=100, timeout=0", 0, false},
		{"timeout=1", 600 * time.Millisecond, false}, // used for half a second
	}
	mocks, config := make([]*mock, len(said)), strings.Builder{}
	config.WriteString("tenants:\n")
	for i, c := range said {
		mocks[i] = startMock(t, "k"+string(rune('a'+i)), func(*request) reply {
			return reply{parts: []string{answer("200 OK", "ok", length2, "Keep-Alive: "+c.value)}}
		})
		tenantConfig(&config, mocks[i].name, "domains: ["+mocks[i].host()+"]", mocks[i])
	}
	g := startGateway(t, config.String())
	for i, c := range said {
		t.Run(c.value, func(t *testing.T) {
			t.Parallel()
			for range 2 {
				client := dial(t, g.address)
				client.send(t, lined("POST /p HTTP/1.1", "Host: "+mocks[i].host(), "Content-Length: 0"))
				if got := client.answer(t, "POST"); got.status != 200 || got.values("Keep-Alive") != nil {
					t.Fatalf("%q with %q", got.start, got.fields)
				}
				eventually(t, patience, "the connection is given back", func() bool { return inFlight(t, g) == 0 })
				time.Sleep(c.pause) // longer only helps
			}
			if seen := mocks[i].seen(); (seen[0].conn == seen[1].conn) != c.again {
				t.Errorf("the second request came on connection %d, the first one on %d", seen[1].conn, seen[0].conn)
			}
		})
	}
}
