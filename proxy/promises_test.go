package proxy_test

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"testing"
	"time"
)

// TestIdleTimeBeginsWithTheLastResponse: a kept connection is closed when its
// client has been idle for as long as server.timeouts.keepalive says, counted
// from the end of its last request, not from the one before or from when it
// connected, whether or not it sleeps meanwhile.
func TestIdleTimeBeginsWithTheLastResponse(t *testing.T) {
	t.Parallel()
	const keepalive = time.Second
	address := answering(t, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello")
	server := serve(t, "server: {address: \"127.0.0.1:0\", timeouts: {keepalive: 1s}}\naccess_log: {enabled: false}\ntenants:\n"+
		"  - {name: a, domains: [example.com], services: [{url: \"http://"+address+"\"}]}\n")
	idle := func(since time.Time, d time.Duration) {
		eventually(t, "time passes", func() bool { return time.Since(since) >= d })
	}
	for range 20 {
		conn, err := net.Dial("tcp", server.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		in := bufio.NewReader(conn)
		ask := func() (asked time.Time, ok bool) {
			asked = time.Now()
			_, _ = io.WriteString(conn, "GET / HTTP/1.1\r\nHost: example.com\r\n\r\n")
			response, err := http.ReadResponse(in, nil)
			if err != nil {
				return asked, false
			}
			_, err = io.Copy(io.Discard, response.Body)
			return asked, err == nil && !response.Close
		}
		_ = conn.SetDeadline(time.Now().Add(patience))
		idle(time.Now(), 6*keepalive/10)
		first, ok := ask()
		if ok {
			idle(first, 6*keepalive/10)
		}
		if last, again := ask(); ok && again {
			if _, err := in.ReadByte(); err != io.EOF {
				t.Errorf("after the idle time: %v, want that the connection is closed", err)
			}
			if kept := time.Since(last); kept < keepalive {
				t.Errorf("the connection was closed %v after its last request, want %v", kept, keepalive)
			}
			_ = conn.Close()
			return
		}
		_ = conn.Close() // the machine was so slow that the idle time was over before
	}
	t.Error("a connection that is idle for less than its time is closed, twenty times")
}
