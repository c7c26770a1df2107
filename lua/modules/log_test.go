package modules_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/rs/zerolog"
	glua "github.com/yuin/gopher-lua"

	"github.com/keystone-gateway/keystone-gateway/lua/modules"
	"github.com/keystone-gateway/keystone-gateway/lua/vm"
	"github.com/keystone-gateway/keystone-gateway/lua/vm/vmtest"
)

type logOwner struct{}

func (logOwner) AppendLog(e *zerolog.Event) { e.Str("request_id", "r1") }

func newLogVM(t *testing.T) *textVM {
	t.Helper()
	v := newTextVM(t, vmtest.Limits())
	v.run.Owner = logOwner{}
	v.L.SetGlobal("print", v.L.NewFunction(modules.Print(v.tenant)))
	callable := v.L.NewTable()
	meta := v.L.NewTable()
	meta.RawSetString("__call", v.L.NewFunction(modules.LogCall(v.tenant)))
	callable.Metatable = meta
	v.L.SetGlobal("call", callable)
	return v
}

func TestLog(t *testing.T) {
	t.Parallel()
	const begin, end = `"by_script":true,"request_id":"r1",`, "}\n"
	tests := []struct{ name, code, want string }{
		{"levels", `log.debug("d") log.warn("w") log.error("e")`,
			`{"level":"warn",` + begin + `"message":"w"}` + "\n" + `{"level":"error",` + begin + `"message":"e"` + end},
		{"call", `call("m", {n=1.5})`, `{"level":"info",` + begin + `"n":1.5,"message":"m"` + end},
		{"print", `print("a", 1, nil, {}, print, setmetatable({}, {__tostring = function() return "T" end}))`,
			`{"level":"info",` + begin + `"message":"a\t1\tnil\ttable\tfunction\tT"` + end},
		{"nothing printed", `print()`, `{"level":"info",` + `"by_script":true,"request_id":"r1"` + end},
		{"reserved names", `log.info("m", {level="x", tenant="y", request_id="z", script=false, time=1, message=2, error=3})`,
			`{"level":"info",` + begin + `"field_level":"x","field_tenant":"y","field_request_id":"z","field_script":false,"field_time":1,"field_message":2,"field_error":3,"message":"m"` + end},
		{"reserved names, in any case", `log.info("m", {TENANT=1}) log.info("m", {["Request_ID"]=1}) log.info("m", {["\226\132\170ind"]=1}) log.info("m", {Stack=1})`,
			`{"level":"info",` + begin + `"field_TENANT":1,"message":"m"` + "}\n" + `{"level":"info",` + begin + `"field_Request_ID":1,"message":"m"` + "}\n" +
				`{"level":"info",` + begin + `"field_Kind":1,"message":"m"` + "}\n" + `{"level":"info",` + begin + `"field_Stack":1,"message":"m"` + end},
		{"what a terminal obeys", `log.info("a\194\155b\226\128\174c\n", {["\194\155"] = "\194\133"})`,
			`{"level":"info",` + begin + `"\\u009b":"\\u0085","message":"a\\u009bb\\u202ec\n"` + end},
		{"values", `local f = {} f.a = {} f.b = print f[1] = true f.c = 0/0 f.d = "\n\0" log.info(nil, f)`,
			`{"level":"info",` + begin + `"1":true,"a":"table","b":"function","c":"NaN","d":"\n\u0000","message":"nil"` + end},
		{"evil tostring", `log.info(setmetatable({}, {__tostring = function() return {} end, __name = {}}))`,
			`{"level":"info",` + begin + `"message":"table"` + end},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			v := newLogVM(t)
			if err := v.L.DoString(test.code); err != nil {
				t.Fatal(err)
			}
			if got := v.log.String(); got != test.want {
				t.Errorf("got  %s\nwant %s", got, test.want)
			}
		})
	}
}

func TestLogMisuse(t *testing.T) {
	t.Parallel()
	runTextCases(t, []textCase{
		{`log.info()`, "error: bad argument #1"},
		{`log.info("m", 1)`, "error: bad argument #2"},
		{`log.x = 1`, "error: read-only"},
	})
}

func TestLogBounds(t *testing.T) {
	t.Parallel()
	v := newLogVM(t)
	if err := v.L.DoString(`
		local fields = {}
		for i = 1, 1000 do fields["field" .. i .. ("n"):rep(1000)] = ("é"):rep(10000) end
		log.info(("é"):rep(100000), fields)
		print(("é"):rep(100000), ("é"):rep(100000))
	`); err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(v.log.String()) {
		if len(line) > 24<<10 || !json.Valid([]byte(line)) {
			t.Errorf("a line of %d bytes", len(line))
		}
	}
	if n := strings.Count(v.log.String(), `"field`); n != 16 {
		t.Errorf("%d fields, want 16", n)
	}
	v.log.Reset()
	v.eval(`for i = 1, 1000 do log.debug("not counted") end for i = 1, 1000 do if i % 2 == 0 then print(i) else log.info(i) end end`)
	if n := strings.Count(v.log.String(), "\n"); n != 99 {
		t.Errorf("%d lines, want 99", n)
	}
	if !strings.HasSuffix(v.log.String(), "\"message\":\"log lines dropped: a script may write 100 for a request\"}\n") {
		t.Errorf("the end is %q", v.log.String())
	}
	// The next run may log again, in the same Run too.
	v.log.Reset()
	v.run.End()
	lock := vm.NewLock(v.L, vm.NewLedger(0, 0), nil)
	v.run.Begin(t.Context(), lock, vmtest.Limits())
	v.L.Push(glua.LNil)
	v.eval(`print("again")`)
	if n := strings.Count(v.log.String(), "\n"); n != 1 {
		t.Errorf("%d lines of the next run, want 1", n)
	}
}
