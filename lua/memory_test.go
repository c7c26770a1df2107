package lua_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/keystone-gateway/keystone-gateway/lua"
	"github.com/keystone-gateway/keystone-gateway/proxy/settings"
	"github.com/keystone-gateway/keystone-gateway/test/measure"
)

const mib = 1 << 20

// hoarder keeps megabytes in an upvalue and in a global, and then waits for
// the pool if it is asked to.
const hoarder = `
local kept = {}
KEPT = kept
chi_middleware(function(request, response, next)
  local own = "x"
  for i = 1, 16 do kept[#kept + 1] = ("x"):rep(1048576 + #kept) end
  if request:header("X-Kind") == "wait" then next() end
  response:header("X-Own", own .. #kept)
end)`

func hoard(t *testing.T, limit int64) *lua.Scripts {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "a.lua"), []byte(hoarder), 0o600); err != nil {
		t.Fatal(err)
	}
	o := options(dir, "a.lua")
	o.Shards = 1
	o.Config.MaxVMMemory = settings.Size(limit)
	o.Config.MaxMemoryRate = 0
	o.Config.Timeout, o.Config.TotalTimeout = settings.Duration(time.Hour), 0
	scripts, err := lua.Load(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(scripts.Close)
	return scripts
}

// waiting serves a request until it waits for the pool. The function lets it
// go on, and returns its error.
func waiting(scripts *lua.Scripts) (finish func() error) {
	arrived, leave, done := make(chan struct{}), make(chan struct{}), make(chan error, 1)
	x := newSlow(1, "wait")
	x.forward = func(*slow) error {
		close(arrived)
		<-leave
		x.response.Header = &x.target
		return nil
	}
	go func() { done <- scripts.Serve(x, 0) }()
	select {
	case <-arrived:
	case err := <-done:
		done <- err
	}
	return func() error {
		close(leave)
		return <-done
	}
}

// TestShed demands that shedding frees what VMs hold, although a request on
// one goes on, that this request ends, and that the next one is served.
func TestShed(t *testing.T) {
	if !measure.Alone(t) {
		return
	}
	before := measure.Heap()
	scripts := hoard(t, 1<<30)
	finish := waiting(scripts)
	if err := scripts.Serve(newSlow(2, ""), 0); err != nil {
		t.Fatal(err)
	}
	if n := scripts.Memory(); n < 32*mib {
		t.Errorf("%d bytes are attributed to the tenant, expected those of 32 MiB", n)
	}
	scripts.Shed("the process is short of memory")
	if grown := measure.Heap() - before; grown > 6*mib {
		t.Errorf("%d bytes are left after shedding", grown)
	}
	err := finish()
	failed, ok := errors.AsType[*lua.Error](err)
	if !ok || failed.Kind != lua.KindShed || !failed.Limited() {
		t.Errorf("the request in flight: %v, expected an error of the kind %q", err, lua.KindShed)
	}
	if n := scripts.Memory(); n > 6*mib {
		t.Errorf("%d bytes are attributed to the tenant after shedding", n)
	}
	if err := scripts.Serve(newSlow(3, ""), 0); err != nil {
		t.Errorf("the next request: %v", err)
	}
}

// TestFailedModulesCount demands that a VM is replaced for what it keeps of the
// modules that requests make, and that fail: names as well as errors.
func TestFailedModulesCount(t *testing.T) {
	dir := t.TempDir()
	put(t, dir, "a.lua", `
local made = 0
chi_middleware(function(request, response, next)
	for _ = 1, 400 do
		made = made + 1
		local name = ("n"):rep(180) .. made
		package.preload[name] = function() error(nil) end
		pcall(require, name)
		package.preload[name] = nil
	end
	next()
end)`)
	o := options(dir, "a.lua")
	o.Config.MaxVMMemory, o.Config.MaxMemoryRate = 4*mib, 0
	scripts, err := lua.Load(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(scripts.Close)
	for range 50 { // 20,000 names
		if err := scripts.Serve(newSlow(1, ""), 0); err != nil {
			t.Fatal(err)
		}
	}
	if n := scripts.Stats().Recycled.Load(); n == 0 {
		t.Error("no VM was replaced")
	}
}

// TestReplacedVMs demands that VMs which were replaced for what they hold, and
// have requests in flight, don't add up.
func TestReplacedVMs(t *testing.T) {
	if !measure.Alone(t) {
		return
	}
	before := measure.Heap()
	scripts := hoard(t, 52*mib)
	var last func() error
	for i := range 6 {
		finish := waiting(scripts)
		for range 3 { // the third is too much
			if err := scripts.Serve(newSlow(2, ""), 0); err != nil {
				t.Fatal(err)
			}
		}
		if last != nil {
			if err := last(); err == nil {
				t.Errorf("VM %d: a request in flight on a VM before the last one went on", i)
			}
		}
		last = finish
	}
	if n := scripts.Stats().Recycled.Load(); n < 6 {
		t.Errorf("%d VMs were replaced, expected 6", n)
	}
	if grown := measure.Heap() - before; grown > 80*mib {
		t.Errorf("%d bytes are held", grown)
	}
	if n := scripts.Memory(); n < 32*mib {
		t.Errorf("%d bytes are attributed to the tenant: the VM that was replaced is not in it", n)
	}
	if err := last(); err != nil {
		t.Errorf("the request on the VM that was replaced last: %v", err)
	}
	if n := scripts.Memory(); n > 6*mib {
		t.Errorf("%d bytes are attributed to the tenant, although the VM that was replaced has no requests", n)
	}
}

func TestAcquireMemory(t *testing.T) {
	scripts := hoard(t, 24*mib)
	was := scripts.Memory()
	if !scripts.AcquireMemory(20 * mib) {
		t.Fatal("20 MiB of 24 are refused")
	}
	if scripts.AcquireMemory(5 * mib) {
		t.Error("25 MiB of 24 are allowed")
	}
	if n := scripts.Memory() - was; n != 20*mib {
		t.Errorf("%d bytes more are attributed, expected 20 MiB", n)
	}
	var failed *lua.Error
	if err := scripts.Serve(newSlow(1, ""), 0); !errors.As(err, &failed) || failed.Kind != "vm_memory" {
		t.Errorf("a request that needs 16 MiB of the other 4: %v", err)
	}
	scripts.ReleaseMemory(20 * mib)
	if err := scripts.Serve(newSlow(2, ""), 0); err != nil {
		t.Error(err)
	}
}

// TestDeclarationsAreBounded declares little in the source and much in memory.
func TestDeclarationsAreBounded(t *testing.T) {
	if !measure.Alone(t) {
		return
	}
	const f = `local function f(request, response, next) next() end local list = {} for i = 1, 200 do list[i] = f end `
	for source, want := range map[string]string{
		f + `chi_group(function() for i = 1, 1000 do chi_middleware(unpack(list)) end for i = 1, 990 do chi_group(function() chi_middleware(f) end) end end)`: "too many middlewares",
		f + `chi_group(function() for i = 1, 9 do chi_middleware(unpack(list)) end for i = 1, 100 do chi_group(function() chi_middleware(f) end) end end)`:    "in all their chains",
		f + `local function nest(n) chi_group(function() chi_middleware(f, f, f, f) if n > 0 then nest(n - 1) end end) end for i = 1, 4 do nest(110) end`:     "in all their chains",
		f + `local with = chi.with for i = 1, 2001 do with(f) end`:                                                                       "too many",
		f + `for i = 1, 20000 do chi_route("GET", "/" .. i .. "/" .. ("x"):rep(4000), f) end`:                                            "lua.max_memory",
		f + `chi_group(function() for i = 1, 9 do chi_middleware(unpack(list)) end for i = 1, 900 do chi_group(function() end) end end)`: "", // shared
	} {
		before := measure.Heap()
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "a.lua"), []byte(source), 0o600); err != nil {
			t.Fatal(err)
		}
		scripts, err := lua.Load(options(dir, "a.lua"))
		if err == nil {
			scripts.Close()
		}
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%s\n got %v\nwant %s", source, err, want)
		}
		if grown := measure.Heap() - before; grown > 16*mib {
			t.Errorf("%s\n%d bytes are held", source, grown)
		}
		runtime.KeepAlive(scripts)
	}
}

// TestFieldsAreCharged demands that fields with one value count each: heads are
// made of them.
func TestFieldsAreCharged(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "a.lua"), []byte(`
local value = ("x"):rep(16000)
chi_middleware(function(request, response, next)
  local message = request:header("X-Kind") == "wait" and request or response
  for i = 1, 150 do message:add_header("X-" .. i, value) end
end)`), 0o600); err != nil {
		t.Fatal(err)
	}
	o := options(dir, "a.lua")
	o.Config.MaxMemory = 2 << 20
	scripts, err := lua.Load(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(scripts.Close)
	for _, kind := range []string{"wait", "none"} {
		var failed *lua.Error
		if err := scripts.Serve(newSlow(1, kind), 0); !errors.As(err, &failed) || failed.Kind != "memory" {
			t.Errorf("%s: %v", kind, err)
		}
	}
}

// TestNamesOfManyFiles demands that a table can't grow uncounted by what each of
// many modules assigns to it.
func TestNamesOfManyFiles(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	o := options(dir, "a.lua")
	if err := os.Mkdir(filepath.Join(dir, o.Tenant), 0o700); err != nil {
		t.Fatal(err)
	}
	const modules = 100
	for i := range modules {
		write(fmt.Sprintf("%s/m%d.lua", o.Tenant, i), fmt.Sprintf("return function(t) t.a%[1]d, t.b%[1]d, t.c%[1]d, t.d%[1]d = 1, 1, 1, 1 end", i))
	}
	write("a.lua", fmt.Sprintf(`
local fill = {} for i = 1, %d do fill[i] = require("m" .. i - 1) end
chi_middleware(function()
  local all = {}
  for i = 1, 20 do all[i] = {} for k = 1, #fill do fill[k](all[i]) end end
end)`, modules))
	o.Config.MaxMemory = 1 << 20 // they take 1.4 MB
	scripts, err := lua.Load(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(scripts.Close)
	if !scripts.Current(&o) {
		t.Error("scripts that haven't changed aren't current")
	}
	var failed *lua.Error
	if err := scripts.Serve(newSlow(1, ""), 0); !errors.As(err, &failed) || failed.Kind != "memory" {
		t.Errorf("%v", err)
	}
}
