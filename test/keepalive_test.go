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
		pause bool // half a second
		again bool
	}{
		{"timeout=60", false, true},
		{"timeout=60, max=100", false, true},
		{"max=1", false, true},
		{"timeout=x", false, true},
		{"", false, true},
		{"timeout=99999999999999999999", false, true},
		{"xtimeout=0", false, true},
		{"timeout=0", false, false},
		{"Timeout = 0", false, false},
		{`timeout="0"`, false, false},
		{"timeout=60, max=0", false, false},
		{"max=100, timeout=0", false, false},
		{"timeout=1", true, false}, // used for half a second
	}
	mocks, config := make([]*mock, len(said)), strings.Builder{}
	config.WriteString("tenants:\n")
	for i, c := range said {
		mocks[i] = startMock(t, "k"+string(rune('a'+i)), func(*request) reply {
			return reply{parts: []string{answer("200 OK", "ok", length2, "Keep-Alive: "+c.value)}}
		})
		tenantConfig(&config, mocks[i].name, "domains: ["+mocks[i].host()+"]", mocks[i])
	}
	g := startGateway(t, config.String()+clock(t, 600*time.Millisecond))
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
				if c.pause {
					g.pass(t) // longer only helps
				}
			}
			if seen := mocks[i].seen(); (seen[0].conn == seen[1].conn) != c.again {
				t.Errorf("the second request came on connection %d, the first one on %d", seen[1].conn, seen[0].conn)
			}
		})
	}
}
