package lua_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/keystone-gateway/keystone-gateway/lua"
)

// visit is a page whose pool, and whose gateway, say that they were asked.
type visit struct {
	*page
	answer string
}

func (v *visit) Forward() error {
	v.answer = "pool"
	return v.page.Forward()
}

func (v *visit) Answer(err error) {
	v.response.Status = 404
	v.answer = err.Error()
	if wrong, ok := errors.AsType[*lua.MethodError](err); ok {
		v.answer = "405 " + wrong.Allow
	}
}

// visited asks for "GET /path", below a prefix for "GET /prefix /path", of a tenant with
// a pool or without, and says which middlewares it came through and who has answered.
func visited(t *testing.T, scripts *lua.Scripts, request string, poolless bool) string {
	t.Helper()
	words := strings.Fields(request)
	v := &visit{page: newPage()}
	whole := strings.Join(words[1:], "")
	v.fresh.Method, v.fresh.Path, v.fresh.Key, v.fresh.Below = []byte(words[0]), []byte(whole), []byte(whole), []byte(words[len(words)-1])
	v.begin()
	v.poolless = poolless
	if err := scripts.Serve(v, 0); err != nil {
		return "error: " + err.Error()
	}
	return string(v.header.Value([]byte("X-Via"))) + string(v.response.Body) + v.answer
}

// routers is what their scripts begin with: by(name) is a handler, via(name) a middleware.
const routers = `
local function by(name) return function(request, response) response:write(name) end end
local function via(name) return function(request, response, next) request:set_header("X-Via", (request:header("X-Via") or "") .. name .. ">") next() end end
`

// nobody is what is answered where there is neither a route nor a pool.
const nobody = "no route of the scripts matches, and there is no pool"

// answerers are the ways in which scripts can declare who answers.
var answerers = []struct {
	script string
	asks   string // "GET /a = who with a pool = who without", in lines
}{
	{`for _, m in ipairs{"get", "post", "put", "patch", "delete", "head", "options"} do chi[m]("/a", by(m)) end chi.handle("/b", by("any")) chi.method("purge", "/a", by("purge"))`, `
		GET /a = get = get
		POST /a = post = post
		PUT /a = put = put
		PATCH /a = patch = patch
		DELETE /a = delete = delete
		HEAD /a = head = head
		OPTIONS /a = options = options
		PURGE /a = purge = purge
		PURGE /b = any = any
		COPY /a = pool = 405 DELETE, GET, HEAD, OPTIONS, PATCH, POST, PURGE, PUT
		GET /a/ = pool = ` + nobody},
	{`chi_route("ANY", "/a", by("any")) chi_route("*", "/b", by("star")) chi_route("get", "/c", by("lower")) chi_route("any", "/d", by("small"))`, `
		GET /a = any = any
		POST /b = star = star
		GET /c = lower = lower
		PUT /d = small = small
		POST /c = pool = 405 GET`},
	{`chi.mount("/f", by("mount")) chi.mount("/g/", by("slash")) chi.mount("/h/*", by("star"))`, `
		GET /f = mount = mount
		POST /f/ = mount = mount
		GET /f/a/b = mount = mount
		GET /fa = pool = ` + nobody + `
		GET /g = slash = slash
		GET /g/a = slash = slash
		GET /h = star = star
		GET /h/a = star = star`},
	{`chi.mount("/", by("all"))`, `
		GET / = all = all
		GET /a/b = all = all`},
	{`chi.use(via("1")) chi.use(via("2"), via("3")) chi.get("/a", by("a")) chi.use(via("4"))`, `
		GET /a = 1>2>3>4>a = 1>2>3>4>a
		GET /b = 1>2>3>4>pool = 1>2>3>4>` + nobody},
	{`chi.use("/x", via("x")) chi.use("/y/", via("y")) chi.use("/z/*", via("z")) chi.use("/", via("all")) chi.use("/*", via("every")) chi.use("*", via("star")) chi.get("/x/a", by("a"))`, `
		GET /x = x>all>every>star>pool = x>all>every>star>` + nobody + `
		GET /x/a = x>all>every>star>a = x>all>every>star>a
		GET /xa = all>every>star>pool = all>every>star>` + nobody + `
		GET /y/b = y>all>every>star>pool = y>all>every>star>` + nobody + `
		GET /z = z>all>every>star>pool = z>all>every>star>` + nobody},
	{`chi.use("/{a}/p", via("p"))`, `
		GET /1/p/q = p>pool = p>` + nobody + `
		GET /1/q = pool = ` + nobody},
	{`chi.group("/v", function() chi.use(via("v")) chi.get("/a", by("a")) chi.use("/b", via("b")) chi.group("/w", function() chi.use(via("w")) chi.get("/a", by("wa")) end) end) chi.get("/a", by("root"))`, `
		GET /v/a = v>a = v>a
		POST /v/a = v>pool = v>405 GET
		GET /v/b/c = v>b>pool = v>b>` + nobody + `
		GET /v/w/a = v>w>wa = v>w>wa
		GET /v/w/z = v>w>pool = v>w>` + nobody + `
		GET /v = v>pool = v>` + nobody + `
		GET /va = pool = ` + nobody + `
		GET /a = root = root`},
	{`chi_group("/v/", function() chi.get("/a", by("a")) end) chi_route_group("/w/*", function() chi.get("/a", by("wa")) end) chi.route("/x", function() chi.get("/", by("x")) end)`, `
		GET /v/a = a = a
		GET /w/a = wa = wa
		GET /x/ = x = x
		GET /x = x = x
		GET /x/y = pool = ` + nobody},
	{`chi.group(function() chi.use(via("g")) chi.get("/a", by("a")) chi.group(function() chi.use(via("h")) chi.get("/b", by("b")) end) chi.get("/c", by("c")) end) chi.get("/d", by("d"))`, `
		GET /a = g>a = g>a
		GET /b = g>h>b = g>h>b
		GET /c = g>c = g>c
		GET /d = d = d
		POST /b = g>h>pool = 405 GET
		GET /e = pool = ` + nobody},
	{`chi.with(via("1"), via("2")).get("/a", by("a")) local w = chi.with(via("3")) w.use(via("4")) w.with(via("5")).post("/b", by("b")) w.handle("/c", by("c")) w.mount("/m", by("m")) w.method("GET", "/e", by("e")) w.route("/r", function() chi.get("/a", by("ra")) end) chi.get("/d", by("d"))`, `
		GET /a = 1>2>a = 1>2>a
		POST /b = 3>4>5>b = 3>4>5>b
		GET /c = 3>4>c = 3>4>c
		GET /m/a = 3>4>m = 3>4>m
		GET /e = 3>4>e = 3>4>e
		GET /r/a = 3>4>ra = 3>4>ra
		GET /d = d = d`},
	{`chi.not_found(by("none")) chi.method_not_allowed(by("method")) chi.get("/a", by("a"))`, `
		GET /b = pool = none
		POST /a = method = method
		GET /a = a = a`},
	{`chi.use(via("m")) chi_not_found(by("none")) chi_group("/v", function() chi.use(via("v")) chi_not_found(by("v none")) chi_method_not_allowed(by("v method")) chi.get("/a", by("a"))
		chi.group("/w", function() chi.use(via("w")) chi_not_found(by("w none")) end) end)`, `
		GET /b = m>pool = m>none
		GET /v/b = m>v>v none = m>v>v none
		POST /v/a = m>v>v method = m>v>v method
		GET /v/w/a = m>v>w>w none = m>v>w>w none
		GET /v/a = m>v>a = m>v>a`},
	{`chi.group(function() chi.use(via("g")) chi.not_found(by("none")) chi.method_not_allowed(by("method")) end) chi.get("/a", by("a"))`, `
		GET /b = pool = g>none
		POST /a = g>method = g>method`},
	{`chi.group("/v", function() chi.group(function() chi.use(via("g")) chi.not_found(by("none")) end) end)`, `
		GET /v/a = g>none = g>none
		GET /b = pool = ` + nobody},
	{`chi.use(chi.get_head) chi.get("/a", by("a")) chi.post("/p", by("p"))`, `
		HEAD /a = a = a
		HEAD /p = pool = 405 POST
		HEAD /b = pool = ` + nobody + `
		POST /a = pool = 405 GET`},
	{`chi.group("/v", function() chi.use(chi.get_head, via("v")) chi.get("/a", by("a")) end) chi.get("/a", by("root")) chi.group("/w", function() chi.get("/a", by("w")) end)`, `
		HEAD /v/a = v>a = v>a
		HEAD /a = pool = 405 GET
		HEAD /w/a = pool = 405 GET`},
	{`chi.get("/{a}", by("one")) chi.get("/{a:[0-9]+}", by("number")) chi.get("/me", by("me")) chi.get("/*", by("rest")) chi.get("/{a}/{b}", by("two"))`, `
		GET /x = one = one
		GET /12 = number = number
		GET /me = me = me
		GET /x/y = two = two
		GET /x/y/z = rest = rest`},
	{`chi.group("/v", function() chi.use(via("v")) chi.get("/a", by("a")) end) chi.group("/{x}", function() chi.use(via("x")) chi.post("/a", by("post")) end)`, `
		GET /v/a = v>a = v>a
		POST /v/a = x>post = x>post
		PUT /v/a = v>x>pool = v>x>405 GET, POST
		POST /w/a = x>post = x>post
		PUT /w/a = x>pool = x>405 POST`},
}

// TestWhoAnswers goes through the ways in which scripts can declare who answers, and what
// a request comes through before.
func TestWhoAnswers(t *testing.T) {
	t.Parallel()
	for _, c := range answerers {
		scripts := load(t, routers+c.script)
		for line := range strings.Lines(strings.TrimSpace(c.asks)) {
			parts := strings.Split(strings.TrimSpace(line), " = ")
			for i, poolless := range []bool{false, true} {
				if got := visited(t, scripts, parts[0], poolless); got != parts[1+i] {
					t.Errorf("%s\n%s, without a pool %v: %q, want %q", c.script, parts[0], poolless, got, parts[1+i])
				}
			}
		}
	}
}

// TestWhoAnswersBelowPrefixes: patterns are compared with the path below the tenant's
// prefix first, then with the whole path; strip_slashes has each tried without a slash at
// its end before it is tried with it.
func TestWhoAnswersBelowPrefixes(t *testing.T) {
	t.Parallel()
	const script = `chi.get("/a", by("a")) chi.get("/p/a", by("pa")) chi.get("/p/b", by("pb")) chi.get("/c/", by("c/")) chi.get("/d", by("d")) chi.get("/d/", by("d/")) chi.get("/e/*", by("e*")) chi.get("/f", by("f")) chi.get("/f/*", by("f*"))
		chi.use("/m", via("m")) chi.use("/p/n", via("n")) chi.group("/g", function() chi.use(via("g")) chi.post("/x", by("gx")) end) chi.post("/p/o", by("po"))`
	for strip, asks := range map[bool]string{
		false: `
			GET /p /a = a
			GET /p /b = pb
			GET /q /b = pool
			GET /a = a
			GET /p /a/ = pool
			GET /c/ = c/
			GET /c = pool
			GET /d/ = d/
			GET /f/ = f*
			GET /p /m/x = m>pool
			GET /m = m>pool
			GET /p /n = n>pool
			GET /q /n = pool
			GET /p /g/x = g>pool
			POST /p /g/x = g>gx
			GET /p /o = pool
			GET / = pool`,
		true: `
			GET /p /a/ = a
			GET /p /b/ = pb
			GET /a/ = a
			GET /c/ = c/
			GET /c = pool
			GET /d/ = d
			GET /d = d
			GET /e/ = e*
			GET /f/ = f
			GET /f/x/ = f*
			GET /m/ = m>pool
			GET /p /g/x/ = g>pool
			GET / = pool
			GET /p / = pool`,
	} {
		dir := t.TempDir()
		put(t, dir, "a.lua", routers+script)
		o := options(dir, "a.lua")
		o.StripSlashes = strip
		scripts, err := lua.Load(o)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(scripts.Close)
		for line := range strings.Lines(strings.TrimSpace(asks)) {
			request, want, _ := strings.Cut(strings.TrimSpace(line), " = ")
			if got := visited(t, scripts, request, false); got != want {
				t.Errorf("strip_slashes %v: %s: %q, want %q", strip, request, got, want)
			}
		}
		if strip {
			if got := visited(t, scripts, "PUT /p /o/", true); got != "405 POST" {
				t.Errorf("the methods of a path with a slash: %q", got)
			}
		}
	}
}

// TestRoutesSayWhoTheyAre: a handler sees the pattern and the parameters of its route, and
// who answers is noted with the line.
func TestRoutesSayWhoTheyAre(t *testing.T) {
	t.Parallel()
	scripts := load(t, `chi.use(function(request, response, next)
	next() end)
chi.group("/v/{v}", function()
	chi.get("/{id}.{ext}/*", function(request, response)
		local p = request.params
		response:write(request.route, " ", p.v, p.id, p.ext, p["*"], " ", request:param("v"), request:param("*"), " ", tostring(request:param("x")), tostring(p.x), chi_param(request, "id"))
	end)
end)`)
	for _, c := range []struct{ request, want, route, step string }{
		{"GET /v/1/2.txt/3/4", "/v/{v}/{id}.{ext}/* 12txt3/4 13/4 nilnil2", "/v/{v}/{id}.{ext}/*", "a.lua:4"},
		{"GET /v/%31/%2E.%zz/", "/v/{v}/{id}.{ext}/* 1.%zz 1 nilnil.", "/v/{v}/{id}.{ext}/*", "a.lua:4"},
		{"GET /w", "pool", "", "a.lua:1"},
	} {
		words := strings.Fields(c.request)
		v := &visit{page: newPage()}
		v.fresh.Method, v.fresh.Path, v.fresh.Key, v.fresh.Below = []byte(words[0]), []byte(words[1]), []byte(words[1]), []byte(words[1])
		v.begin()
		err := scripts.Serve(v, 0)
		got := fmt.Sprint(string(v.response.Body), v.answer)
		if err != nil || got != c.want || v.request.request.Route != c.route || v.request.request.Step != c.step {
			t.Errorf("%s: %v %q by %q, of %q, want %q by %q", c.request, err, got, v.request.request.Step, v.request.request.Route, c.want, c.step)
		}
	}
}
