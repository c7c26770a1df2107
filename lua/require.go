package lua

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"

	glua "github.com/yuin/gopher-lua"

	"github.com/keystone-gateway/keystone-gateway/lua/modules"
	"github.com/keystone-gateway/keystone-gateway/lua/vm"
)

// packagePath is what scripts see of where modules are looked for.
const packagePath = "?.lua;?/init.lua"

// maxModuleName bounds the argument of require, in bytes.
const maxModuleName = 200

// require returns a module: one of the gateway's, one of Lua's libraries, or a
// file of the tenant's own directory, which is loaded once in each VM.
func (sh *shard) require(L *glua.LState) int {
	name := vm.CheckString(L, 1)
	if len(name) > maxModuleName {
		vm.ArgError(L, 1, "there is no module "+vm.Clip(name))
	}
	if short, ok := strings.CutPrefix(name, "keystone."); ok {
		t := sh.module(short)
		if t == nil {
			hint := strings.Replace(vm.Suggestion(short, modules.Names()), "'", "'keystone.", 1)
			vm.ArgError(L, 1, fmt.Sprintf("there is no module %q%s, expected one of keystone.%s", name, hint, strings.Join(modules.Names(), ", keystone.")))
		}
		L.Push(t)
		return 1
	}
	sh.packages.Require(L, name, func() *glua.LFunction { return sh.findModule(L, name) })
	return 1
}

// findModule returns the function of a module's file, or raises an error.
func (sh *shard) findModule(L *glua.LState, name string) *glua.LFunction {
	path, err := moduleName(name)
	if err != nil {
		vm.ArgError(L, 1, err.Error())
	}
	if sh.declarer.closed {
		L.RaiseError("module %q is not loaded: require it where the script is loaded, outside of functions that handle requests", name)
	}
	f, err := sh.owner.moduleFile(sh.owner.options.Tenant + "/" + path)
	if err != nil {
		L.RaiseError("%s%s", err.Error(), gatewaysModule(name))
	}
	return sh.instantiate(f.program)
}

// gatewaysModule guesses which of the gateway's modules was meant by a name that
// is no file: "json", "cjson" and "resty.jwt" are what others call theirs.
func gatewaysModule(name string) string {
	names := modules.Names()
	if name == "keystone" {
		return " (expected one of keystone." + strings.Join(names, ", keystone.") + ")"
	}
	last := name[strings.LastIndexByte(name, '.')+1:]
	for _, known := range names {
		if last == known || last == "c"+known || last == "dk"+known || last == "lua-"+known {
			return " (did you mean 'keystone." + known + "'?)"
		}
	}
	return ""
}

// moduleFile returns the file of a module: path.lua or, where that isn't there,
// path/init.lua.
func (s *Scripts) moduleFile(path string) (*file, error) {
	first, second := path+".lua", path+"/init.lua"
	f, err := s.file(first)
	if err == nil || !s.sealed && !errors.Is(err, fs.ErrNotExist) {
		return f, err
	}
	f, wrong := s.file(second)
	switch {
	case wrong == nil:
		return f, nil
	case !s.sealed && !errors.Is(wrong, fs.ErrNotExist):
		return nil, wrong
	case s.sealed:
		return nil, err
	}
	return nil, fmt.Errorf("%w; nor is there %q", err, second)
}

// moduleName turns the argument of require into a path: dots are slashes, as
// everywhere in Lua.
func moduleName(name string) (string, error) {
	for part := range strings.SplitSeq(name, ".") {
		if part == "" || strings.ContainsAny(part, "/\\\x00") {
			return "", errors.New("expected names joined by dots, such as lib.auth")
		}
	}
	return strings.ReplaceAll(name, ".", "/"), nil
}
