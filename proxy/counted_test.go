package proxy_test

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/keystone-gateway/keystone-gateway/proxy"
	"github.com/keystone-gateway/keystone-gateway/tenants/policy"
)

// TestWhatIsShown: what the admin API sees of a server: tenants, listeners, counters.
func TestWhatIsShown(t *testing.T) {
	t.Parallel()
	address := answering(t, helloResponse)
	w := newWorkshop(t, "scripts/a.lua", hello, "scripts/bad.lua", "error('no')", "c.yaml", "tenants:\n"+
		"- {name: plain, domains: [plain.example.com], path_prefix: /p, policies: [{ip: {allow: 127.0.0.1}}], services: [{url: 'http://"+address+"'}],\n"+
		"   routes: [{path: [/r, /r/], policies: [{headers: {response: {set: {A: b}}}}], respond: {}}]}\n"+
		"- {name: scripted, domains: [scripted.example.com], lua_routes: [a.lua]}\n- {name: broken, path_prefix: /b, lua_routes: [bad.lua]}\n")
	w.replace("c.yaml", "server: {address: '127.0.0.1:0'}", "listeners: [{name: web, address: '127.0.0.1:0'}, {address: '127.0.0.1:0', max_connections: 1}]")
	w.run()
	base := w.server.Counters()
	conn := dialAt(t, w.server, 1)
	if response := request(t, conn, "GET /p HTTP/1.1\r\nHost: plain.example.com\r\n\r\n"); response.StatusCode != 200 {
		t.Errorf("got %s", response.Status)
	}
	_, _ = io.ReadAll(dialAt(t, w.server, 1)) // one too many
	now := w.server.Counters()
	if got := fmt.Sprint(now.InFlight, now.Tunnels, now.Connections-base.Connections, now.Accepted-base.Accepted, now.Refused-base.Refused, now.Panics, now.Handshakes, now.NoHeaders, now.LogsDropped, now.LogDropped, now.Unrouted != nil); got != "0 0 1 1 1 0 0 0 0 0 true" {
		t.Errorf("counted is %s", got)
	}
	var listeners []string
	for _, l := range w.server.Listeners() {
		called := l.Called()
		if called == l.Addr.String() {
			called = "its address"
		}
		listeners = append(listeners, fmt.Sprint(called, " ", l.Config.Name, " ", l.Leaving, " ", l.Open, " ", l.Accepted, " ", l.Refused, " ", l.Handshakes))
	}
	if want := []string{"web web false 0 0 0 0", "its address  false 1 1 1 0"}; !slices.Equal(listeners, want) {
		t.Errorf("the listeners are %q, want %q", listeners, want)
	}
	view := w.server.Snapshot()
	if view.Generation != 1 || view.Made.IsZero() || view.Config != w.server.Config() || len(view.Tenants) != 3 {
		t.Errorf("the snapshot is %+v", view)
	}
	var tenants []string
	seen := 0
	for v := range w.server.Tenants() {
		kinds := []string{}
		if v.Policies != nil {
			v.Policies.Kinds(func(name string, _ *policy.Counter) { kinds = append(kinds, name) })
		}
		slices.Sort(kinds)
		tenants = append(tenants, fmt.Sprint(v.Name, " ", v.Routing, " ", v.Domains, v.Prefix, v.Scripts, " ", v.Lua != nil, v.Pool != nil, v.Stats != nil, v.Problem != nil, v.Refused(), v.Healthy(), " ", strings.Join(kinds, "+")))
	}
	if want := []string{"plain hybrid [plain.example.com]/p[] false true true false false true headers+ip", "scripted host-based [scripted.example.com][a.lua] true false true false false true ", "broken path-based []/b[bad.lua] false false true true true true "}; !slices.Equal(tenants, want) {
		t.Errorf("the tenants are %q\nwant %q", tenants, want)
	}
	for range w.server.Tenants() {
		seen++
		break
	}
	if seen != 1 || w.server.Compatible() || w.server.Draining() || !w.server.Alive() || w.server.LastReload().Generation != 1 || w.server.Certificates() != nil || w.server.Sockets() != nil || len(w.server.BrokenFiles()) != 0 {
		t.Errorf("the server says of itself: %v %v %v %+v", w.server.Compatible(), w.server.Draining(), w.server.Alive(), w.server.LastReload())
	}
	if memory := w.server.Memory(); memory.Ceiling != 0 || memory.Held <= 0 || len(memory.Shedding) > 0 || memory.Sheds != 0 || memory.Cut != 0 {
		t.Errorf("held is %+v", memory)
	}
	if got := w.server.Warnings(); len(got) != 0 {
		t.Errorf("warned is %q", got)
	}
	if files := proxy.ScriptFiles(w.dir+"/c.yaml", w.server.Config()); len(files) != 1 || len(files["scripted"]) != 1 || files["scripted"][0] != w.dir+"/scripts/a.lua" {
		t.Errorf("the files are %v", files)
	}
}
