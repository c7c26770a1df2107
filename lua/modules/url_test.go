package modules_test

import (
	"net/url"
	"testing"

	glua "github.com/yuin/gopher-lua"

	"github.com/keystone-gateway/keystone-gateway/lua/vm/vmtest"
)

func TestURL(t *testing.T) {
	t.Parallel()
	runTextCases(t, []textCase{
		{`local u = url.parse("HTTP://us%20er:p%40ss@[::1]:8080/a%2Fb/c?x=1&y#frag") return u.scheme, u.user, u.password, u.host, u.hostname, u.port, u.path, u.query, u.fragment`,
			"http us er p@ss [::1]:8080 ::1 8080 /a%2Fb/c x=1&y frag"},
		{`local u = url.parse("/p") return u.scheme, u.host, u.port, u.path, u.query`, "nil nil nil /p nil"},
		{`return url.parse("mailto:a@b").opaque`, "a@b"},
		{`return url.parse("http://h:99999/")`, "nil invalid URL: no such port"},
		{`return url.parse("http://a b/")`, `nil invalid URL: " " can't be in a host`},
		{`return url.parse("http://h/%zz")`, `nil invalid URL: "%zz" is not an escape, expected % and two hexadecimal digits`},
		{`return url.parse(("a"):rep(70000))`, "nil invalid URL: longer than 64 KiB"},
		{`return url.parse(nil)`, "error: bad argument #1"},
		{`return url.build(url.parse("https://u:p@h:1/a%2Fb?x=%20#f"))`, "https://u:p@h:1/a%2Fb?x=%20#f"},
		{`return url.build{scheme="http", hostname="::1", port=80, path="/a b?", query={b={1,2}, a="x y&"}}`, "http://[::1]:80/a%20b%3F?a=x%20y%26&b=1&b=2"},
		{`return url.build{path="/p", query="a b#c\r\n"}`, "/p?a%20b%23c%0D%0A"},
		{`return url.build{scheme="http", host="h/evil", path="/"}`, "nil invalid URL: the parts don't make one"},
		{`return url.build{scheme="http", host="h@evil", path="/"}`, "nil invalid URL: the parts don't make one"},
		{`return url.build{path="//evil/"}`, "nil invalid URL: the parts don't make one"},
		{`return url.build{scheme="http", host="h", path="p"}`, "nil invalid URL: the path after a host doesn't begin with /"},
		{`return url.build{scheme="ja va", path="/p"}`, "nil invalid URL: the parts don't make one"},
		{`return url.build{path={}}`, "error: path is not a string"},
		{`return url.build{path=("a"):rep(70000)}`, "error: longer than 64 KiB"},
		{`return url.escape("a b/ü~-._"), url.escape_path("/a b/ü;:@?#%")`, "a%20b%2F%C3%BC~-._ /a%20b/%C3%BC;:@%3F%23%25"},
		{`return url.unescape("a%20b+%C3%BC"), url.unescape("%4")`, "a b+ü nil invalid URL: an incomplete escape"},
		{`return url.unescape("%4g")`, "nil invalid URL: an escape without hexadecimal digits"},
		{`local q = url.query("?a=1&b=x+y%26&a=2&&c&a=3&=e") return #q.a, q.a[3], q.b, q.c, q[""]`, "3 3 x y&  e"},
		{`return url.query("a=%")`, "nil invalid URL: an incomplete escape"},
		{`return url.encode_query{z=1700000000.25, a={3, "b"}, ["k e"]=true}`, "a=3&a=b&k%20e=true&z=1700000000.25"},
		{`return url.encode_query{a={{}}}`, "error: the value of a query parameter is a table"},
		{`return url.encode_query{[{}]=1}`, "error: the name of a query parameter is a table"},
		{`local t = {} t.t = t return url.encode_query(t)`, ""},
		{`return url.join("http://h/a/b?c", "../d"), url.join("http://h/a", "//x/y"), url.join("http://h/a", "?q")`, "http://h/d http://x/y http://h/a?q"},
		{`return url.join("http://h/", "http://[")`, "nil invalid URL: missing ']' in host"},
	})
}

// What is parsed can be built, and is the same URL.
func FuzzURL(f *testing.F) {
	for _, s := range []string{"https://u:p@h:1/a%2Fb?x=%20#f", "mailto:a@b", "//h", "a:b", "/%zz", "?", "http://[::1%25eth0]/", "#", "x:/p", "http:///p"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		v := newTextVM(t, vmtest.Limits())
		v.L.SetGlobal("s", glua.LString(s))
		if err := v.L.DoString(`
			local parts = url.parse(s)
			built = parts and url.build(parts)
			url.join("http://h/a", s); url.unescape(s)
			assert(url.unescape(url.escape(s)) == s)
			local q = url.query(s)
			if q then assert(url.encode_query(url.query(url.encode_query(q))) == url.encode_query(q)) end
		`); err != nil {
			t.Fatal(err)
		}
		built, ok := v.L.GetGlobal("built").(glua.LString)
		if !ok {
			return
		}
		want, err1 := url.Parse(s)
		got, err2 := url.Parse(string(built))
		if err1 != nil || err2 != nil || want.Host != got.Host || want.Path != got.Path || want.Scheme != got.Scheme || want.Fragment != got.Fragment {
			t.Fatalf("%q becomes %q", s, built)
		}
	})
}
