//go:build !race

package generator_test

import (
	"net"
	"testing"
	"time"

	"github.com/keystone-gateway/keystone-gateway/bench/generator"
)

// TestAllocations demands that a request on a kept connection allocates
// nothing, whatever the framing of its response. The race detector empties
// pools at random, so it's left out there.
func TestAllocations(t *testing.T) {
	for name, response := range map[string]string{
		"length":  "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nServer: x\r\nX-Other: y\r\n\r\nhello",
		"chunked": "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			address := answering(t, response)
			send, stop, err := generator.Sender(generator.Options{
				Targets: []generator.Target{{URL: parse(t, "http://"+address+"/")}}, Connections: 1, Timeout: time.Minute,
			})
			if err != nil {
				t.Fatal(err)
			}
			defer stop()
			allocations := testing.AllocsPerRun(1000, func() {
				if !send() {
					t.Fatal("a request was not answered")
				}
			})
			if allocations != 0 {
				t.Errorf("%v allocations a request, want 0", allocations)
			}
		})
	}
}

// answering is a server that allocates nothing either: it answers each read.
func answering(t *testing.T, response string) (address string) {
	t.Helper()
	return listen(t, func(c net.Conn) {
		buffer, answer := make([]byte, 4096), []byte(response)
		for {
			if _, err := c.Read(buffer); err != nil {
				return
			}
			if _, err := c.Write(answer); err != nil {
				return
			}
		}
	})
}
