package admin_test

import (
	"fmt"
	"testing"
)

// TestTargetActions: an operator takes a target out and has it back, and a reload
// forgets that.
func TestTargetActions(t *testing.T) {
	t.Parallel()
	g := start(t, fmt.Sprintf("tenants: [{name: shop, path_prefix: /, services: [{name: one, url: %q}, {name: two, url: %q}]}]", target(t), target(t)))
	standing := func() any {
		return at(t, g.ask("GET", "/tenants/shop").json(t, 200), "services", 0, "standing")
	}
	for _, c := range []struct{ action, want string }{{"drain", "drained"}, {"undrain", ""}, {"eject", "held"}, {"undrain", ""}, {"eject", "held"}} {
		if got := g.ask("POST", "/tenants/shop/targets/one/"+c.action).json(t, 200); got["standing"] != c.want || got["target"] != "one" || got["tenant"] != "shop" || standing() != c.want {
			t.Errorf("%s: got %v, want %q", c.action, got, c.want)
		}
	}
	if got := g.send("GET", g.public+"/").status; got != 200 {
		t.Errorf("the other target: %d", got)
	}
	if got := at(t, g.ask("GET", "/tenants/shop").json(t, 200), "services", 0, "requests"); got != 0.0 {
		t.Errorf("an ejected target had %v requests", got)
	}
	g.ask("POST", "/reload").json(t, 200)
	if got := standing(); got != "" {
		t.Errorf("after a reload it is %v", got)
	}
	if got := g.ask("POST", "/tenants/shop/targets/three/drain").json(t, 404); at(t, got, "error", "code") != "unknown_target" {
		t.Errorf("got %v", got)
	}
	if got := g.ask("POST", "/tenants/none/targets/one/drain").json(t, 404); at(t, got, "error", "code") != "unknown_tenant" {
		t.Errorf("got %v", got)
	}
}
