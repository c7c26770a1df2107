package proxy_test

import (
	"runtime"
	"sync"
	"testing"

	"github.com/keystone-gateway/keystone-gateway/test/measure"
)

// TestReloadReturnsProcessors reloads several servers at once; Go must have as
// many processors afterwards as it had before.
func TestReloadReturnsProcessors(t *testing.T) {
	if !measure.Alone(t) { // the processors are those of its process
		return
	}
	target := answering(t, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
	before := runtime.GOMAXPROCS(0)
	var reloads sync.WaitGroup
	for range 4 {
		server := start(t, "tenants:\n  - {name: a, domains: [example.com], services: [{url: \"http://"+target+"\"}]}\n")
		reloads.Go(func() {
			for range 20 {
				if result := server.Reload(); !result.OK {
					t.Error(result.Errors)
				}
			}
		})
	}
	reloads.Wait()
	if after := runtime.GOMAXPROCS(0); after != before {
		t.Errorf("there are %d processors, were %d", after, before)
	}
}
