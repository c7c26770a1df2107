package lua_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/keystone-gateway/keystone-gateway/lua"
)

// TestLastErrors: a tenant's last errors are kept, the newest first: twenty of them,
// fewer where they are long. What has been forgotten makes room.
func TestLastErrors(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	put(t, dir, "a.lua", `chi.use(function(request, response, next)
	local name, size = request.query:match("^(%w+)-(%d+)$")
	error(name .. ("x"):rep(size), 0)
end)`)
	scripts, err := lua.Load(options(dir, "a.lua"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(scripts.Close)
	for _, step := range []struct {
		size, count int
		least, most int // of those that are kept of them
	}{
		{10, 25, 20, 20},
		{10_000, 12, 6, 7}, // of each 4 KiB
		{10, 30, 20, 20},
	} {
		for i := range step.count {
			r := newRequest()
			r.request.Query = fmt.Appendf(nil, "?n%d-%d", i, step.size)
			if err := scripts.Serve(r, 0); err == nil {
				t.Fatal("a script that fails has not failed")
			}
		}
		kept := scripts.View().LastErrors
		n := 0
		for n < len(kept) && n < step.count && strings.HasPrefix(kept[n].Message, fmt.Sprintf("a.lua:3: n%dx", step.count-1-n)) {
			n++
		}
		if n < step.least || n > step.most || step.size > 1000 && len(kept) > step.most || len(kept) > 20 {
			t.Errorf("after %d errors of %d bytes, %d of them are kept, and %d in all; the newest is %.60q", step.count, step.size, n, len(kept), kept[0].Message)
		}
	}
}
