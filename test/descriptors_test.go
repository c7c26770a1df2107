package test

import (
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// TestFewDescriptors: whoever opens all connections that one address may have
// leaves some to others, and descriptors to targets, the admin API and files.
func TestFewDescriptors(t *testing.T) {
	t.Parallel()
	g := (&gateway{files: 128}).start(t, simpleConfig(serveFunc(t, echoFields)))
	if !strings.Contains(g.output.String(), `"descriptors":128`) {
		t.Errorf("the log says nothing of max_connections: %s", g.output.String())
	}
	for range 200 {
		conn := dial(t, g.address)
		_, _ = io.WriteString(conn, "GET / HTTP/1.1\r\nHost: a\r\n\r\n") // and then it idles
	}
	eventually(t, patience, "one address has all that it may have", func() bool { return strings.Contains(answerOf(t, g), " 429 ") })
	checkOthers(t, g)
}

// TestSlowTargetHasFewDescriptors: requests that wait for one tenant's target
// take no descriptors from other tenants, the admin API and the listeners.
func TestSlowTargetHasFewDescriptors(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	defer close(release)
	var waiting atomic.Int32
	slow := serveFunc(t, func(http.ResponseWriter, *http.Request) {
		waiting.Add(1)
		<-release
	})
	g := (&gateway{files: 128}).start(t, simpleConfig(serveFunc(t, echoFields))+`  - name: slow
    domains: [slow.example]
    services: [{ url: "http://`+slow+`" }]
`)
	refused := 0
	for range 50 {
		conn, before := dial(t, g.address), waiting.Load()
		_, _ = io.WriteString(conn, "GET / HTTP/1.1\r\nHost: slow.example\r\n\r\n")
		eventually(t, patience, "the request waits for its target, or is refused", func() bool {
			_ = conn.SetReadDeadline(time.Now().Add(time.Millisecond))
			n, _ := conn.Read(make([]byte, 1))
			refused += n
			return n > 0 || waiting.Load() > before
		})
	}
	if n := int(waiting.Load()); n != 18 || refused != 50-n { // three quarters of what is left besides 72 clients
		t.Errorf("%d requests wait, %d were refused", n, refused)
	}
	checkOthers(t, g)
}

// checkOthers demands that another address and the admin API are answered.
func checkOthers(t *testing.T, g *gateway) {
	t.Helper()
	conn, err := open(&net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 2)}}, g.address)
	if err != nil {
		t.Skip("there is no second loopback address")
	}
	defer conn.close()
	if answer := conn.exchange(t, "GET / HTTP/1.1\r\nHost: a\r\n\r\n"); answer.status != 200 {
		t.Errorf("another address gets %d", answer.status)
	}
	response, err := http.Get("http://" + g.admin + "/admin/live") // #nosec G107 -- the gateway of this test
	if err != nil {
		t.Fatal(err)
	}
	_ = response.Body.Close()
}
