package vm_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	glua "github.com/yuin/gopher-lua"

	"github.com/keystone-gateway/keystone-gateway/lua/stdlib"
	"github.com/keystone-gateway/keystone-gateway/lua/syntax"
	"github.com/keystone-gateway/keystone-gateway/lua/vm"
	"github.com/keystone-gateway/keystone-gateway/lua/vm/vmtest"
)

// refused are the statements of the engine's own tests that fail on purpose: by
// what they name, with the reason.
var refused = map[string]string{
	`\b(debug|io|package|os\.(getenv|setenv|execute|tmpname|setlocale)|collectgarbage|getfenv|setfenv|require|dofile|loadfile|gcinfo|newproxy|string\.dump)\b`:                    "reaches outside of the sandbox",
	`notexist|non-function object|__unm undefined|for statement|cannot perform|wrong number of arguments|GopherLua|argument #1 to pcall|can not resume|register overflow|\[\[msg`: "words of gopher-lua's errors; ours are Lua 5.1's",
	`%1 %1 %c`:                              "Lua 5.1 leaves the % of %c out",
	`#tbl == 10`:                            "Lua 5.1 doesn't ask a table's __len",
	`setlocale|\bf:(write|seek|close|read)`: "reaches outside of the sandbox: files, the locale",
	`a\(\) == "" and|assert\(a and b == _G\)|getmetatable\(-2\)|assert\(n == 5\)|b == foo|\(10\)\[|\beq\(a\[|\bstat\(|b == 3\)|getmetatable\(false\)|xxxx\(10\)|resume\(co\)\) == a|\((true|false|nil|10)\)[\[.]|checkstackmessage|stackmsg|assert\(i > 15\)|getmetatable\(nil\)|(\+ nil|nil \+)`: "follows from string.dump, setfenv(0), debug.setmetatable or collectgarbage, which are refused before, or from not being run in a coroutine",
	`checksyntax|doit"?\(?"(a=1;)?;`:                                  "errors of syntax have a column beside the line, and there are empty statements",
	`testrep|find\(b, "line [23]"\)`:                                  "limits of the syntax are others, and worded otherwise",
	`find\(b, "overflow"\)`:                                           "strings have a limit, of which its error speaks",
	`\binfo\.|f2\(\)|f4\(\)|level out of range|test\(\)|assert\(ok\)`: "follows from what is refused before",
}

// engineTests are the files, of those that the sandbox can run at all.
var engineTests = []string{
	"_glua-tests/base.lua", "_glua-tests/coroutine.lua", "_glua-tests/db.lua", "_glua-tests/goto.lua", "_glua-tests/issues.lua", "_glua-tests/math.lua",
	"_glua-tests/strings.lua", "_glua-tests/table.lua", "_glua-tests/vm.lua", "_lua5.1-tests/api.lua", "_lua5.1-tests/code.lua", "_lua5.1-tests/sort.lua",
	"_lua5.1-tests/calls.lua", "_lua5.1-tests/closure.lua", "_lua5.1-tests/constructs.lua", "_lua5.1-tests/events.lua", "_lua5.1-tests/literals.lua",
	"_lua5.1-tests/locals.lua", "_lua5.1-tests/math.lua", "_lua5.1-tests/nextvar.lua", "_lua5.1-tests/pm.lua", "_lua5.1-tests/strings.lua",
	"_lua5.1-tests/vararg.lua", "_lua5.1-tests/errors.lua", "_lua5.1-tests/big.lua",
}

// TestEngineTests runs the engine's tests from the module cache, statement by
// statement past those that are refused.
func TestEngineTests(t *testing.T) {
	dir, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/yuin/gopher-lua").Output()
	if err != nil {
		t.Skipf("no module cache: %v", err)
	}
	for _, name := range engineTests {
		source, err := os.ReadFile(filepath.Join(strings.TrimSpace(string(dir)), name))
		if err != nil {
			t.Errorf("%v", err)
			continue
		}
		t.Run(name, func(t *testing.T) { runPast(t, filepath.Base(name), strings.Split(string(source), "\n")) })
	}
}

// runPast runs a source again and again, without the statements that have failed.
func runPast(t *testing.T, name string, lines []string) {
	t.Helper()
	place := regexp.MustCompile(regexp.QuoteMeta(name) + `:(\d+)`)
	for range 40 {
		failure := sandboxed(t, name, strings.Join(lines, "\n"))
		if failure == "" {
			return
		}
		found := place.FindAllStringSubmatch(failure, -1)
		main, err := syntax.Parse([]byte(strings.Join(lines, "\n")))
		if err != nil || found == nil {
			t.Fatalf("%s (%v)", failure, err)
		}
		line, _ := strconv.Atoi(found[len(found)-1][1])
		first, last := 0, len(lines)
		for _, s := range main.Body.Statements {
			if at := int(s.Position().Line); at <= line {
				first, last = at, len(lines)
			} else if last == len(lines) {
				last = max(first, at-1)
			}
		}
		statement := strings.Join(lines[first-1:last], "\n")
		if !isRefused(statement + failure) {
			t.Fatalf("%s\n%s", statement, failure)
		}
		for i := first; i <= last; i++ {
			lines[i-1] = ""
		}
	}
	t.Fatal("too many statements are refused")
}

func isRefused(statement string) bool {
	for form := range refused {
		if regexp.MustCompile(form).MatchString(statement) {
			return true
		}
	}
	return false
}

// sandboxed runs a source and returns why it failed, with its stack.
func sandboxed(t *testing.T, name, source string) (failure string) {
	t.Helper()
	p, err := vm.Compile([]byte(source), name, vm.Options{})
	if err != nil {
		return err.Error()
	}
	thread, r := vmtest.Begin(t, &vm.Limits{Instructions: 20_000_000, Memory: 1 << 32, Coroutines: 10_000})
	main := thread.G.MainThread
	stdlib.Open(main, time.Now)
	main.SetGlobal("print", main.NewFunction(func(*glua.LState) int { return 0 }))
	thread.Push(p.Instantiate(r.VM(), &vm.Functions{SetIndex: stdlib.SetIndex}))
	if err := vm.Call(thread, 0, 0); err != nil {
		return fmt.Sprint(err)
	}
	return ""
}
