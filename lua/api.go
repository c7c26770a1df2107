package lua

import (
	"context"
	"fmt"
	"slices"
	"time"

	glua "github.com/yuin/gopher-lua"

	"github.com/keystone-gateway/keystone-gateway/lua/modules"

	"github.com/keystone-gateway/keystone-gateway/lua/vm"
)

// API lists what scripts can name, sorted: globals and what is in their tables
// ("chi_route", "string.rep"), modules ("keystone.json.encode"), and the
// methods and properties of a request and a response ("request:header",
// "request.method"). It makes a VM to find out.
func API() ([]string, error) {
	s, err := Load(Options{Tenant: "api", Config: DefaultConfig(), Cache: NewCache(), Clock: noClock{}, Shards: 1})
	if err != nil {
		return nil, fmt.Errorf("cannot make a VM: %w", err)
	}
	defer s.Close()
	sh := s.shards[0].Load()
	sh.lock.Lock()
	defer sh.lock.Unlock()
	return sh.api(), nil
}

// noClock is for a VM that runs nothing.
type noClock struct{}

func (noClock) Now() time.Time                       { return time.Time{} }
func (noClock) Sleep(context.Context, time.Duration) {}

func (sh *shard) api() []string {
	var names []string
	opened := map[glua.LValue]bool{}
	globals := sh.main.G.Global
	for _, short := range modules.Names() {
		table, name := sh.module(short), "keystone."+short
		opened[table] = true
		names = append(names, name)
		names = append(names, members(name, table)...)
		if globalModules[short] {
			globals.RawSetString(short, table)
		}
	}
	globals.ForEach(func(key, value glua.LValue) {
		names = append(names, key.String())
		if table, ok := value.(*glua.LTable); ok && table != globals && !opened[value] {
			names = append(names, members(key.String(), table)...)
		}
	})
	for object, methods := range map[string]map[string]glua.LGFunction{"request": requestMethods, "response": responseMethods} {
		for name := range methods {
			names = append(names, object+":"+name)
		}
	}
	for object, properties := range map[string][]string{"request": requestProperties, "response": responseProperties} {
		for _, name := range properties {
			names = append(names, object+"."+name)
		}
	}
	slices.Sort(names)
	return names
}

// members lists what is in a table that may be frozen.
func members(name string, t *glua.LTable) (names []string) {
	if content := vm.Frozen(t); content != nil {
		t = content
	}
	t.ForEach(func(key, _ glua.LValue) { names = append(names, name+"."+key.String()) })
	return names
}
