package streams_test

import (
	"net/http"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/keystone-gateway/keystone-gateway/test/until"
)

// TestNothingLeft: after clients that end well, that give up and that are cut, a gateway
// that stops leaves no goroutine behind, and its port.
func TestNothingLeft(t *testing.T) {
	before := runtime.NumGoroutine()
	t.Run("gateway", func(t *testing.T) {
		entered, gone := make(chan struct{}, 100), make(chan struct{}, 100)
		g := serve(t, "server: {drain_timeout: 200ms}", "", waiting(entered, gone))
		var wait sync.WaitGroup
		for range 4 {
			wait.Go(func() {
				c := client(t)
				for range 20 {
					response, err := c.Do(g.request(http.MethodPost, "/", strings.NewReader("hello")))
					if got := text(t, response, err); got != `HTTP/3.0 200 POST a.example / 5 []` {
						t.Error(got)
					}
				}
			})
		}
		wait.Wait()
		for range 8 {
			h := connect(t, g)
			s := h.send(true, head("GET", "/wait"))
			<-entered
			s.CancelRead(0x10c)
			<-gone
			h.send(true, head("GET", "/wait")) // which the end of all cuts
			<-entered
		}
		g.stop()
		<-g.done
	})
	until.True(t, "no goroutine is left", func() bool {
		http.DefaultClient.CloseIdleConnections()
		return runtime.NumGoroutine() <= before
	})
}
