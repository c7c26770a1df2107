package vm_test

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	glua "github.com/yuin/gopher-lua"

	"github.com/keystone-gateway/keystone-gateway/lua/stdlib"
	"github.com/keystone-gateway/keystone-gateway/lua/vm"
	"github.com/keystone-gateway/keystone-gateway/lua/vm/vmtest"
)

const (
	defaultPrograms = 10_000
	defaultSeed     = 1
)

var (
	programs = flag.Int("programs", defaultPrograms, "how many generated programs TestMeansWhatLuaMeans compares")
	seed     = flag.Uint64("seed", defaultSeed, "of the generated programs")
)

// prelude is what the programs use.
const prelude = `
local function text(v, depth)
  local kind = type(v)
  if kind == "table" then
    if depth > 3 then return "deep" end
    local list = {}
    for k, e in pairs(v) do -- several keys may have one text
      local name = tostring(k):gsub(": .*", "") -- without an address
      list[#list + 1] = (type(k) == "number" and "1" or "2") .. name .. "=" .. text(e, depth + 1)
    end
    table.sort(list)
    for i = 1, #list do list[i] = list[i]:sub(2) end
    return "{" .. table.concat(list, ",") .. "}"
  elseif kind == "string" then return string.format("%q", v)
  elseif kind == "number" then return v ~= v and "nan" or v == 0 and "0" or tostring(v) -- the engine's 0 has no sign
  elseif kind == "function" then return "function" end
  return tostring(v)
end
local lines
function log(...)
  see(...)
  local list = {}
  for i = 1, select("#", ...) do list[i] = text((select(i, ...)), 0) end
  lines[#lines + 1] = table.concat(list, " ")
  return ...
end
function str(v) return (v == 0 and "0" or tostring(v)) .. "." end -- which C reads as no number
function count(n) local i = 0 return function() i = i + 1 if i <= n then return i, -i end end end
local function operation(name, log) return function(x, y)
  if name == "unm" then y = x end -- which Lua 5.1 gives twice
  log(name, type(x), type(y)) return name end end
function meta(log)
  local mt = {__index = function(t, k) log("index", k) return k end, __newindex = function(t, k, v) log("newindex", k, v) end}
  for _, name in ipairs{"add", "sub", "mul", "div", "mod", "pow", "unm", "concat", "lt", "le", "eq", "call"} do mt["__" .. name] = operation(name, log) end
  return mt
end
function P(number, f)
  lines, fs, g = {}, {}, nil
  local results = {pcall(f, 7, "s", nil, 9)}
  if results[1] then
    local n = 0
    for i in pairs(results) do if i > n then n = i end end
    log(unpack(results, 2, n))
  else
    local message = results[2]
    log("error", type(message), type(message) == "string" and message:match(":(%d+):"))
  end
  for i = 1, #fs do
    if i < 10 then log(pcall(fs[i])) end
  end
  print(number .. "\t" .. (table.concat(lines, "; "):gsub("\n", "\\n")))
end
`

// batch is the source of a number of programs.
func batch(programs []string) string {
	var b strings.Builder
	b.WriteString(prelude)
	for i, p := range programs {
		fmt.Fprintf(&b, "P(%d, function(...)\n%send)\n", i, p)
	}
	return b.String()
}

// ours runs a source on a VM of ours and returns what it prints.
func ours(tb testing.TB, source string) string {
	tb.Helper()
	p, err := vm.Compile([]byte(source), "in", vm.Options{})
	if err != nil {
		tb.Fatalf("%v", err)
	}
	thread, r := vmtest.Begin(tb, &vm.Limits{Instructions: 1 << 40, Memory: 1 << 40, Coroutines: 1 << 30})
	main := thread.G.MainThread
	stdlib.Open(main, time.Now)
	var out strings.Builder
	main.SetGlobal("print", main.NewFunction(func(L *glua.LState) int {
		out.WriteString(vm.CheckString(L, 1) + "\n")
		return 0
	}))
	main.SetGlobal("see", main.NewFunction(func(L *glua.LState) int {
		for i := 1; i <= L.GetTop(); i++ {
			if L.Get(i) == nil {
				L.RaiseError("BUG: a Go nil reached the script")
			}
		}
		return 0
	}))
	f := p.Instantiate(r.VM(), &vm.Functions{SetIndex: stdlib.SetIndex})
	thread.Push(f)
	if err := thread.PCall(0, 0, nil); err != nil {
		tb.Fatalf("%v\nafter %s", err, out.String()[max(0, out.Len()-200):])
	}
	return out.String()
}

// kept are lua5.1's results of the programs that the tests make without flags.
func kept(tb testing.TB, file string) *vmtest.Kept {
	tb.Helper()
	if *programs != defaultPrograms || *seed != defaultSeed {
		file = ""
	}
	return vmtest.Keep(tb, file)
}

// TestMeansWhatLuaMeans runs generated programs on ours and on lua5.1.
func TestMeansWhatLuaMeans(t *testing.T) {
	k := kept(t, "testdata/lua51-programs.txt")
	const size = 500
	for done := 0; done < *programs && !t.Failed(); done += size {
		list := make([]string, min(size, *programs-done))
		for i := range list {
			list[i] = generated(rand.New(rand.NewPCG(*seed, uint64(done+i))))
		}
		t.Run(strconv.Itoa(done), func(t *testing.T) { compare(t, k, done/size, list) }) // whose VM goes at its end
		if testing.Verbose() {
			t.Logf("%d programs", done+len(list))
		}
	}
}

// negative are those that have no sign here: the engine's numbers lose that of
// 0, and so of what is divided by it; C writes one before what isn't a number, or
// doesn't.
var negative = regexp.MustCompile(`-(nan|inf)|-(0)([^.x]|\.[^0-9]|$)`)

func unsigned(text string) string { return negative.ReplaceAllString(text, "$1$2$3") }

// compare runs a batch of programs on both, and reports the first that differ.
func compare(t *testing.T, k *vmtest.Kept, number int, list []string) {
	t.Helper()
	source := batch(list)
	k.Compare(t, number, "function see() end\n"+source, list, strings.Split(ours(t, "\n"+source), "\n"), unsigned)
}
