package modules_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"
	glua "github.com/yuin/gopher-lua"

	"github.com/keystone-gateway/keystone-gateway/lua/modules"
	"github.com/keystone-gateway/keystone-gateway/lua/vm"
	"github.com/keystone-gateway/keystone-gateway/lua/vm/vmtest"
)

// stillClock stands still, but for who sleeps.
type stillClock struct{ now time.Time }

func (c *stillClock) Now() time.Time { return c.now }
func (c *stillClock) Sleep(ctx context.Context, d time.Duration) {
	if ctx.Err() == nil {
		c.now = c.now.Add(d)
	}
}

// textVM is a VM with the modules that depend on nothing but a clock.
type textVM struct {
	L      *glua.LState
	run    *vm.Run
	log    *bytes.Buffer
	clock  *stillClock
	tenant *modules.Tenant
}

func newTextVM(tb testing.TB, limits *vm.Limits) *textVM {
	tb.Helper()
	v := &textVM{log: &bytes.Buffer{}, clock: &stillClock{time.Unix(1_700_000_000, 250_000_000)}}
	v.L, v.run = vmtest.Begin(tb, limits)
	v.tenant = &modules.Tenant{
		Name: "acme", Clock: v.clock, Random: rand.Reader, Log: zerolog.New(v.log).Level(zerolog.InfoLevel),
	}
	for _, open := range []glua.LGFunction{glua.OpenBase, glua.OpenString, glua.OpenTable, glua.OpenCoroutine} {
		v.L.Push(v.L.NewFunction(open))
		v.L.Call(0, 0)
	}
	for name, t := range modules.Open(v.L, v.tenant) {
		v.L.SetGlobal(name, vm.Freeze(v.L, name, t))
	}
	return v
}

// eval runs code and returns what it returns, as text separated by spaces, or
// its error.
func (v *textVM) eval(code string) string {
	v.L.SetTop(0)
	if err := v.L.DoString(code); err != nil {
		text, _, _ := strings.Cut(err.Error(), "\nstack traceback")
		return "error: " + text
	}
	results := make([]string, 0, v.L.GetTop())
	for i := 1; i <= v.L.GetTop(); i++ {
		results = append(results, v.L.ToStringMeta(v.L.Get(i)).String())
	}
	return strings.Join(results, " ")
}

// textCase is code, and what it returns; or, after "error:", a part of its error.
type textCase struct{ code, want string }

func runTextCases(t *testing.T, tests []textCase) {
	t.Helper()
	for _, test := range tests {
		t.Run(test.code, func(t *testing.T) {
			got := newTextVM(t, vmtest.Limits()).eval(test.code)
			if part, ok := strings.CutPrefix(test.want, "error:"); ok {
				if !strings.HasPrefix(got, "error: ") || !strings.Contains(got, strings.TrimSpace(part)) {
					t.Errorf("got %q, want an error with %q", got, part)
				}
			} else if got != test.want {
				t.Errorf("got  %q\nwant %q", got, test.want)
			}
		})
	}
}

func TestJSONEncode(t *testing.T) {
	t.Parallel()
	runTextCases(t, []textCase{
		{`return json.encode(nil), json.encode(true), json.encode(json.null)`, "null true null"},
		{`return json.encode(1), json.encode(-0.5), json.encode(2^53), json.encode(1e21), json.encode(1e-7), json.encode(-0)`,
			"1 -0.5 9007199254740992 1e+21 1e-07 -0"},
		{`return json.encode("a\"\\\n\1\127é/\226\128\168")`, "\"a\\\"\\\\\\n\\u0001\x7fé/\u2028\""},
		{`return json.encode("\255\254x")`, "\"\ufffd\ufffdx\""},
		{`return json.encode{}, json.encode(json.empty_array), json.encode(json.array()), json.encode(json.object())`, "{} [] [] {}"},
		{`return json.encode{b=1, a={1,2,{}}, [0.5]=2}`, `{"b":1,"a":[1,2,{}],"0.5":2}`},
		{`return json.encode({b=1, a=2, [-1]=3}, {sort_keys=true})`, `{"-1":3,"a":2,"b":1}`},
		{`return json.encode({b={1,2}, a={}, c=json.array()}, {pretty=true, sort_keys=true})`,
			"{\n  \"a\": {},\n  \"b\": [\n    1,\n    2\n  ],\n  \"c\": []\n}"},
		{`return json.encode{1,nil,3}`, "[1,null,3]"},
		{`return json.encode(json.object{[1]="a",[1000]="b"})`, `{"1":"a","1000":"b"}`},
		{`return json.encode(setmetatable({1}, {__index=error, __pairs=error, __len=error}))`, "[1]"},
		{`return json.encode(json)`, "error: cannot encode a function at ."},
		{`return json.encode(json.decode('[[],{},[[]]]'))`, "[[],{},[[]]]"},
		{`return json.encode{[1000]=1}`, "error: a sparse array"},
		{`return json.encode{[1e9]=1}`, "error: a sparse array"},
		{`return json.encode{1, a=2}`, "error: mixed array and object"},
		{`return json.encode(json.array{a=2})`, "error: keys that are not indices"},
		{`return json.encode(json.object{[1]=1, ["1"]=2})`, "error: two keys read 1"},
		{`return json.encode{[true]=1}`, "error: cannot encode a boolean as a key"},
		{`return json.encode{a={0/0}}`, "error: cannot encode NaN at .a[1]"},
		{`return json.encode(1/0)`, "error: cannot encode +Inf"},
		{`return json.encode{x={print}}`, "error: cannot encode a function at .x[1]"},
		{`return json.encode(coroutine.create(print))`, "error: cannot encode a thread"},
		{`local t = {}; t.t = t; return json.encode(t)`, "error: nested deeper than 100"},
		{`return json.encode()`, "error: bad argument #1"},
		{`return json.encode(1, 2)`, "error: bad argument #2"},
		{`return json.array(json)`, "error: the table has a metatable"},
		{`return json.array(setmetatable({}, {}))`, "error: the table has a metatable"},
		{`json.empty_array[1] = 1`, "error: read-only"},
		{`getmetatable(json.decode("[]")).x = 1`, "error: read-only"},
		{`return getmetatable(json.null), tostring(json.null)`, "false null"},
	})
}

func TestJSONDecode(t *testing.T) {
	t.Parallel()
	runTextCases(t, []textCase{
		{`local v = json.decode(' {"a" : [1, 2.5, -3e2, true, null], "b":{"c":"d"}} ') return v.a[1], v.a[2], v.a[3], v.a[4], v.a[5], v.b.c, #v.a`,
			"1 2.5 -300 true null d 5"},
		{`return json.decode("null") == json.null, json.decode('{"a":null}').a == json.null`, "true true"},
		{`return json.decode('"\\"\\\\\\/\\b\\f\\n\\r\\t\\u00e9\\ud83d\\ude00\\ud800é"')`, "\"\\/\b\f\n\r\té😀\ufffdé"},
		{`return json.decode('{"a":1,"a":2}').a`, "2"},
		{`return json.encode(json.decode('[9007199254740993,-123456789012345678901234567890,12]'))`,
			"[9007199254740993,-123456789012345678901234567890,12]"},
		{`return tostring(json.decode("9007199254740993")), json.decode("9007199254740993") == json.decode("9007199254740993"), json.decode("9007199254740993") == json.decode("9007199254740994"), type(json.decode("9007199254740992"))`,
			"9007199254740993 true false number"},
		{`return json.decode("9007199254740993", {big="string"}), type(json.decode("9007199254740993", {big="number"}))`, "9007199254740993 number"},
		{`return json.decode("9007199254740993") + 1`, "error: cannot perform add operation"},
		{`return json.decode("1", {big="x"})`, "error: big is none of"},
		{`return json.decode("1", {max_depth=0})`, "error: max_depth"},
		{`return json.decode("1", {max_depth=0/0})`, "error: max_depth"},
		{`return json.decode("[[1]]", {max_depth=1})`, "nil invalid JSON at offset 1: nested deeper than 1"},
		{`return json.decode(("["):rep(101))`, "nil invalid JSON at offset 100: nested deeper than 100"},
		{`return #json.decode(("["):rep(1000)..("]"):rep(1000), {max_depth=1000})`, "1"},
		{`return json.decode("")`, "nil invalid JSON at offset 0: unexpected end"},
		{`return json.decode("[1,]")`, "nil invalid JSON at offset 3: a value expected"},
		{`return json.decode("[1 2]")`, "nil invalid JSON at offset 3: ',' or ']' expected"},
		{`return json.decode('{"a":1,}')`, "nil invalid JSON at offset 7: a key expected"},
		{`return json.decode("1 x")`, "nil invalid JSON at offset 2: unexpected text after the value"},
		{`return json.decode("01")`, "nil invalid JSON at offset 1: unexpected text after the value"},
		{`return json.decode("1e999")`, "nil invalid JSON at offset 0: a number out of range"},
		{`return json.decode('"\255"')`, "nil invalid JSON at offset 1: not UTF-8"},
		{`return json.decode('"a\1"')`, "nil invalid JSON at offset 2: a control character in a string"},
		{`return json.decode('"abc')`, "nil invalid JSON at offset 4: a string without end"},
		{`return json.decode('"\\')`, "nil invalid JSON at offset 2: a string without end"},
		{`return json.decode({})`, "error: bad argument #1"},
	})
}

// Whatever a script encodes or decodes, it is within the run's limits.
func TestJSONLimits(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		code   string
		reason vm.Reason
		memory int64
	}{
		"encode": {`local t = {} for i = 1, 16 do t = {t, t} end json.encode(t)
			local s = ("x"):rep(1000000) local u = {} for i = 1, 100 do u[i] = s end json.encode(u)`, vm.OutOfMemory, 4 << 20},
		"decode":   {`local s = "[" .. ("{},"):rep(200000) .. "1]" json.decode(s)`, vm.OutOfMemory, 4 << 20},
		"expanded": {`local t = {1} for i = 1, 60 do t = {t, t} end json.encode(t)`, vm.OutOfMemory, 4 << 20},
		"work":     {`local s = "[" .. ("1,"):rep(1000) .. "1]" for i = 1, 10000 do json.decode(s) end`, vm.OutOfInstructions, 1 << 40},
		"failures": {`local s = ("1"):rep(1000000) .. "x" for i = 1, 1000 do json.decode(s, {big="number"}) end`, vm.OutOfInstructions, 1 << 40},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			v := newTextVM(t, &vm.Limits{Instructions: 3_000_000, Memory: test.memory})
			if err := v.L.DoString(test.code); err == nil || v.run.Exhausted() == nil {
				t.Fatalf("error %v, exhausted %v, want %s", err, v.run.Exhausted(), test.reason)
			}
			if got := v.run.Exhausted().Reason; got != test.reason {
				t.Errorf("ended for %s, want %s", got, test.reason)
			}
		})
	}
}

// What decodes is valid, and comes back the same.
func FuzzJSONDecode(f *testing.F) {
	for _, s := range []string{
		`{"a":[1,2.5,-3e2,true,null,"x\u00e9\ud83d\ude00"],"b":{}}`, `[]`, `"\ud800"`, `-0`, `9007199254740993`, `[1,]`, "\"\xff\"", `1e5`, `{"a":1,"a":2}`,
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		v := newTextVM(t, vmtest.Limits())
		value, err := modules.DecodeJSON(v.L, []byte(text))
		if err != nil {
			return
		}
		encoded, err := modules.EncodeJSON(v.L, value)
		if err != nil {
			t.Fatalf("%q decodes but doesn't encode: %v", text, err)
		}
		var want, got any
		decoder := json.NewDecoder(strings.NewReader(text))
		if decoder.UseNumber(); decoder.Decode(&want) != nil {
			t.Fatalf("%q decodes, but not for encoding/json", text)
		}
		decoder = json.NewDecoder(bytes.NewReader(encoded))
		if decoder.UseNumber(); decoder.Decode(&got) != nil {
			t.Fatalf("%q encodes to %q", text, encoded)
		}
		if !reflect.DeepEqual(normalJSON(want), normalJSON(got)) {
			t.Fatalf("%q comes back as %q", text, encoded)
		}
	})
}

// normalJSON makes equal numbers equal.
func normalJSON(v any) any {
	switch v := v.(type) {
	case json.Number:
		if f, err := v.Float64(); err == nil && strings.ContainsAny(string(v), ".eE") || f == 0 {
			return f
		}
		f, _ := v.Float64()
		if f < 1<<53 && f > -1<<53 {
			return f
		}
		if !strings.ContainsAny(string(v), ".eE") {
			return f
		}
		return string(v)
	case []any:
		for i := range v {
			v[i] = normalJSON(v[i])
		}
	case map[string]any:
		for k := range v {
			v[k] = normalJSON(v[k])
		}
	}
	return v
}

// Everything that encoding/json takes and is UTF-8 decodes.
func TestJSONAcceptsAll(t *testing.T) {
	t.Parallel()
	v := newTextVM(t, vmtest.Limits())
	for _, text := range []string{
		"\t\r\n 1 ", "-1.5E-3", "0", "-0", "0.0", "1E+2", `""`, `"\u0000"`, "[ ]", "{ }", `{"":[]}`, "[[[]]]", "false",
	} {
		if _, err := modules.DecodeJSON(v.L, []byte(text)); err != nil || !json.Valid([]byte(text)) {
			t.Errorf("%q: %v", text, err)
		}
	}
	for _, text := range []string{"+1", ".5", "1.", "1e", "-", "--1", "nul", "True", "'a'", "[,1]", "{1:2}", `{"a"}`, `"\x"`, `"\u12"`, "\ufeff1", "1\x00", "[1}", "]"} {
		if _, err := modules.DecodeJSON(v.L, []byte(text)); err == nil || json.Valid([]byte(text)) {
			t.Errorf("%q was taken", text)
		}
	}
}

func BenchmarkJSON(b *testing.B) {
	text := []byte(`{"users":[` + strings.Repeat(`{"id":12345,"name":"Jane Doe","email":"jane@example.com","active":true,"score":12.75},`, 11) + `{}]}`)
	b.Run("decode", func(b *testing.B) {
		v := newTextVM(b, &vm.Limits{Instructions: 1 << 60})
		b.SetBytes(int64(len(text)))
		b.ReportAllocs()
		for b.Loop() {
			if _, err := modules.DecodeJSON(v.L, text); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("encode", func(b *testing.B) {
		v := newTextVM(b, &vm.Limits{Instructions: 1 << 60})
		value, _ := modules.DecodeJSON(v.L, text)
		b.SetBytes(int64(len(text)))
		b.ReportAllocs()
		for b.Loop() {
			if _, err := modules.EncodeJSON(v.L, value); err != nil {
				b.Fatal(err)
			}
		}
	})
}
