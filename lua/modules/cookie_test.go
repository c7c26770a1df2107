package modules_test

import (
	"strings"
	"testing"
	"time"

	glua "github.com/yuin/gopher-lua"

	"github.com/keystone-gateway/keystone-gateway/lua/vm"
	"github.com/keystone-gateway/keystone-gateway/lua/vm/vmtest"
	"github.com/keystone-gateway/keystone-gateway/tenants/cookie"
)

const cookieSecret = `local key, other = ("k"):rep(32), ("o"):rep(40) `

func TestCookie(t *testing.T) {
	t.Parallel()
	runTextCases(t, []textCase{
		{`local c = cookie.parse('a=1; b="2 3"; a=4; =x; y') return c.a, c.b, c.y`, "1 2 3 nil"},
		{`local c = cookie.parse({"a=1", "b=2; a=3"}) return c.a, c.b`, "1 2"},
		{`return next(cookie.parse(nil)), next(cookie.parse("")), next(cookie.parse({}))`, "nil nil nil"},
		{`return cookie.parse()`, "error: value expected"},
		{`return cookie.parse(true)`, "error: string expected"},
		{`return cookie.parse({"a=1", 5})`, "error: the list must hold texts, not a number"},
		{`return cookie.parse(("a"):rep(70000))`, "error: too long"},
		{`return cookie.build{name = "a", value = "b"}`, "a=b; Path=/; HttpOnly; Secure; SameSite=Lax"},
		{`return cookie.build{name = "__Host-a", value = "b", max_age = 60, same_site = "Strict"}`, "__Host-a=b; Path=/; Max-Age=60; HttpOnly; Secure; SameSite=Strict"},
		{`return cookie.build{name = "__Host-a", domain = "example.com"}`, "error: must have no domain"},
		{`return cookie.build{name = "__Secure-a", secure = false}`, "error: must be secure"},
		{`return cookie.build{name = "a", same_site = "None", secure = false}`, "error: must be secure"},
		{`return cookie.build{name = "a", value = "x\r\nSet-Cookie: b=c"}`, "error: invalid"},
		{`return cookie.build{name = "a", value = ("x"):rep(1e6)}`, "error: too long"},
		{`return cookie.build{name = "a", httponly = true}`, "error: (did you mean 'http_only'?)"},
		{`return cookie.build("a")`, "error: table expected"},
		{`return cookie.set({}, {name = "a"})`, "error: userdata expected"},
		{cookieSecret + `local k = cookie.keys({key}) return k:verify("s", k:sign("s", "ada", 60))`, "ada"},
		{cookieSecret + `local k = cookie.keys(key) return k:decrypt("s", k:encrypt("s", "ada", 60))`, "ada"},
		{cookieSecret + `return cookie.keys({other, key}):verify("s", cookie.keys(key):sign("s", "ada", 60))`, "ada"},
		{cookieSecret + `return cookie.keys({other, key}):decrypt("s", cookie.keys(key):encrypt("s", "ada", 60))`, "ada"},
		{cookieSecret + `return cookie.keys(other):verify("s", cookie.keys(key):sign("s", "ada", 60))`, "nil " + cookie.ErrSigned.Error()},
		{cookieSecret + `return cookie.keys(key):verify("t", cookie.keys(key):sign("s", "ada", 60))`, "nil " + cookie.ErrSigned.Error()},
		{cookieSecret + `return cookie.keys(key):decrypt("s", cookie.keys(key):sign("s", "ada", 60))`, "nil " + cookie.ErrSigned.Error()},
		{cookieSecret + `return cookie.keys(key):verify("s", nil)`, "nil there is no cookie"},
		{cookieSecret + `return cookie.keys(key):verify("s", ("x"):rep(1e6))`, "nil " + cookie.ErrSigned.Error()},
		{cookieSecret + `local k = cookie.keys(key) return k:verify("s", k:sign("s", "\0;\r\n", 60)) == "\0;\r\n"`, "true"},
		{cookieSecret + `local k = cookie.keys(key) return cookie.build{name = "s", value = k:encrypt("s", ("v"):rep(2000), 1e12)}:sub(1, 2)`, "s="},
		{cookieSecret + `return tostring(cookie.keys(key)), getmetatable(cookie.keys(key))`, "keys of cookies false"},
		{cookieSecret + `return cookie.keys({})`, "error: no key"},
		{cookieSecret + `return cookie.keys("short")`, "error: a key of 5 bytes is too short"},
		{cookieSecret + `return cookie.keys({key, ""})`, "error: a key of 0 bytes is too short"},
		{cookieSecret + `return cookie.keys({name = key})`, "error: must be a list of strings"},
		{cookieSecret + `return cookie.keys(("k"):rep(1e6))`, "error: longer than 4096 bytes"},
		{cookieSecret + `local l = {} for i = 1, 17 do l[i] = key end return cookie.keys(l)`, "error: more than 16 entries"},
		{cookieSecret + `return cookie.keys(key):sign("s", "ada")`, "error: number expected"},
		{cookieSecret + `return cookie.keys(key):sign("s", "ada", 0)`, "error: seconds expected"},
		{cookieSecret + `return cookie.keys(key):sign("s", "ada", 0/0)`, "error: seconds expected"},
		{cookieSecret + `return cookie.keys(key):sign("", "ada", 60)`, "error: a cookie's name expected"},
		{cookieSecret + `return cookie.keys(key):sign("s", ("x"):rep(5000), 60)`, "error: too long for a cookie"},
		{cookieSecret + `return cookie.keys(key).sign(5, "s", "ada", 60)`, "error: keys of cookies expected"},
	})
}

// TestCookieExpires: what was signed or encrypted is over when it is, by the scripts'
// clock.
func TestCookieExpires(t *testing.T) {
	t.Parallel()
	v := newTextVM(t, vmtest.Limits())
	if got := v.eval(cookieSecret + `k = cookie.keys(key) signed, hidden = k:sign("s", "ada", 60), k:encrypt("s", "ada", 60)`); got != "" {
		t.Fatal(got)
	}
	read := `return tostring((k:verify("s", signed))) .. tostring((k:decrypt("s", hidden)))`
	v.clock.now = v.clock.now.Add(59 * time.Second)
	if got := v.eval(read); got != "adaada" {
		t.Errorf("after 59 s: %s", got)
	}
	v.clock.now = v.clock.now.Add(2 * time.Second)
	if got := v.eval(read); got != "nilnil" {
		t.Errorf("after 61 s: %s", got)
	}
}

// TestCookieKeysAreCounted with what they take.
func TestCookieKeysAreCounted(t *testing.T) {
	t.Parallel()
	v := newTextVM(t, vmtest.Limits())
	v.eval(`k = cookie.keys({("k"):rep(4000), ("l"):rep(4000)})`)
	holder, ok := v.L.GetGlobal("k").(*glua.LUserData)
	if !ok {
		t.Fatal(v.L.GetGlobal("k"))
	}
	if s, ok := holder.Value.(vm.Sized); !ok || s.Size() < 8000 {
		t.Errorf("%T, expected at least 8000 bytes", holder.Value)
	}
	limits := vmtest.Limits()
	limits.Instructions = 200_000
	poor := newTextVM(t, limits)
	if got := poor.eval(`local k = cookie.keys(("k"):rep(32)) for i = 1, 1e6 do k:verify("s", ("x"):rep(4000)) end`); !strings.Contains(got, "max_instructions") {
		t.Errorf("verifying for ever: %.200s", got)
	}
}
