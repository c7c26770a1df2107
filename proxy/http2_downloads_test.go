package proxy_test

import (
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// TestHTTP2DownloadsOfGo: net/http's client takes many large responses at once over one
// connection, which it gives back window by window: it is no flood.
func TestHTTP2DownloadsOfGo(t *testing.T) {
	t.Parallel()
	const clients, each, size = 8, 40, 1 << 20
	body := strings.Repeat("0123456789abcdef", size/16)
	address := http2Target(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", strconv.Itoa(size))
		_, _ = io.WriteString(w, body)
	})
	server := serve(t, "listeners: [{address: '127.0.0.1:0', protocols: [h2c]}]\naccess_log: {enabled: false}\ntenants: [{name: t, path_prefix: /, services: [{url: \"h2c://"+address+"\"}]}]\n")
	transport := &http.Transport{Protocols: new(http.Protocols), MaxConnsPerHost: 1}
	transport.Protocols.SetUnencryptedHTTP2(true)
	t.Cleanup(transport.CloseIdleConnections)
	var all sync.WaitGroup
	for range clients {
		all.Go(func() {
			for i := range each {
				r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+server.Addr().String()+"/", nil)
				if err != nil {
					t.Error(err)
					return
				}
				answer, err := transport.RoundTrip(r)
				if err != nil {
					t.Errorf("no. %d: %v", i, err)
					return
				}
				n, err := io.Copy(io.Discard, answer.Body)
				_ = answer.Body.Close()
				if n != size || err != nil {
					t.Errorf("no. %d: %d bytes, %v", i, n, err)
					return
				}
			}
		})
	}
	all.Wait()
}
