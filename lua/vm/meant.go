package vm

import (
	"slices"

	glua "github.com/yuin/gopher-lua"

	"github.com/keystone-gateway/keystone-gateway/proxy/spelling"
)

// Bounds of the names that a misspelt one is compared with.
const (
	maxNames   = 400
	maxName    = 40 // bytes
	nameWork   = 50 // instructions for each
	nameBytes  = 64 // that lists of them take
	maxParents = 5  // tables that __index leads to
)

// meant guesses what a name was meant to be that nothing has: " (did you mean
// 'x'?)", or "".
func (f *frame) meant(L *glua.LState, n named, v glua.LValue) string {
	_, function := v.(*glua.LFunction)
	if v != glua.LNil && !function || len(n.name) > maxName {
		return ""
	}
	var of glua.LValue
	var known []string
	switch n.kind {
	case "global":
		of, known = L.G.Global, f.variables()
	case "field", "method":
		of = f.origin(L, n.pc, n.register, 0)
	}
	functions := functionsOf(L)
	if functions == nil {
		return ""
	}
	known = append(known, fieldNames(L, of, functions.Names)...)
	run := RunOf(L)
	run.ChargeItems(L, len(known), nameBytes)
	run.Spend(L, nameWork*len(known))
	if function { // request.header["X"]
		if slices.Contains(known, n.name+"s") {
			return didYouMean(n.name + "s")
		}
		return ""
	}
	if n.kind == "global" {
		return GlobalSuggestion(n.name, known)
	}
	return fieldSuggestion(n.name, known)
}

// fieldSuggestion is Suggestion for the name of a library's function.
func fieldSuggestion(name string, known []string) string {
	for _, ours := range foreignFields[name] {
		if slices.Contains(known, ours) {
			return didYouMean(ours)
		}
	}
	if name == "getenv" { // os.getenv
		return didYouMean("get_env")
	}
	return Suggestion(name, known)
}

// variables are the names of what a function sees besides globals.
func (f *frame) variables() (names []string) {
	for _, v := range f.Fn.Proto.DbgLocals {
		if pc := f.at(); v.StartPc <= pc && pc < v.EndPc && len(names) < maxNames {
			names = append(names, v.Name)
		}
	}
	return append(names, f.Fn.Proto.DbgUpvalues...)
}

// Suggestion words a guess at what a name was meant to be, for the end of a
// message: " (did you mean 'x'?)", or "" where nothing is near.
func Suggestion(name string, known []string) string {
	if near := spelling.Nearest(name, known); near != "" && near != name {
		return didYouMean(near)
	}
	return ""
}

// GlobalSuggestion is Suggestion for the name of a global variable.
func GlobalSuggestion(name string, known []string) string {
	if lua := foreignNames[name]; lua != "" {
		return didYouMean(lua)
	}
	return Suggestion(name, known)
}

// foreignNames are what other languages, and other gateways with Lua, call
// things.
var foreignNames = map[string]string{
	"null": "nil", "NULL": "nil", "undefined": "nil", "None": "nil", "none": "nil", "True": "true", "False": "false", "TRUE": "true", "FALSE": "false",
	"this": "self", "throw": "error", "raise": "error", "die": "error", "echo": "print", "console": "log", "puts": "print", "JSON": "json", "cjson": "json", "ngx": "request, response or keystone.…",
	"len": "#", "length": "#", "str": "tostring", "parseInt": "tonumber", "parseFloat": "tonumber", "int": "tonumber", "getenv": "get_env", "printf": "string.format", "sprintf": "string.format",
	"keystone": `require "keystone.…"`, "metrics": `require "keystone.metrics"`, "crypto": `require "keystone.crypto"`, "jwt": `require "keystone.jwt"`, "re": `require "keystone.re"`, "url": `require "keystone.url"`, "time": `require "keystone.time"`,
	"ip": `require "keystone.ip"`, "cookie": `require "keystone.cookie"`, "policy": `require "keystone.policy"`, "timer": `require "keystone.timer"`, "template": `require "keystone.template"`,
	"req": "request", "res": "response", "resp": "response", "router": "chi", "app": "chi", "isset": "~= nil", "typeof": "type", "foreach": "for key, value in pairs(t) do",
}

// foreignFields are what other languages and libraries call functions, by what
// they are called where there is one of that name.
var foreignFields = map[string][]string{
	"stringify": {"encode"}, "dumps": {"encode"}, "dump": {"encode"}, "serialize": {"encode"}, "marshal": {"encode"}, "tojson": {"encode"},
	"parse": {"decode"}, "loads": {"decode"}, "deserialize": {"decode"}, "unmarshal": {"decode"},
	"warning": {"warn"}, "err": {"error"}, "fatal": {"error"}, "notice": {"info"}, "log": {"info"}, "trace": {"debug"},
	"inc": {"add", "incr"}, "increment": {"add", "incr"}, "counter": {"add"}, "count": {"add"}, "gauge": {"set"}, "put": {"set"}, "push": {"insert"}, "append": {"insert"},
	"length": {"len"}, "size": {"len"}, "substring": {"sub"}, "substr": {"sub"}, "replace": {"gsub"}, "toupper": {"upper"}, "tolower": {"lower"}, "join": {"concat"}, "fetch": {"get"},
}

func didYouMean(name string) string { return " (did you mean '" + name + "'?)" }

// fieldNames lists what a value has, as far as that is known, in order. It looks
// at maxNames keys in all.
func fieldNames(L *glua.LState, v glua.LValue, ofObject func(*glua.LUserData) []string) (names []string) {
	looked := 0
	for range maxParents {
		if v == nil {
			break
		}
		if u, ok := v.(*glua.LUserData); ok && ofObject != nil {
			names = append(names, ofObject(u)...)
		}
		t, ok := v.(*glua.LTable)
		if !ok {
			if t, ok = L.GetMetaField(v, "__index").(*glua.LTable); !ok {
				break
			}
		}
		content := t
		if frozen := Frozen(t); frozen != nil {
			content = frozen
		}
		key, value := content.Next(glua.LNil)
		for ; key != glua.LNil && looked < maxNames; looked++ {
			if name, ok := key.(glua.LString); ok && len(name) <= maxName && value != glua.LNil {
				names = append(names, string(name))
			}
			key, value = content.Next(key)
		}
		v = L.GetMetaField(t, "__index")
	}
	slices.Sort(names)
	return names
}
