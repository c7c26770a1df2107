package proxy_test

import (
	"testing"
)

// TestSharedValuesSurviveReloads: what scripts have shared stays as long as their tenant
// has scripts, or policies; then it is gone.
func TestSharedValuesSurviveReloads(t *testing.T) {
	t.Parallel()
	const count = "chi_route('GET', '/n', function(request, response) response:status(200 + shared.incr('n', 1)) end)\n"
	const limited = "  - {name: a, domains: [a.example.com], services: [{url: 'http://127.0.0.1:1'}], policies: [{rate_limit: {rate: 1000/s, burst: 1000, by: client}}]}\n"
	const plain = "  - {name: a, domains: [a.example.com], services: [{url: 'http://127.0.0.1:1'}]}\n"
	w := newWorkshop(t, "c.yaml", "tenants:\n"+tenant("a", "a.lua")+tenant("b", "a.lua"), "scripts/a.lua", count)
	if err := w.start(); err != nil {
		t.Fatal(err)
	}
	for i, step := range []struct {
		config string // of the tenant a; "" is none
		script string
		want   int // status of the answer; 0 isn't asked for
	}{
		{tenant("a", "a.lua"), count, 201}, {tenant("a", "a.lua"), count + "\n", 202}, {tenant("a", "a.lua"), count, 203},
		{limited, count, 0}, {tenant("a", "a.lua"), count, 204},
		{plain, count, 0}, {tenant("a", "a.lua"), count, 201}, {"", count, 0}, {tenant("a", "a.lua"), count, 201},
	} {
		w.write("c.yaml", "tenants:\n"+step.config+tenant("b", "a.lua"), "scripts/a.lua", step.script)
		if result := w.server.Reload(); !result.OK {
			t.Fatalf("step %d: %+v", i, result)
		}
		if step.want == 0 {
			continue
		}
		if status, code := w.serve("a", "/n"); status != step.want {
			t.Errorf("step %d: got %d %s, want %d", i, status, code, step.want)
		}
	}
	if status, _ := w.serve("b", "/n"); status != 201 {
		t.Errorf("another tenant got %d", status)
	}
}
