package lua

import (
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"github.com/keystone-gateway/keystone-gateway/lua/vm"
	"github.com/keystone-gateway/keystone-gateway/test/until"
)

// TestBrokenScriptsKeepNoConnections that they have opened while they were loaded.
func TestBrokenScriptsKeepNoConnections(t *testing.T) {
	t.Parallel()
	var open atomic.Int64
	server := httptest.NewUnstartedServer(http.NotFoundHandler())
	server.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		switch state {
		case http.StateNew:
			open.Add(1)
		case http.StateClosed:
			open.Add(-1)
		default:
		}
	}
	server.Start()
	t.Cleanup(server.Close)
	for _, end := range []string{"error('no')", "chi.get('/', print)"} {
		o := scriptsOf(t, "a.lua=assert(http.get('"+server.URL+"')) "+end)
		o.Config.HTTP.Allow = []string{"127.0.0.0/8"}
		scripts, err := Load(*o)
		if (err == nil) == (end == "error('no')") {
			t.Fatal(err)
		}
		if err == nil {
			if open.Load() == 0 {
				t.Error("scripts in use keep no connection")
			}
			scripts.Close()
		}
		until.True(t, "the connection is closed", func() bool { return open.Load() == 0 })
	}
}

// TestWhoIsBlamed for a budget that is used up: the script that was running, not the one
// that has called it.
func TestWhoIsBlamed(t *testing.T) {
	t.Parallel()
	o := scriptsOf(t, "outer.lua=chi.use(function(request, response, next) next() end)", "inner.lua=chi.use(function(request, response, next) while true do end end)")
	o.Scripts, o.Config.MaxInstructions = []string{"outer.lua", "inner.lua"}, 1000
	scripts := loadedOf(t, o)
	sh, err := scripts.acquire(0)
	if err != nil {
		t.Fatal(err)
	}
	outcome := sh.serve(&asked{request: &Request{Method: []byte("GET"), Key: []byte("/"), Below: []byte("/")}, response: &Response{}})
	if outcome.blamed == nil || outcome.blamed.script.name != "inner.lua" || outcome.exhausted == nil || outcome.exhausted.Reason != vm.OutOfInstructions || outcome.forwarded {
		t.Errorf("got %+v", outcome)
	}
}

// asked is an Exchange of a request that is never sent on.
type asked struct {
	Exchange
	request  *Request
	response *Response
}

func (a *asked) Request() *Request         { return a.request }
func (a *asked) Response() *Response       { return a.response }
func (a *asked) HasPool() bool             { return true }
func (a *asked) Watch(func()) (end func()) { return func() {} }

// TestQuarantinesOfAllComeBack: when one is over, the first failure is enough for the
// next, whoever's it is, unless it has worked for somebody.
func TestQuarantinesOfAllComeBack(t *testing.T) {
	t.Parallel()
	for _, works := range []bool{false, true} {
		now := 100 * halfWindow
		s := &script{}
		for range 5 {
			s.exhausted(5, addressOf(1), now)
		}
		if now = s.all.until; works {
			s.succeeded(addressOf(3), false, func() int64 { return now })
		}
		if length, whole := s.exhausted(5, addressOf(2), now); whole == works || whole && length != 2*time.Second {
			t.Errorf("where it works for somebody, %v: %v, for all %v", works, length, whole)
		}
	}
}

// TestVMsMayHoldSoMuch as there may be, to the byte.
func TestVMsMayHoldSoMuch(t *testing.T) {
	t.Parallel()
	scripts := loadedOf(t, scriptsOf(t, "a.lua=KEPT = ('x'):rep(1048576) chi.get('/', print)"))
	sh, err := scripts.acquire(0)
	if err != nil {
		t.Fatal(err)
	}
	scripts.measure(sh, 1<<30)
	held := sh.held.Load()
	if scripts.measure(sh, held) {
		t.Error("one that holds as much as it may is replaced")
	}
	sh.held.Store(held - held/16)
	if scripts.measure(sh, held); sh.pace != 1 {
		t.Error("one that has grown by a sixteenth is measured later")
	}
	sh.held.Store(held - held/16 + 1)
	if scripts.measure(sh, held); sh.pace != 2 {
		t.Error("one that has hardly grown is measured soon")
	}
	sh.lock.Unlock()
	scripts.retiring.sh = sh
	if scripts.Shed("enough"); scripts.retiring.sh != nil || scripts.VMs() > 0 {
		t.Error("what was replaced, or what wasn't, is left")
	}
}

// TestManyFilesAreCounted: the first eight may name things without that being counted.
func TestManyFilesAreCounted(t *testing.T) {
	t.Parallel()
	files, script := []string{""}, "a.lua=chi.get('/', print) "
	for i := range 10 {
		files = append(files, fmt.Sprintf("shop/m%d.lua=return %d", i, i))
		script += fmt.Sprintf("require 'm%d' ", i)
	}
	files[0] = script
	scripts := loadedOf(t, scriptsOf(t, files...))
	for i := range 10 {
		if f := scripts.files[fmt.Sprintf("shop/m%d.lua", i)]; f == nil || f.counted != (i+1 >= uncounted) {
			t.Errorf("the file %d is %+v", i+1, f)
		}
	}
}

// TestJudgingEnds where the steps for it are used up.
func TestJudgingEnds(t *testing.T) {
	t.Parallel()
	scripts := loadedOf(t, scriptsOf(t, "a.lua=chi.get('/', function(request, response) response:write(request.nobody) end)"))
	sh, err := scripts.acquire(0)
	if err != nil {
		t.Fatal(err)
	}
	defer scripts.release(sh)
	handler := sh.declarer.routes[0].handler
	for steps, want := range map[int]int{0: 0, -1: 0, maxJudged: 1} {
		j := &judge{sh: sh, L: sh.main, steps: steps, seen: map[judged]bool{}}
		for range 2 {
			j.function(handler, true)
		}
		if len(j.list) != want || steps > 0 && (j.steps >= steps || j.steps < steps-maxFollowing) {
			t.Errorf("with %d steps, %d things are found, and %d are left", steps, len(j.list), j.steps)
		}
	}
}
