package lua_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/keystone-gateway/keystone-gateway/lua"
	"github.com/keystone-gateway/keystone-gateway/test/measure"
)

// heldClock is one on which all sleep until release, or the end of their
// context.
type heldClock struct {
	systemClock
	sleepers *atomic.Int32
	release  chan struct{}
}

func (c heldClock) Sleep(ctx context.Context, _ time.Duration) {
	c.sleepers.Add(1)
	defer c.sleepers.Add(-1)
	select {
	case <-ctx.Done():
	case <-c.release:
	}
}

// loaded is what became of a load.
type loaded struct {
	scripts *lua.Scripts
	err     error
}

// loadMany loads scripts of as many tenants at once.
func loadMany(o lua.Options, many int) chan loaded {
	results := make(chan loaded, many)
	for i := range many {
		o.Tenant = fmt.Sprint("t", i)
		go func(o lua.Options) {
			scripts, err := lua.Load(o)
			results <- loaded{scripts, err}
		}(o)
	}
	return results
}

// refusedMemory demands that an error says that memory was short, and that this
// may pass.
func refusedMemory(t *testing.T, err error) {
	t.Helper()
	list, ok := errors.AsType[lua.BrokenScripts](err)
	if !ok || !list.Passing() || !list.Memory() || !strings.Contains(err.Error(), "memory is short, the load is given up") || !strings.HasPrefix(err.Error(), "a.lua:") {
		t.Errorf("got %v", err)
	}
}

// TestLoadsTogether demands that what loads hold together is bounded, whatever
// they wait for, that those that hold most are given up for it, and that small
// ones are loaded all the same.
func TestLoadsTogether(t *testing.T) {
	if !measure.Alone(t) {
		return
	}
	const many, ceiling = 24, 64 * mib
	for name, fill := range map[string]string{
		"strings": `for i = 1, 8 do KEPT[i] = ("x"):rep(1048576 + i) end`,
		"tables":  `for i = 1, 10000 do KEPT[i] = {i} end`,
		"modules": `for i = 1, 8 do require("m" .. i) end`,
	} {
		t.Run(name, func(t *testing.T) {
			before := measure.Heap()
			dir := t.TempDir()
			put(t, dir, "a.lua", "KEPT = {}\n"+fill+"\nrequire('keystone.time').sleep(1)\nchi.get('/', print)")
			for i := range many {
				for k := range 8 {
					put(t, dir, fmt.Sprintf("t%d/m%d.lua", i, k+1), "if NEVER then "+strings.Repeat(fmt.Sprintf("f%d()\n", i), 5000)+"end")
				}
			}
			put(t, dir, "light.lua", typical)
			o := options(dir, "a.lua")
			clock := heldClock{sleepers: new(atomic.Int32), release: make(chan struct{})}
			o.Clock, o.Config.MaxMemoryRate, o.Config.MaxInstructions = clock, 0, 1<<40
			o.Loads = lua.NewLoads(func() lua.Budget { return lua.Budget{Ceiling: ceiling} })
			results := loadMany(o, many)
			refused := 0
			for int(clock.sleepers.Load())+refused < many {
				select {
				case r := <-results:
					refusedMemory(t, r.err)
					refused++
				default:
					// A charge that is refused is counted, though not held, until its load ends.
					if held := o.Loads.Held(); held > ceiling+many*mib {
						t.Fatalf("%d bytes are held by loads, of %d", held, ceiling)
					}
				}
			}
			if refused == 0 || refused == many {
				t.Errorf("%d of %d loads were given up, %d bytes are held", refused, many, o.Loads.Held())
			}
			if grown := measure.Heap() - before; grown > ceiling {
				t.Errorf("%d bytes are held by loads that wait", grown)
			}
			o.Tenant, o.Scripts = "light", []string{"light.lua"}
			scripts, err := lua.Load(o)
			if err != nil {
				t.Fatal(err)
			}
			scripts.Close()
			close(clock.release)
			good := 0
			for ; refused < many; refused++ {
				if r := <-results; r.err != nil {
					refusedMemory(t, r.err) // it needed a little more
				} else {
					good++
					r.scripts.Close()
				}
			}
			if good == 0 {
				t.Error("none was loaded")
			}
			// What was given up may still be on its way out.
			most := int64(8 * mib)
			if name == "modules" {
				most += many * mib * 5 / 4 // of compiled code, in the cache
			}
			for deadline := time.Now().Add(time.Minute); ; time.Sleep(time.Millisecond) {
				held, grown := o.Loads.Held(), int64(0)
				if held == 0 {
					grown = measure.Heap() - before
				}
				if held == 0 && grown <= most {
					break
				}
				if time.Now().After(deadline) {
					t.Fatalf("%d bytes are counted and %d held when nothing is loaded", held, grown)
				}
			}
		})
	}
}

// TestLoadsAreKept demands that what many loads leave behind is bounded too,
// that a VM that is made for a request counts, and that what is in use leaves
// loads less.
func TestLoadsAreKept(t *testing.T) {
	if !measure.Alone(t) {
		return
	}
	const many, ceiling = 24, 64 * mib
	before := measure.Heap()
	dir := t.TempDir()
	put(t, dir, "a.lua", "KEPT = {}\nfor i = 1, 8 do KEPT[i] = ('x'):rep(1048576 + i) end\n"+typical)
	o := options(dir, "a.lua")
	o.Config.MaxMemoryRate = 0
	var all []*lua.Scripts
	inUse := func() (held int64) {
		for _, scripts := range all {
			held += scripts.Memory()
		}
		return held
	}
	o.Loads = lua.NewLoads(func() lua.Budget { return lua.Budget{Ceiling: ceiling, Held: inUse()} })
	for range many {
		scripts, err := lua.Load(o)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(scripts.Close)
		scripts.InUse()
		all = append(all, scripts)
	}
	if held := inUse(); held < ceiling/2 || held > ceiling*3/4 {
		t.Errorf("%d bytes are kept, of %d", held, ceiling)
	}
	if grown := measure.Heap() - before; grown > ceiling {
		t.Errorf("%d bytes are held", grown)
	}
	served, short := 0, 0
	for _, scripts := range all {
		unavailable, ok := errors.AsType[*lua.UnavailableError](scripts.Serve(newRequest(), 0))
		switch {
		case !ok:
			served++
		case unavailable.Memory():
			short++
		default:
			t.Error(unavailable)
		}
	}
	if held := inUse(); held > ceiling+ceiling/8 || served < 5 || short < many/2 {
		t.Errorf("%d bytes are kept, of %d; %d requests were served, for %d memory was short", held, ceiling, served, short)
	}
	for _, scripts := range all[:many/2] {
		scripts.Shed("test")
	}
	if err := all[0].Serve(newRequest(), 0); err != nil {
		t.Errorf("when memory is there again: %v", err)
	}
}

// TestLoadsMakeWay demands that loads that take long let others go first, and
// that this time doesn't count.
func TestLoadsMakeWay(t *testing.T) {
	t.Parallel()
	for name, script := range map[string]string{
		"long":  "for i = 1, 3e6 do end",
		"large": "X = ('x'):rep(2000000) for i = 1, 100 do X = X end",
	} {
		dir := t.TempDir()
		put(t, dir, "a.lua", script+"\n"+typical)
		o := options(dir, "a.lua")
		o.Config.MaxInstructions = 1 << 40
		o.Config.LoadTimeout = 30e9
		var levels []int
		o.Yield = func(ctx context.Context, level int) {
			if deadline := ctx.Err(); deadline != nil {
				t.Error(deadline)
			}
			levels = append(levels, level)
		}
		scripts, err := lua.Load(o)
		if err != nil {
			t.Fatal(err)
		}
		scripts.Close()
		if len(levels) == 0 || len(levels) > 4 || levels[0] != 1 {
			t.Errorf("%s: it made way at %d", name, levels)
		}
	}
}
