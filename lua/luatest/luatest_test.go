package luatest_test

import (
	"context"
	"encoding/xml"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/keystone-gateway/keystone-gateway/lua/luatest"
)

// patience is how long a test may take that doesn't go on for ever.
const patience = time.Minute

// run runs the tests in files, by their names, in a directory of its own.
func run(t *testing.T, files map[string]string, o luatest.Options) *luatest.Report {
	t.Helper()
	o.Dir = t.TempDir()
	if o.Timeout == 0 {
		o.Timeout = patience
	}
	for name, text := range files {
		path := filepath.Join(o.Dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	report, err := luatest.Run(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	return report
}

// untilDone is run with a short time for each test, and more of it until done
// says that those had enough which end by themselves.
func untilDone(t *testing.T, timeout time.Duration, files map[string]string, done func(*luatest.Report) bool) *luatest.Report {
	t.Helper()
	for ; ; timeout *= 4 {
		report := run(t, files, luatest.Options{Timeout: timeout})
		if done(report) || timeout > patience {
			return report
		}
	}
}

// demand reports every test and file that has failed.
func demand(t *testing.T, report *luatest.Report) {
	t.Helper()
	for _, file := range report.Files {
		if file.Err != "" {
			t.Errorf("%s: %s", file.Name, file.Err)
		}
		for _, test := range file.Tests {
			if test.Status == luatest.Failed {
				t.Errorf("%s: %s: %s\n%s", file.Name, test.Name, test.Failure, test.Details)
			}
		}
	}
}

// TestEverything runs tests that use every function there is.
func TestEverything(t *testing.T) {
	report, err := luatest.Run(t.Context(), luatest.Options{Dir: "testdata/scripts", Cover: true, Timeout: patience})
	if err != nil {
		t.Fatal(err)
	}
	demand(t, report)
	if report.Tests() < 35 || report.Count(luatest.Skipped) != 2 {
		t.Errorf("%d tests, %d skipped, want all of them, and 2", report.Tests(), report.Count(luatest.Skipped))
	}
	missed := map[string]string{}
	for _, c := range report.Coverage {
		missed[c.Name] = c.Missed()
	}
	want := map[string]string{"acme/hello.lua": "", "acme/lib/greet.lua": "5", "gate.lua": ""}
	if len(missed) != len(want) || missed["acme/lib/greet.lua"] != "5" || missed["gate.lua"] != "" {
		t.Errorf("lines that have not run: %q, want %q", missed, want)
	}
	if value, ok := os.LookupEnv("LUATEST_NAME"); ok {
		t.Errorf("LUATEST_NAME=%q is left in the environment", value)
	}
	for deadline := time.Now().Add(patience); ours() != ""; time.Sleep(10 * time.Millisecond) { // some are about to end
		if time.Now().After(deadline) {
			t.Fatalf("goroutines are left:\n%s", ours())
		}
	}
}

// ours are the goroutines of this module, but for those of tests. fasthttp's
// sleep for a while before they notice that their server has ended.
func ours() string {
	stacks := make([]byte, 1<<20)
	stacks = stacks[:runtime.Stack(stacks, true)]
	var left []string
	for stack := range strings.SplitSeq(string(stacks), "\n\n") {
		if strings.Contains(stack, "keystone-gateway/") && !strings.Contains(stack, "testing.tRunner") {
			left = append(left, stack)
		}
	}
	return strings.Join(left, "\n\n")
}

// TestProject runs the tests of the scripts that the project comes with.
func TestProject(t *testing.T) {
	for _, dir := range []string{"../../scripts", "../../docs"} {
		t.Run(filepath.Base(dir), func(t *testing.T) {
			report, err := luatest.Run(t.Context(), luatest.Options{Dir: dir, Timeout: patience})
			if err != nil { // that there are none, too
				t.Fatal(err)
			}
			demand(t, report)
		})
	}
}

// TestDocument runs the examples of the users' documentation: those that begin
// with the name of a file, all in one directory.
func TestDocument(t *testing.T) {
	text, err := os.ReadFile("../../docs/testing-scripts.md")
	if err != nil {
		t.Fatal(err)
	}
	files := map[string]string{}
	for _, example := range regexp.MustCompile("(?s)```lua\n-- (\\S+\\.lua)\n.*?```").FindAllStringSubmatch(string(text), -1) {
		if files[example[1]] != "" {
			t.Errorf("two examples are named %s", example[1])
		}
		files[example[1]] = strings.TrimSuffix(strings.TrimPrefix(example[0], "```lua\n"), "```")
	}
	if len(files) != strings.Count(string(text), "```lua") || len(files) < 15 {
		t.Errorf("%d examples have names, want all of them", len(files))
	}
	demand(t, run(t, files, luatest.Options{}))
}

const failing = `
chi_route("GET", "/fail", function(request, response)
  log.info("going to fail")
  local nothing = nil
  return nothing.field
end)
`

// TestFailures says what authors are told about what fails.
func TestFailures(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, source string
		want         []string
	}{
		{"expectation", "\nexpect(request('GET', '/').status):equals(404)", []string{
			"a_test.lua:2: expectation failed\n  expected: 404\n  actual:   200", "GET / → 200 in ",
		}},
		{"helper", "local function check(v)\n  expect(v):is_nil()\nend\ncheck(1)", []string{
			"a_test.lua:2: expectation failed", "called at a_test.lua:4",
		}},
		{"script", "expect(request('GET', '/fail').status):equals(200)", []string{
			"GET /fail → 500 (script_error)", "script error in a.lua: a.lua:5: attempt to index", "log info: going to fail",
		}},
		{"error", "local t = nil\nt.x = 1", []string{"a_test.lua:2: attempt to index"}},
		{"error value", "error({code = 7})", []string{"error value: {code = 7}"}},
		{"nothing raised", "expect(function() end):errors('x')", []string{"it returned without an error"}},
		{"other raised", "expect(function() error('y') end):errors('x')", []string{"it raised: a_test.lua:1: y"}},
		{"mock", "upstream.respond(function(r) return r.nothing.at_all end)\nrequest('GET', '/')", []string{"a_test.lua:1: attempt to index"}},
		{"mock's answer", "upstream.respond(function(r) return {stats = 200} end)\nrequest('GET', '/')", []string{`there is no option "stats"`}},
		{"mock's expectation", "upstream.respond(function(r) expect(r.path):equals('/b') end)\nrequest('GET', '/a')", []string{`expected: "/b"`, "GET /a → 500"}},
		{"mock's function", "upstream.respond(function(r) return function() end end)\nrequest('GET', '/a')", []string{"the function returned a function"}},
		{"no script", "scripts('b.lua')\nrequest('GET', '/')", []string{"the gateway doesn't start", "b.lua"}},
		{"config", "config{timeouts = {connect = true}}\nrequest('GET', '/')", []string{"config: ", "connect"}},
		{"services", "config{services = 7}", []string{"services must be false, or a list"}},
		{"env", "config{env = {A = 1}}", []string{"env.A must be a string"}},
		{"unknown method", "upstream.reply(200)", []string{`a mock has no "reply"`}},
		{"status", "upstream.respond(99)", []string{"from 200 to 599"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			report := run(t, map[string]string{
				"a.lua":      failing,
				"a_test.lua": "test('it', function() " + c.source + "\nend)\ntest('another', function() expect(request('GET', '/').status):equals(200) end)",
			}, luatest.Options{})
			tests := report.Files[0].Tests
			if len(tests) != 2 || tests[0].Status != luatest.Failed || tests[1].Status != luatest.Passed {
				t.Fatalf("%+v, want one to fail and one to pass", report.Files[0])
			}
			text := tests[0].Failure + "\n" + tests[0].Details
			for _, want := range c.want {
				if !strings.Contains(text, want) {
					t.Errorf("got:\n%s\nwant in it: %s", text, want)
				}
			}
		})
	}
}

// TestHostile runs tests that never end or take too much: they fail alone.
func TestHostile(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, source, want string }{
		{"loop", "while true do end", "took longer than"},
		{"loop in pcall", "while true do pcall(function() while true do end end) end", "took longer than"},
		{"recursion", "local function f() return 1 + f() end f()", "stack overflow"},
		{"strings", "local s = 'x' while true do s = s .. s end", ""},
		{"tables", "local t = {} for i = 1, 1e9 do t[i] = {} end", ""},
		{"pattern", "expect(('a'):rep(30)):matches(('a*'):rep(30) .. 'b')", ""},
		{"mock's loop", "upstream.respond(function() while true do end end) request('GET', '/', {timeout = 0.05})", "no complete response within"},
		{"silent upstream", "upstream.fail('timeout') request('GET', '/')", "took longer than"},
		{"huge config", "local t = {} t.t = t config(t)", "contains itself"},
		{"metatables", "expect(setmetatable({}, {__index = error, __eq = error, __len = error, __tostring = error})):equals(1)", "expected: 1"},
		{"wrong self", "upstream.last.headers_all({}, 1)", "attempt to"},
		{"no message", "request('GET', '/').json({})", "call it with a colon"},
		{"no expectation", "expect(1).equals({}, 1)", "userdata"},
		{"NUL", "request('GET', '/\\0')", "expected a path"},
		{"clock", "clock.advance(0/0)", "expected a number"},
		{"clock", "clock.set(1e300)", "expected a number"},
		{"status", "upstream.respond(0/0)", "from 200 to 599"},
		{"delay", "upstream.respond{delay = -1}", "delay must be a number"},
		{"recursive mock", "upstream.respond(function() return request('GET', '/') end) request('GET', '/', {timeout = 0.1})", ""},
		{"globals", "string = nil _G.request = nil _G.expect = nil error('done')", "done"},
		{"frozen", "upstream.respond = 1", "read-only"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			tests := untilDone(t, 500*time.Millisecond, map[string]string{
				"a.lua":      "",
				"a_test.lua": "local request, expect = request, expect\ntest('it', function() " + c.source + " end)\ntest('another', function() expect(request('GET', '/').status):equals(200) end)",
			}, func(r *luatest.Report) bool {
				tests := r.Files[0].Tests
				return len(tests) == 2 && tests[1].Status == luatest.Passed
			}).Files[0].Tests
			if len(tests) != 2 || tests[0].Status != luatest.Failed {
				t.Fatalf("%+v, want the first one to fail", tests)
			}
			if !strings.Contains(tests[0].Failure, c.want) {
				t.Errorf("failure %q, want %q in it", tests[0].Failure, c.want)
			}
			if tests[1].Status != luatest.Passed {
				t.Errorf("the next test failed: %s\n%s", tests[1].Failure, tests[1].Details)
			}
		})
	}
}

// TestFiles are files whose tests can't be listed.
func TestFiles(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, source, want string }{
		{"syntax", "test('x', function(", "a_test.lua:1:20: '<name>' expected near '<eof>'"},
		{"error", "\nerror('oh')", "a_test.lua:2: oh"},
		{"loop", "while true do end", "took longer than"},
		{"request", "request('GET', '/')", "a_test.lua:1: there is no gateway while"},
		{"respond", "upstream.respond(200)", "there is no gateway while"},
		{"many mocks", "for i = 1, 100 do mock('m' .. i) end", "too many mocks"},
		{"no function", "test('x')", "expected a function"},
		{"no name", "test(' ', function() end)", "expected a name"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			report := untilDone(t, 200*time.Millisecond, map[string]string{"a_test.lua": c.source, "b_test.lua": "test('x', function() end)"},
				func(r *luatest.Report) bool { return r.Files[1].OK() })
			if report.OK() || !strings.Contains(report.Files[0].Err, c.want) {
				t.Errorf("error %q, want %q in it", report.Files[0].Err, c.want)
			}
			if !report.Files[1].OK() {
				t.Errorf("the other file failed: %+v", report.Files[1])
			}
		})
	}
}

func TestChoice(t *testing.T) {
	t.Parallel()
	files := map[string]string{
		"a_test.lua":          "describe('one', function() test('x', function() end) test('y', function() end) end)",
		"sub/b_test.lua":      "test('one x', function() end)",
		".hidden/c_test.lua":  "test('z', function() end)",
		"sub/not_a_test.luax": "",
	}
	for expression, want := range map[string][]string{
		".": {"one / x", "one / y", "one x"}, "one / x": {"one / x"}, "x$": {"one / x", "one x"}, "": {"one / x", "one / y", "one x"},
	} {
		var o luatest.Options
		if expression != "" {
			o.Run = regexp.MustCompile(expression)
		}
		var names []string
		for _, file := range run(t, files, o).Files {
			for _, test := range file.Tests {
				names = append(names, test.Name)
			}
		}
		if !slices.Equal(names, want) {
			t.Errorf("-run %q runs %q, want %q", expression, names, want)
		}
	}
}

func TestNothing(t *testing.T) {
	t.Parallel()
	ended, end := context.WithCancel(t.Context())
	end()
	scripts := "testdata/scripts"
	for _, c := range []struct {
		name string
		ctx  context.Context //nolint:containedctx // of a table's line
		o    luatest.Options
		want string
	}{
		{"no files", t.Context(), luatest.Options{Dir: t.TempDir()}, "no tests"},
		{"none chosen", t.Context(), luatest.Options{Dir: scripts, Run: regexp.MustCompile("^nothing$")}, "no tests"},
		{"no directory", t.Context(), luatest.Options{Dir: "testdata/none"}, "no such file"},
		{"outside", t.Context(), luatest.Options{Dir: "testdata/scripts/acme", Files: []string{"testdata/scripts/gate_test.lua"}}, "is not below"},
		{"cancelled", ended, luatest.Options{Dir: scripts}, "canceled"},
	} {
		if _, err := luatest.Run(c.ctx, c.o); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v, want %q in it", c.name, err, c.want)
		}
	}
}

// TestReports writes the outcome of one run in every form.
func TestReports(t *testing.T) {
	t.Parallel()
	var plain, verbose, terminal strings.Builder
	consoles := []*luatest.Console{{Out: &plain}, {Out: &verbose, Verbose: true}, {Out: &terminal, Terminal: true}}
	report := run(t, map[string]string{
		"a.lua": "chi_route('GET', '/', function(request, response)\n  if request.query ~= '' then\n    response:write('q')\n  else\n    response:write('')\n  end\nend)\n",
		"a_test.lua": "test('good', function() print('said') request('GET', '/') end)\ntest('b<a\\0d\\27[31m', function() expect('<x>'):equals(1) end)\n" +
			"skip('later')",
		"b_test.lua": "nonsense",
	}, luatest.Options{Cover: true, Progress: func(e luatest.Event) {
		for _, c := range consoles {
			c.Progress(e)
		}
	}})
	for _, c := range consoles {
		c.Summary(report)
	}
	contains(t, "plain", plain.String(), "FAIL a_test.lua: b<a", "FAIL a_test.lua  3 tests, 1 failed, 1 skipped", "FAIL b_test.lua\n", "FAILED: 3 tests, 1 failed, 1 skipped in 2 files")
	contains(t, "verbose", verbose.String(), "ok   a_test.lua: good (", "    > said\n", "skip a_test.lua: later")
	contains(t, "terminal", terminal.String(), "0 done, 0 failed · a_test.lua: good", "\r\x1b[K", "\x1b[31mFAIL\x1b[0m")
	if strings.Contains(plain.String(), "\x1b") || strings.Contains(plain.String(), "good") {
		t.Errorf("plain output has codes or passed tests:\n%s", plain.String())
	}

	var junit strings.Builder
	if err := luatest.WriteJUnit(&junit, report); err != nil {
		t.Fatal(err)
	}
	contains(t, "junit", junit.String(), `<testsuites tests="4" failures="1" errors="1" skipped="1"`, `<testcase classname="a_test.lua" name="good"`,
		"<skipped></skipped>", "<system-out>said", `message="a_test.lua:2: expectation failed"`, "(loading the file)")
	if err := xml.Unmarshal([]byte(junit.String()), new(any)); err != nil {
		t.Errorf("the JUnit report is no XML: %v\n%s", err, junit.String())
	}

	var lcov, table strings.Builder
	if err := luatest.WriteLCOV(&lcov, "scripts", report.Coverage); err != nil {
		t.Fatal(err)
	}
	contains(t, "lcov", lcov.String(), "SF:scripts/a.lua\nDA:1,1\nDA:2,1\nDA:3,0\nDA:5,1\nLF:4\nLH:3\nend_of_record\n")
	if err := luatest.WriteCoverage(&table, report.Coverage); err != nil {
		t.Fatal(err)
	}
	contains(t, "table", table.String(), "a.lua   75.0%  3\n", "total   75.0%\n")
}

func contains(t *testing.T, what, text string, parts ...string) {
	t.Helper()
	for _, part := range parts {
		if !strings.Contains(text, part) {
			t.Errorf("%s:\n%s\nwant in it: %q", what, text, part)
		}
	}
}

// TestLiteral: what config has is meant literally, but for the variables of requests
// in policies, as a configuration file has them.
func TestLiteral(t *testing.T) {
	t.Parallel()
	demand(t, run(t, map[string]string{
		"${host}.lua": `chi_route("GET", "/", function(request, response)
  response:write(request:header("X-To") .. " | " .. request:header("X-Key") .. " | " .. get_env("A"))
end)`,
		"a_test.lua": `scripts("${host}.lua")
config{tenant = "shop", env = {A = "${tenant}"}, policies = {{headers = {
  request = {set = {["X-To"] = "${tenant} $${tenant} ${HOME} $${HOME}", ["X-Key"] = {"${host}"}}}}}}}
test("it", function()
  expect(request("GET", "/", {host = "example.com"}).body):equals("shop ${tenant} ${HOME} $${HOME} | example.com | ${tenant}")
end)`,
	}, luatest.Options{}))
}
