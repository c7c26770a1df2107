package lua_test

import (
	"strings"
	"testing"

	"github.com/keystone-gateway/keystone-gateway/lua"
)

// TestCookies: what a script says of a cookie, and what it may not say.
func TestCookies(t *testing.T) {
	t.Parallel()
	wrong := func(why string) string { return "bad argument #1 to 'cookie' (" + why + ")" }
	for table, want := range map[string]string{
		`name = "a", value = "b"`:                       "a=b; Path=/; HttpOnly; Secure; SameSite=Lax",
		`name = "a", value = 5, path = "/x"`:            "a=5; Path=/x; HttpOnly; Secure; SameSite=Lax",
		`name = "a", domain = "example.com"`:            "a=; Path=/; Domain=example.com; HttpOnly; Secure; SameSite=Lax",
		`name = "a", secure = false, http_only = false`: "a=; Path=/; SameSite=Lax",
		`name = "a", secure = true, http_only = true`:   "a=; Path=/; HttpOnly; Secure; SameSite=Lax",
		`name = "a", same_site = "Lax"`:                 "a=; Path=/; HttpOnly; Secure; SameSite=Lax",
		`name = "a", same_site = "strict"`:              "a=; Path=/; HttpOnly; Secure; SameSite=Strict",
		`name = "a", same_site = "Strict"`:              "a=; Path=/; HttpOnly; Secure; SameSite=Strict",
		`name = "a", same_site = "None"`:                "a=; Path=/; HttpOnly; Secure; SameSite=None",
		`name = "a", same_site = "none"`:                "a=; Path=/; HttpOnly; Secure; SameSite=None",
		`name = "a", max_age = 60`:                      "a=; Path=/; Max-Age=60; HttpOnly; Secure; SameSite=Lax",
		`name = "a", max_age = 1`:                       "a=; Path=/; Max-Age=1; HttpOnly; Secure; SameSite=Lax",
		`name = "a", max_age = 0`:                       "a=; Path=/; Max-Age=0; HttpOnly; Secure; SameSite=Lax",
		`name = "a", max_age = -7`:                      "a=; Path=/; Max-Age=0; HttpOnly; Secure; SameSite=Lax",
		`name = "a", expires = 86400`:                   "a=; Path=/; Expires=Fri, 02 Jan 1970 00:00:00 GMT; HttpOnly; Secure; SameSite=Lax",
		`name = "a", max_age = 2^40`:                    "a=; Path=/; Max-Age=1099511627776; HttpOnly; Secure; SameSite=Lax",
		`name = "a", max_age = 2^40 + 1`:                wrong("the cookie's max_age is 1099511627777, expected seconds"),
		`name = "a", max_age = -2^40 - 1`:               wrong("the cookie's max_age is -1099511627777, expected seconds"),
		`name = "a", expires = 0/0`:                     wrong("the cookie's expires is nan, expected seconds"),
		`name = "a", max_age = "60"`:                    wrong("the cookie's max_age is a string, expected a number"),
		`name = "a", expires = true`:                    wrong("the cookie's expires is a boolean, expected a number"),
		`name = {}`:                                     wrong("the cookie's name is a table, expected a string"),
		`name = "a", value = true`:                      wrong("the cookie's value is a boolean, expected a string"),
		`name = "a", secure = 1`:                        wrong("the cookie's secure is a number, expected true or false"),
		`name = "a", http_only = "no"`:                  wrong("the cookie's http_only is a string, expected true or false"),
		`name = "a", same_site = "LAX"`:                 wrong(`same_site is "LAX", expected Lax, Strict or None`),
		`name = "a", same_site = {}`:                    wrong("the cookie's same_site is a table, expected a string"),
		`name = "a", httponly = true`:                   wrong(`a cookie has no "httponly" (did you mean 'http_only'?), expected name, value, path, domain, max_age, expires, secure, http_only, same_site`),
		`name = "a", "b"`:                               wrong(`a cookie has no "1", expected name, value, path, domain, max_age, expires, secure, http_only, same_site`),
		`value = "b"`:                                   wrong("http: invalid Cookie.Name"),
	} {
		got := sees(t, "response:cookie{"+table+"}", nil)
		if strings.TrimPrefix(got, "0  Set-Cookie: ") != want {
			t.Errorf("{%s}\ngives    %s\nexpected %s", table, got, want)
		}
	}
	plain := func(p *page) { p.request.request.Scheme = "http" }
	for code, want := range map[string]string{
		`response:cookie{name = "a"}`:                "0  Set-Cookie: a=; Path=/; HttpOnly; SameSite=Lax",
		`response:cookie{name = "a", secure = true}`: "0  Set-Cookie: a=; Path=/; HttpOnly; Secure; SameSite=Lax",
		`response:cookie("a")`:                       "bad argument #1 to 'cookie' (table expected, got string)",
		`response:cookie{name = "a", http_only = false} response:cookie{name = "b", http_only = false}`: "0  Set-Cookie: a=; Path=/; SameSite=Lax Set-Cookie: b=; Path=/; SameSite=Lax",
		`response:cookie(setmetatable({}, {__index = {name = "a", http_only = false}}))`:                "0  Set-Cookie: a=; Path=/; SameSite=Lax",
	} {
		if got := sees(t, code, plain); got != want {
			t.Errorf("%s\ngives    %s\nexpected %s", code, got, want)
		}
	}
}

// known is what policies have found out about who has sent a request.
type known map[string]string

func (k known) Left(name string) []byte {
	if value, ok := k[name]; ok {
		return []byte(value)
	}
	return nil
}

// TestScriptsSeeWhoHasSentARequest: the user and what else policies have found out.
func TestScriptsSeeWhoHasSentARequest(t *testing.T) {
	t.Parallel()
	const code = `response:write(tostring(request.user), " ", tostring(request:identity("jwt.sub")), " ", tostring(request:identity("jwt.iss")))`
	for want, change := range map[string]func(*page){
		"0 nil nil nil": nil,
		"0 ada 7 nil": func(p *page) {
			p.request.request.User, p.request.request.Identity = []byte("ada"), known{"jwt.sub": "7"}
		},
		"0   nil": func(p *page) { p.request.request.User, p.request.request.Identity = []byte{}, known{"jwt.sub": ""} },
	} {
		if got := sees(t, code, change); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	if got := sees(t, `request:identity()`, nil); got != "bad argument #1 to 'identity' (string expected, got no value)" {
		t.Errorf("got %q", got)
	}
}

// TestTheFirstStyle: scripts of the earlier Keystone call what are properties here, and
// leave the object out or give it in front.
func TestTheFirstStyle(t *testing.T) {
	t.Parallel()
	for code, want := range map[string]string{
		`response.write(request.method(), request.path(), request.host(), request.query())`:      "0 POST/shop/Über unsshop.example.coma=1&b=x+y%21&c&d=%zz&%65=5",
		`response.write(request.header("x-own"), request.cookie("a"), request.query_param("a"))`: "0 111",
		`response.status(404) response.header("X-A", "1") response.write("a")`:                   "404 a X-A: 1",
		`response.write(request.body())`:                                                         `0 {"a":[1,2]}, body of 1048576`,
		`response.write(request.body, request.body())`:                                           `0 {"a":[1,2]}{"a":[1,2]}, body of 1048576`,
		`request.set_path("/x")`:                                                                 "0 , path /x",
		`local m = request.method local n = m() response.write(n)`:                               "attempt to call local 'm' (a string value)",
		`local s = "POST" s()`:                                                                   "attempt to call local 's' (a string value)",
		`response.write(request.nobody())`:                                                       "request has no field or method 'nobody'",
		`request_header({}, "a")`:                                                                "bad argument #1 to 'request_header' (userdata expected, got table)",
		`request_header(response, "x-own") response_write(request, "a")`:                         "0 a",
		`chi_context_set(request, "a", 5) response_write(response, chi_context_get(request, "a"), tostring(chi_context_get(request, "b")))`:                                                                                              "0 5nil",
		`for name, value in pairs(request_headers(request)) do if name == "Cookie" or name == "X-Own" then response_header(response, name, value) end end response_write(response, response:header("Cookie"), response:header("x-own"))`: "a=1; b=21",
		`response_write(response, type(request.headers()), request:headers().accept)`:                                                                                                                                                    "0 userdatatext/html",
		`response_write(response, get_env("HOME"), get_env("B"), get_env("A"))`:                                                                                                                                                          "0 secretfrom the environment",
	} {
		dir := t.TempDir()
		put(t, dir, "a.lua", "chi_middleware(function(request, response, next) "+code+" end)")
		o := options(dir, "a.lua")
		o.Config.Env, o.Config.Secrets = []string{"A", "B"}, map[string]string{"B": "secret"}
		o.Env = func(name string) (string, bool) {
			return map[string]string{"A": "from the environment", "B": "hidden", "HOME": "/root"}[name], true
		}
		scripts, err := lua.Load(o)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(scripts.Close)
		p := newPage()
		if got := p.answered(scripts.Serve(p, 0)); !strings.Contains(got, want) {
			t.Errorf("%s\ngives    %s\nexpected %s", code, got, want)
		}
	}
	if got := sees(t, `response:write("<", get_env("A"), ">")`, nil); got != "0 <>" {
		t.Errorf("without an environment: %q", got)
	}
}
