package proxy_test

import (
	"context"
	"fmt"
	"testing"
)

// timing is a script whose timer counts.
func timing(name string) string {
	return "local timer, metrics = require('keystone.timer'), require('keystone.metrics')\n" +
		"timer.every(1, function() metrics.add('" + name + "') end)\nchi_route('GET', '/', function(_, response) response:write('x') end)\n"
}

// counted is a counter of a tenant's scripts.
func (w *workshop) counted(tenant, name string) float64 {
	value, _ := w.scripts(tenant).Stats().Metrics.Get(name+"_total", "")
	return value
}

// TestTimersOfTheServer: they run while their scripts are in use: until a reload that
// changes them, until the tenant goes, until the process drains.
func TestTimersOfTheServer(t *testing.T) {
	t.Parallel()
	both := tenantsOf("a", "domains: [a.example.com], lua_routes: a", "b", "domains: [b.example.com], lua_routes: b")
	w := newWorkshop(t, "scripts/a.lua", timing("first"), "scripts/b.lua", timing("other"), "c.yaml", both)
	if err := w.start(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- w.server.Run(ctx) }()
	eventually(t, "both have run", func() bool { return w.counted("a", "first") > 0 && w.counted("b", "other") > 0 })
	w.write("scripts/a.lua", timing("second"))
	w.server.Reload()
	eventually(t, "the new one has run", func() bool { return w.counted("a", "second") > 0 })
	old, other := w.counted("a", "first"), w.counted("b", "other")
	eventually(t, "the new one, and the other tenant's, run on", func() bool {
		return w.counted("a", "second") > 1 && w.counted("b", "other") > other
	})
	if now := w.counted("a", "first"); now != old {
		t.Errorf("the old one has run %v times more", now-old)
	}
	b := w.scripts("b")
	w.write("c.yaml", tenantsOf("a", "domains: [a.example.com], lua_routes: a"))
	w.server.Reload()
	gone, _ := b.Stats().Metrics.Get("other_total", "")
	second := w.counted("a", "second")
	eventually(t, "the one that stays runs on", func() bool { return w.counted("a", "second") > second+1 })
	if now, _ := b.Stats().Metrics.Get("other_total", ""); now > gone+1 { // which was running
		t.Errorf("the one of the tenant that is gone has run %v times more", now-gone)
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// TestDrainEndsTimers: also one that would never end.
func TestDrainEndsTimers(t *testing.T) {
	t.Parallel()
	const endless = "require('keystone.timer').after(1, function() require('keystone.metrics').add('begun') while true do end end)\n"
	w := newWorkshop(t, "scripts/a.lua", endless, "c.yaml", tenantsOf("a", "domains: [a.example.com], lua_routes: a, "+
		fmt.Sprintf("lua: {timeout: 1h, total_timeout: 2h, max_instructions: %d}", int64(1)<<40)))
	w.run() // which ends with the test, and waits
	eventually(t, "it runs", func() bool { return w.counted("a", "begun") == 1 })
}
