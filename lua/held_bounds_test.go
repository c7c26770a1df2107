package lua

import (
	"errors"
	"net/netip"
	"strings"
	"testing"

	"github.com/keystone-gateway/keystone-gateway/lua/vm"
	"github.com/keystone-gateway/keystone-gateway/proxy/message"
	"github.com/keystone-gateway/keystone-gateway/proxy/settings"
	"github.com/keystone-gateway/keystone-gateway/tenants/fetch"
)

// TestMemoryOfScripts is what VMs hold, what requests have acquired, and code that is
// much.
func TestMemoryOfScripts(t *testing.T) {
	t.Parallel()
	scripts := loadedOf(t, scriptsOf(t, "a.lua=chi.get('/', print)"))
	sh := scripts.shards[0].Load()
	if sh.held.Load() != vmBytes {
		t.Errorf("a small VM holds %d bytes", sh.held.Load())
	}
	before := scripts.Memory()
	if before != sh.held.Load()+sh.lock.Allocated() {
		t.Errorf("%d bytes are held", before)
	}
	scripts.code = smallCode
	if got := scripts.Memory(); got != before {
		t.Errorf("with little code, %d bytes are held", got)
	}
	scripts.code = smallCode + 1
	if got := scripts.Memory(); got != before+smallCode+1 {
		t.Errorf("with much code, %d bytes are held", got)
	}
	scripts.code = 0
	sh.held.Add(100)
	sh.lock.Count(10)
	if !scripts.AcquireMemory(1000) || scripts.Memory() != before+1110 {
		t.Errorf("%d bytes are held, want 1110 more than %d", scripts.Memory(), before)
	}
	scripts.retiring.sh = sh
	if scripts.Memory() != 2*(before+110)+1000 {
		t.Error("a VM that was replaced and has requests in flight isn't counted")
	}
	scripts.retiring.sh = nil
	scripts.ReleaseMemory(1000)
	sh.intern([]byte("a new one"))
	sh.intern([]byte(strings.Repeat("x", maxInterned+1)))
	sh.declarer.bytes = 7
	sh.free = nil
	if n := sh.overhead(); n != 7+internedBytes*int64(len(sh.interned)) || len(sh.interned) != 1 {
		t.Errorf("a VM has %d bytes besides Lua's values, for %d strings", n, len(sh.interned))
	}
	c := sh.newCall()
	sh.free = []*call{c, c}
	if n := sh.overhead(); n != 7+internedBytes+2*(callBytes+16*int64(vm.StackSlots(c.L))) {
		t.Errorf("with two calls, it has %d bytes", n)
	}
	for i := range maxInternedCount + 1 {
		sh.intern([]byte{byte(i), byte(i >> 8), 'x'})
		if want := i + 2; i+1 < maxInternedCount && len(sh.interned) != want {
			t.Fatalf("%d strings are kept, want %d", len(sh.interned), want)
		}
	}
	if len(sh.interned) != 2 {
		t.Errorf("%d strings are kept of more than there may be", len(sh.interned))
	}
	scripts.Shed("enough")
	if scripts.Memory() != 0 || scripts.VMs() != 0 || len(sh.interned) != 0 || sh.free != nil || !sh.lock.Retired() {
		t.Errorf("%d bytes are held when all was dropped", scripts.Memory())
	}
}

// TestWhenVMsAreMeasured: after a quarter of what they may hold, or half of it if they
// don't grow.
func TestWhenVMsAreMeasured(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		limit, allocated, pace int64
		measured               bool
	}{
		{0, 1 << 40, 1, false}, {64 << 20, 16 << 20, 1, false}, {64 << 20, 16<<20 + 1, 1, true}, {64 << 20, 16<<20 + 1, 0, true}, {64 << 20, 16 << 20, 0, false}, {64 << 20, 32 << 20, 2, false}, {64 << 20, 32<<20 + 1, 2, true},
	} {
		o := scriptsOf(t, "a.lua=chi.get('/', print)")
		scripts := loadedOf(t, o)
		sh, err := scripts.acquire(0)
		if err != nil || sh.inFlight != 1 {
			t.Fatalf("%v, %d requests are in flight", err, sh.inFlight)
		}
		scripts.options.Config.MaxVMMemory = settings.Size(c.limit)
		sh.pace = c.pace
		sh.lock.Count(c.allocated - sh.lock.Allocated())
		scripts.release(sh)
		if measured := sh.lock.Allocated() < c.allocated; measured != c.measured || sh.inFlight != 0 {
			t.Errorf("%+v: measured %v, %d requests are in flight", c, measured, sh.inFlight)
		}
		if c.measured && (sh.pace != 2 || sh.held.Load() >= c.limit) {
			t.Errorf("%+v: it holds %d bytes, and is measured after %d quarters", c, sh.held.Load(), sh.pace)
		}
	}
}

// TestVMsThatHoldTooMuch are replaced, as are those that have been charged very much; what
// they hold says when they are measured again.
func TestVMsThatHoldTooMuch(t *testing.T) {
	t.Parallel()
	const limit = 4 << 20
	for _, c := range []struct {
		kept     string
		was      int64 // what it held when it was measured last
		total    int64
		replaced bool
		errors   int
		pace     int64
	}{
		{"1", 0, 0, false, 0, 2}, {"('x'):rep(1048576)", 0, 0, false, 0, 1}, {"('x'):rep(1048576)", 1 << 20, 0, false, 0, 2}, {"('x'):rep(3145728) .. 'x'", 0, 0, false, 0, 1},
		{"1", 0, lifetime * (limit + 1), true, 0, 2}, {"1", 0, lifetime * (limit + 1) / 2, false, 0, 2},
	} {
		o := scriptsOf(t, "a.lua=KEPT = "+c.kept+" chi.get('/', print)")
		o.Config.MaxVMMemory = limit * 4
		scripts := loadedOf(t, o)
		sh, err := scripts.acquire(0)
		if err != nil {
			t.Fatal(err)
		}
		sh.held.Store(c.was)
		sh.lock.Count(c.total - sh.lock.Total())
		replaced := scripts.measure(sh, limit)
		sh.lock.Unlock()
		if replaced != c.replaced || sh.replaced != c.replaced || sh.pace != c.pace || len(scripts.View().LastErrors) != c.errors || (scripts.stats.Recycled.Load() == 1) != c.replaced || (scripts.VMs() == 0) != c.replaced {
			t.Errorf("%+v: replaced %v, measured again after %d quarters, %d errors, %d recycled", c, replaced, sh.pace, len(scripts.View().LastErrors), scripts.stats.Recycled.Load())
		}
		if scripts.replace(sh) == c.replaced {
			t.Errorf("%+v: it is replaced twice, or not at all", c)
		}
	}
	o := scriptsOf(t, "a.lua=KEPT = ('x'):rep(2097152) chi.get('/', print)")
	scripts := loadedOf(t, o)
	sh, err := scripts.acquire(0)
	if err != nil {
		t.Fatal(err)
	}
	if !scripts.measure(sh, 1<<20) {
		t.Error("one that holds too much isn't replaced")
	}
	sh.lock.Unlock()
	if last := scripts.View().LastErrors; len(last) != 1 || last[0].Kind != "vm_memory" || last[0].Message != "the globals of a VM hold more than lua.max_vm_memory, 1048576 bytes: it is replaced by a fresh one" {
		t.Errorf("kept is %+v", last)
	}
}

// TestWhoWaitsForTheFirstVM: so many requests may, and those beyond are told.
func TestWhoWaitsForTheFirstVM(t *testing.T) {
	t.Parallel()
	o := scriptsOf(t, "a.lua=chi.get('/', print)")
	o.Lazy, o.Config.MaxWaiting = true, 3
	scripts := loadedOf(t, o)
	if scripts.VMs() != 0 {
		t.Fatal("there is a VM")
	}
	scripts.queued.Store(3)
	if _, err := scripts.first(); !errors.Is(err, ErrBusy) || scripts.queued.Load() != 3 {
		t.Errorf("one more than may: %v, %d wait", err, scripts.queued.Load())
	}
	scripts.queued.Store(2)
	sh, err := scripts.first()
	if err != nil || scripts.queued.Load() != 2 || sh.lock.TryLock() {
		t.Fatalf("the last that may: %v, %d wait", err, scripts.queued.Load())
	}
	sh.lock.Unlock()
	m, err := scripts.awaited()
	if err != nil || m.sh != sh {
		t.Errorf("another VM is made though there is one: %v", err)
	}
	<-m.done
	for i := range 3 {
		if got, err := scripts.acquire(uint64(i)); err != nil || got != sh || sh.inFlight != 1 {
			t.Errorf("got %v, %d requests are in flight", err, sh.inFlight)
		}
		scripts.release(sh)
	}
	since, why := scripts.LoadError()
	if !since.IsZero() || why != nil {
		t.Errorf("since %v it can't be loaded: %v", since, why)
	}
	scripts.maker.failures, scripts.maker.after, scripts.maker.err = 1, scripts.now()+5, errors.New("boom")
	for left, early := range map[int64]bool{5: true, 1: true, 0: false, -1: false} {
		scripts.maker.after = scripts.now() + left
		err := scripts.maker.tooEarly(scripts.now)
		unavailable, ok := errors.AsType[*UnavailableError](err)
		if ok != early || ok && (int64(unavailable.Left) != left || unavailable.Err != scripts.maker.err) {
			t.Errorf("with %d ns left: %v", left, err)
		}
	}
}

// TestPlacesOfConnections: a connection of a script takes memory, and a place if there is a
// bound, and gives back both.
func TestPlacesOfConnections(t *testing.T) {
	t.Parallel()
	taken, refuse := 0, error(nil)
	for _, bounded := range []bool{false, true} {
		o := scriptsOf(t, "a.lua=chi.get('/', print)")
		o.Config.MaxVMMemory = 2*connectionBytes + 10
		if bounded {
			o.Places = func(tenant string) (func(), error) {
				if tenant != "shop" || refuse != nil {
					return nil, refuse
				}
				taken++
				return func() { taken-- }, nil
			}
		}
		scripts := loadedOf(t, o)
		one, err := scripts.place()
		if err != nil || scripts.ledger.Used() != connectionBytes || bounded && taken != 1 {
			t.Errorf("bounded %v: %v, %d bytes, %d places", bounded, err, scripts.ledger.Used(), taken)
		}
		two, err := scripts.place()
		if err != nil {
			t.Error(err)
		}
		if _, err := scripts.place(); err == nil || err.Error() != "lua.max_vm_memory 98314 is used up by the requests in flight: there is no memory for a connection" || scripts.ledger.Used() != 2*connectionBytes {
			t.Errorf("the third: %v", err)
		}
		one()
		if two(); scripts.ledger.Used() != 0 || taken != 0 {
			t.Errorf("bounded %v: %d bytes and %d places aren't given back", bounded, scripts.ledger.Used(), taken)
		}
		if refuse = errors.New("there is none"); bounded {
			if _, err := scripts.place(); err != refuse || scripts.ledger.Used() != 0 {
				t.Errorf("refused: %v, %d bytes are taken", err, scripts.ledger.Used())
			}
		}
		refuse = nil
	}
}

// TestWhatScriptsMayReach: entries of lua.http.allow and lua.http.deny, as they are judged by.
func TestWhatScriptsMayReach(t *testing.T) {
	t.Parallel()
	prefix := netip.MustParsePrefix
	for text, want := range map[string]fetch.Permission{
		"10.0.0.0/8": {Network: prefix("10.0.0.0/8")}, "127.0.0.1": {Network: prefix("127.0.0.1/32")}, "127.0.0.1:9000": {Network: prefix("127.0.0.1/32"), Port: 9000},
		"10.0.0.0/8:80": {Network: prefix("10.0.0.0/8"), Port: 80}, "::1": {Network: prefix("::1/128")}, "[::1]:9000": {Network: prefix("::1/128"), Port: 9000}, "[fd00::/8]:1": {Network: prefix("fd00::/8"), Port: 1},
		"LocalHost.": {Name: "localhost"}, "a-b_c.1:65535": {Name: "a-b_c.1", Port: 65535}, "z": {Name: "z"}, "a09.example": {Name: "a09.example"},
	} {
		got, ok := permission(text)
		if !ok || got != want {
			t.Errorf("%s: %+v, %v, want %+v", text, got, ok, want)
		}
		if list := permissions([]string{"", text, "/"}); len(list) != 1 || list[0] != want {
			t.Errorf("%s in a list: %+v", text, list)
		}
	}
	if list := networks([]string{"10.0.0.0/8", "nonsense", "::1"}); len(list) != 2 || list[0] != prefix("10.0.0.0/8") || list[1] != prefix("::1/128") {
		t.Errorf("networks: %v", list)
	}
}

// TestResponsesAreReset: what is kept of a response is its memory, unless it is much.
func TestResponsesAreReset(t *testing.T) {
	t.Parallel()
	for size, kept := range map[int]bool{1: true, 64 << 10: true, 64<<10 + 1: false} {
		r := Response{Status: 5, Target: true, Begun: true, Fault: true, Body: make([]byte, size)}
		r.Local = append(r.Local, make(message.Header, 3)...)
		r.Local[0].Name = []byte("x")
		local := r.Local
		r.Reset()
		if r.Status != 0 || r.Target || r.Begun || r.Fault || len(r.Body) != 0 || len(r.Local) != 0 || r.Header != &r.Local || local[0].Name != nil || cap(r.Local) < 3 || (cap(r.Body) > 0) != kept {
			t.Errorf("of %d bytes, %d are kept: %+v", size, cap(r.Body), r)
		}
	}
}
