package test

import (
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

const slowScript = `
chi_route("POST", "/lua/up", function(request, response) response:write(#request.body) end)
chi_route("GET", "/lua/down", function(request, response)
  for i = 1, 25 do response:write(string.rep("x", 1000000)) response:flush() end
end)`

// TestDripAfterBurst: what a client did at first doesn't count for ever: one
// that drips after a burst is dropped, by proxied requests and by scripts.
func TestDripAfterBurst(t *testing.T) {
	t.Parallel()
	const burst = 1 << 20
	big := strings.Repeat("x", 32<<20)
	upstream := serveFunc(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		_, _ = io.WriteString(w, big)
	})
	scripts := t.TempDir()
	if err := os.WriteFile(filepath.Join(scripts, "slow.lua"), []byte(slowScript), 0o600); err != nil {
		t.Fatal(err)
	}
	g := startGateway(t, "server:\n  min_rate: 20KB\n  timeouts: {body_idle: 3s, write_idle: 3s}\nlua_routing: {enabled: true, scripts_dir: "+scripts+"}\n"+
		simpleConfig(upstream, "    lua_routes: [slow.lua]", "    lua: {"+patientLua+"}"))
	for _, prefix := range []string{"", "/lua"} {
		up, down := dial(t, g.address), dial(t, g.address)
		_, _ = io.WriteString(up, "POST "+prefix+"/up HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nfff00\r\n"+strings.Repeat("x", 0xfff00)+"\r\n")
		_, _ = io.WriteString(down, "GET "+prefix+"/down HTTP/1.1\r\nHost: a\r\n\r\n")
		if _, err := io.CopyN(io.Discard, down, burst); err != nil {
			t.Fatal(err)
		}
		every(t, 100*time.Millisecond, func() {
			_, _ = io.WriteString(up, "1\r\nx\r\n")
			_, _ = down.Read(make([]byte, 100))
		})
		g.logged(t, `"path":"`+prefix+`/up"`, `"error":"body_timeout"`, `"status":408`)
		g.logged(t, `"path":"`+prefix+`/down"`, `"error":"client_`) // client_write_timeout, to scripts client_gone
	}
}
