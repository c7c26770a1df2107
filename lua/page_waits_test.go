package lua_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/keystone-gateway/keystone-gateway/lua"
	"github.com/keystone-gateway/keystone-gateway/proxy/message"
)

// TestDescribingFieldsGoWithTheBody that they describe, and no others.
func TestDescribingFieldsGoWithTheBody(t *testing.T) {
	t.Parallel()
	with := func(p *page) {
		for _, name := range []string{"Content-Encoding", "Content-Range", "Content-MD5", "Content-Digest", "Repr-Digest", "Digest", "ETag", "Accept-Ranges", "Content-Type"} {
			p.answer = append(p.answer, message.Field{Name: []byte(name), Value: []byte("x"), ID: message.Identify([]byte(name))})
		}
		p.begin()
	}
	for _, code := range []string{`response:set_body("")`, `response.body = ""`} {
		if got := sees(t, "next() "+code, with); got != "200  Server: app Content-Length: 2 Content-Type: x" {
			t.Errorf("%s: got %q", code, got)
		}
	}
	if got := sees(t, `response:header("ETag", "1") response:set_body("x")`, nil); got != "0 x ETag: 1" {
		t.Errorf("a script's own field: got %q", got)
	}
}

// TestScriptsAndTunnels: a response that becomes a tunnel has no body, unless it gets
// another status before.
func TestScriptsAndTunnels(t *testing.T) {
	t.Parallel()
	upgraded := func(p *page) {
		p.response.Target, p.response.Status, p.response.Header = true, 101, &p.target
	}
	for code, want := range map[string]string{
		`response.body = "x"`:                      "the connection is about to become a tunnel: set another status before its body",
		`response:set_body("x")`:                   "the connection is about to become a tunnel: set another status before its body",
		`local b = response.body`:                  "the connection is about to become a tunnel: it has no body",
		`response:status(403) response.body = "x"`: "403 x Server: app Content-Length: 2",
		`response:header("X", "1")`:                "101  Server: app Content-Length: 2 X: 1",
	} {
		if got := sees(t, code, upgraded); got != want {
			t.Errorf("%s: got %q, want %q", code, got, want)
		}
	}
}

// TestScriptsAndFaults: what a script writes takes the place of the gateway's own
// error.
func TestScriptsAndFaults(t *testing.T) {
	t.Parallel()
	faulty := func(p *page) {
		p.response.Status, p.response.Fault = 502, true
		p.response.Body = append(p.response.Body, "bad gateway"...)
	}
	for code, want := range map[string]string{
		``:                              "502 bad gateway",
		`response:write("a", "b")`:      "502 ab",
		`response:json({})`:             "502 {} Content-Type: application/json",
		`response:set_body("a")`:        "502 a",
		`response.body = response.body`: "502 bad gateway",
		`response:redirect("/x")`:       "302  Location: /x",
	} {
		if got := sees(t, code, faulty); got != want {
			t.Errorf("%s: got %q, want %q", code, got, want)
		}
	}
}

// TestWaitsThatFail: a client that is gone ends the script, an error of the
// exchange's can be caught, and what ends the request comes out again.
func TestWaitsThatFail(t *testing.T) {
	t.Parallel()
	ending := &lua.Ending{Err: errors.New("too large")}
	for _, code := range []string{`local b = request.body`, `response:flush()`, `next()`, `next() local b = response.body`} {
		failing := func(err error) func(*page) {
			return func(p *page) {
				p.failing = err
				if strings.Contains(code, "response.body") {
					p.failing, p.late = nil, err
				}
			}
		}
		if got := sees(t, code, failing(lua.ErrGone)); got != lua.ErrGone.Error() {
			t.Errorf("%s, without a client: got %q", code, got)
		}
		if got := sees(t, "pcall(function() "+code+" end)", failing(lua.ErrGone)); got != lua.ErrGone.Error() {
			t.Errorf("%s, caught without a client: got %q", code, got)
		}
		if got := sees(t, code, failing(ending)); got != "too large" {
			t.Errorf("%s, at an end: got %q", code, got)
		}
		if got := sees(t, "local ok, why = pcall(function() "+code+" end) error(tostring(why), 0)", failing(ending)); !strings.HasSuffix(got, "too large") {
			t.Errorf("%s, caught at an end: got %q", code, got)
		}
		if got := sees(t, code, failing(errors.New("it broke"))); !strings.HasSuffix(got, "it broke") {
			t.Errorf("%s, broken: got %q", code, got)
		}
	}
}

// TestModulesAreLoadedBefore requests are served, and by none of them.
func TestModulesAreLoadedBefore(t *testing.T) {
	t.Parallel()
	for module, want := range map[string]string{
		"lib.auth": `module "lib.auth" is not loaded: require it where the script is loaded, outside of functions that handle requests`,
		"../x":     "bad argument #1 to 'require' (expected names joined by dots, such as lib.auth)", "": "bad argument #1 to 'require' (expected names joined by dots, such as lib.auth)",
		strings.Repeat("m", 200): `module "` + strings.Repeat("m", 200) + `" is not loaded`, strings.Repeat("m", 201): "bad argument #1 to 'require' (there is no module " + strings.Repeat("m", 100) + "…)",
		"keystone.nothing": `bad argument #1 to 'require' (there is no module "keystone.nothing", expected one of keystone.cookie, keystone.crypto, `,
	} {
		if got := sees(t, `require "`+module+`"`, nil); !strings.HasPrefix(got, want) {
			t.Errorf("%s: got %q, want %q", module, got, want)
		}
	}
}

// TestLaterUses: what a script has kept of a request works for no other one.
func TestLaterUses(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	put(t, dir, "a.lua", `local kept
chi_middleware(function(request, response, next)
	if kept then kept() end
	local iterate = pairs(request.headers)
	kept = ({path = function() return request.path end, header = function() request:header("x") end, next = next, headers = function() return request.headers.x end,
		pairs = iterate, write = function() response:write("x") end, call = function() return request.headers() end, length = function() return #request.headers end})[request.query]
end)`)
	for _, use := range []string{"path", "header", "next", "headers", "pairs", "write", "call", "length"} {
		o := options(dir, "a.lua")
		o.Shards = 1
		scripts, err := lua.Load(o)
		if err != nil {
			t.Fatal(err)
		}
		for i, want := range []string{"0 ", "this belongs to another request: what a request's functions are given can't be kept for the next"} {
			p := newPage()
			p.request.request.Query = []byte("?" + use)
			if got := p.answered(scripts.Serve(p, 0)); !strings.HasSuffix(got, want) {
				t.Errorf("%s: the request %d got %q, want %q", use, i, got, want)
			}
		}
		scripts.Close()
	}
	put(t, dir, "b.lua", `request_method()`)
	if _, err := lua.Load(options(dir, "b.lua")); err == nil || !strings.Contains(err.Error(), "bad argument #1") {
		t.Errorf("got %v", err)
	}
}
