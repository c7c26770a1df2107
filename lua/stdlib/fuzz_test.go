package stdlib_test

import (
	"strings"
	"testing"

	glua "github.com/yuin/gopher-lua"
	"github.com/yuin/gopher-lua/pm"

	"github.com/keystone-gateway/keystone-gateway/lua/vm"
)

func FuzzMatch(f *testing.F) {
	for _, pattern := range []string{"^(%w+)%s*=", "%b()", "%f[%a]%a+", "()(.)%2", "[^]a-]*-", "[a-", "%", "(", ")", "[%", "%f[", "[a-%", "a?b*c+d-$"} {
		f.Add("key = (a(b)c) value aa", pattern, 1)
	}
	f.Fuzz(func(t *testing.T, s, pattern string, init int) {
		thread, _ := begin(t, &vm.Limits{Instructions: 20_000, Memory: 1 << 20, Coroutines: 1})
		thread.SetGlobal("s", glua.LString(s))
		thread.SetGlobal("p", glua.LString(pattern))
		thread.SetGlobal("init", glua.LNumber(init))
		got := eval(thread, `local r = s:match(p) s:find(p, init) s:gsub(p, "%0") for a in s:gmatch(p) do end return r`)
		if strings.Contains(got, "internal error") || strings.Contains(got, "runtime error") {
			t.Fatalf("%q in %q: %s", pattern, s, got)
		}
		if len(s) > 50 || len(pattern) > 8 || strings.HasPrefix(got, "error") || !plain(pattern) {
			return
		}
		matches, err := pm.Find(pattern, []byte(s), 0, 1)
		if err != nil {
			return // gopher-lua refuses some that are fine
		}
		want := "nil"
		if len(matches) > 0 {
			m := matches[0]
			want = s[m.Capture(0):m.Capture(1)]
		}
		thread.SetTop(0)
		if err := thread.DoString(`local a, b = s:find(p) return a and s:sub(a, b) or nil`); err != nil {
			t.Fatal(err)
		}
		if is := thread.Get(-1).String(); is != want {
			t.Errorf("%q in %q is %q, gopher-lua says %q", pattern, s, is, want)
		}
	})
}

// plain patterns are those that gopher-lua is right about.
func plain(pattern string) bool {
	return !strings.ContainsAny(pattern, "%[](^$\x00") && strings.IndexFunc(pattern, func(r rune) bool { return r > 126 }) < 0
}

func FuzzFormat(f *testing.F) {
	f.Add("%d %5.2f %-10s| %q %x %#o %+e %g %c %%", "a\x00\n", 1.5)
	f.Add("%99.99f%020d% i%u%X%G%E%i", "12", -1e308)
	f.Fuzz(func(t *testing.T, format, s string, n float64) {
		thread, _ := begin(t, &vm.Limits{Instructions: 20_000, Memory: 1 << 20, Coroutines: 1})
		thread.SetGlobal("f", glua.LString(format))
		thread.SetGlobal("s", glua.LString(s))
		thread.SetGlobal("n", glua.LNumber(n))
		got := eval(thread, `local r = f:format(n, n, n, n, n, n, n, n, n) pcall(f.format, f, s, s, s, s)
		pcall(os.date, f, n) return (pcall(tonumber, s)), r`)
		if strings.Contains(got, "internal error") || strings.Contains(got, "runtime error") || strings.Contains(got, "!(") && !strings.Contains(format, "!(") && !strings.Contains(format, "%") {
			t.Fatalf("%q: %s", format, got)
		}
	})
}
