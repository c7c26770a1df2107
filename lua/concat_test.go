package lua_test

import (
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"testing"

	"github.com/keystone-gateway/keystone-gateway/lua"
)

// TestConcatOfChangingTable has one request join a table that others fill: what
// is joined must have been charged.
func TestConcatOfChangingTable(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "a.lua"), []byte(`
local T = {}
for i = 1, 30000 do T[i] = "" end
local big = string.rep("x", 4096)
chi_middleware(function(request, response)
	if request.method == "JOIN" then
		response:header("X-Length", tostring(#table.concat(T)))
		return
	end
	local part = request.method == "FILL" and big or ""
	for i = 1, 3000 do T[i] = part end
end)`), 0o600); err != nil {
		t.Fatal(err)
	}
	const limit = 8 << 20 // less than 3,000 times 4 KiB
	o := options(dir, "a.lua")
	o.Config.MaxMemory, o.Config.QuarantineAfter, o.Shards = limit, 0, 1
	scripts, err := lua.Load(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(scripts.Close)
	ask := func(method string) *request {
		r := newRequest()
		r.fresh.Method = []byte(method)
		r.begin()
		_ = scripts.Serve(r, 0) // too much memory, or a table that has changed
		return r
	}
	var all sync.WaitGroup
	joined := make(chan struct{})
	all.Go(func() {
		defer close(joined)
		for range 30 {
			length, _ := strconv.Atoi(string(ask("JOIN").response.Header.Value([]byte("X-Length"))))
			if length > limit {
				t.Errorf("%d bytes were joined, expected at most %d", length, limit)
				return
			}
		}
	})
	all.Go(func() {
		for {
			select {
			case <-joined:
				return
			default:
				ask("FILL")
				ask("EMPTY")
			}
		}
	})
	all.Wait()
}
