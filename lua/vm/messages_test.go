package vm_test

import (
	"fmt"
	"math/rand/v2"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/keystone-gateway/keystone-gateway/lua/vm"
)

// messagePrelude reports what a program's error says, but for our guesses at
// what was meant and for what a table is called.
const messagePrelude = `
gt, gs, gn, gf = {}, "s", 5, function() end
gm = setmetatable({}, {__index = function(t, k) return k.x.y end, __newindex = 5, __call = 5})
local function tidy(m)
  if type(m) ~= "string" then return type(m) end
  return (m:gsub(" %(did you mean .-%?%)", ""):gsub("%w+: 0x%x+", "address"):gsub("^[^:]*:", ""))
end
function P(number, f)
  print(number .. "\t" .. tidy(select(2, pcall(f))) .. "\t" .. tidy(select(2, pcall(coroutine.wrap(f)))))
end
`

// messagePrograms are errors of every kind.
var messagePrograms = []string{
	"for k in next, nil do end", "for k in nil do end", "for k in x do end", "local a = {} for k in a do end",
	"local a = {} ; a.b.c = 1", "local a = {} ; a.b.c.d = 1", "local a = {} ; a[1].c = 1", "x.y.z = 1", "x = x.y.z.w",
	"local s = 'abc' return s + 1", "return 'abc' + 1", "return 1 + 'abc'", "return -'abc'", "local s = 'x' return -s", "return 'a' % 2", "local s = 'q' return 5 % s",
	"return {} .. 'x'", "local t = {} return 'a' .. t .. 'b'", "local t = {} return t .. t", "return 'a' .. 'b' .. x", "return x .. 'b' .. 'c'", "return 'a' .. gt.z .. 'b'",
	"return #nil", "local t return #t", "return #x", "return #gt.x", "return #5", "local n = 5 return #n", "return -{}", "return -x", "return -gt.x",
	"return {} < {}", "return {} < 1", "return nil < 1", "return nil >= 'x'", "return 1 < 'x'", "return gf < gf", "return true < false", "return gt <= gs",
	"local t = {} t:foo()", "gt:foo()", "gt.a:foo()", "x:foo()", "gs:foo()", "('x'):foo()", "gt.a.b:foo()", "local n = 1 n:foo()", "gt[1]:foo()",
	"string.rep()", "('x'):rep()", "('x'):rep({})", "string.rep('x', {})", "local s = string s.rep('x', {})", "local f = string.rep f('x', {})",
	"return (string.rep)('x', {})", "return ({string.rep})[1]('x', {})", "return string.rep()", "local t = {f = string.rep} t.f()", "local t = {f = string.rep} t:f()",
	"local a = {} a.x.y()", "ff()()", "gf()()", "gf().x = 1", "local y = gf().x", "gt.x()", "gt[1]()", "gt['a b']()", "gt[gt]()", "(1)()", "local f f = 5; f()",
	"return gm.foo", "gm.foo = 1", "gm()", "local t = setmetatable({}, {__index = 5}) return t.foo", "local t = setmetatable({}, {__newindex = 'x'}) t.a = 1",
	"local t = setmetatable({}, {__concat = 5}) return t .. 1",
	"for i = 'x', 1 do end", "for i = 1, 'x' do end", "for i = 1, 1, 'x' do end", "for i = nil, 1 do end", "for i = gt, gt do end",
	"local a a.b = 1", "local a a[1] = 1", "local a a[a] = 1", "local a local function f() a.b = 1 end f()", "local a local function f() a() end f()",
	"local a local function f() return a .. 'x' end f()", "local a local function f() return a + 1 end f()", "local a local function f() return #a end f()",
	"local a = (x or y).z", "local a = (false or nil).y", "a = nil + 1", "a = 1 + nil", "local b a = 1 + b", "local b a = 1 + b.x.y", "local b = {} a = 1 + b.x",
	"math.floor('x')", "tostring()", "setmetatable(1)", "setmetatable({})", "table.concat({{}})", "('x').y.z = 1", "local s = 's' s.x()",
	"local t = {} t[nil] = 1", "local t = {} t[0/0] = 1", "error()", "error(nil)", "error({})", "error('x')", "error('x', 0)", "error('x', 2)",
	"return not_there.a", "local x = 5; return x.y.z", "return true .. 1", "return 2 ^ {}", "return x % 2", "return 2 % x.y", "return x.y % 2",
	"string.format('%d', 'x')", "string.char(256)", "('x'):char()", "select(0)", "pcall()", "_G.x()", "_G.x.y()", "assert()", "return math.foo(1)",
	"return ipairs()", "return ipairs(nil)", "return pairs(nil)", "return tonumber()", "unpack()", "return tonumber('x', 99)",
	"local a = {b={}} ; a.b:c()", "local a = {b={}} ; a.b.c:d()", "local t = {} ; (t.x or t.y)()", "return a+b", "return a..b", "return a<b", "return gt < gt", "gn.x.y = 1", "gn()",
	"local function f() return x.y end return f()", "local function f() x() end f()", "do local a = 1 end local b b()", "for i = 1, 3 do i() end", "for k, v in pairs({1}) do v() end",
	"for k, v in pairs({1}) do k.x.y = 1 end", "repeat local q until q.x", "while x.y do end", "if x.y then end", "if x < 1 then end", "local a, b, c = 1, 2 c()", "local t = {x = y.z}", "local t = {y()}",
	"gf(x.y)", "gf(x())", "string.rep(x.y)", "return gf(1, x.y.z)", "local function f(p) p.x = 1 end f()", "local function f(p, ...) p.x = 1 end f()", "local function f(...) local a = ... a.x = 1 end f()",
	"table.insert(nil, 1)", "table.insert({}, 1, 2, 3)", "table.concat(nil)", "table.sort(nil)", "table.remove(5)", "string.sub()", "('x'):sub({})", "string.byte('x', {})",
	"string.gsub('x', 'x')", "string.gsub('x', '(', '')", "string.gsub('x', '%', '')", "string.find('x', '[a')", "string.rep('x', 'y')", "string.gsub('x', 'x', true)", "string.upper(nil)", "('%d'):format('x')",
	"math.max()", "math.random(0)", "math.random(2, 1)", "math.random(1, 2, 3)", "os.time({})", "coroutine.resume(1)", "coroutine.create(1)", "coroutine.wrap(nil)", "getmetatable()", "rawget(1, 2)", "rawset({}, 1)", "rawequal(1)", "select('x')", "unpack(nil)",
}

// failing writes a program that probably fails.
func failing(r *rand.Rand) string {
	pick := func(list ...string) string { return list[r.IntN(len(list))] }
	base := pick("lt", "ln", "ls", "lb", "lu", "up", "upt", "gt", "gs", "gn", "x", "gf()", "(gf())", "lt.a", "lt[1]", "lt[lt]", "gt.a.b", "upt.q", "x.y", "nil", "5", "'s'", "{}", "lt:m()", "gf")
	value := pick(base, base, base, "("+base+")", "lt."+pick("a", "b"), base+" .. 'x'", "1 + "+base)
	shape := pick("%s()", "%s.f()", "%s:m(1)", "return %s.a.b", "return %s[1][2]", "return %s.a", "return %s + 1", "return 2 * %s", "return %s .. 'x'", "return 'x' .. %s", "return 'x' .. %s .. 'y'",
		"return %s < 1", "return 'a' < %s", "return %s <= lt", "return #%s", "return -%s", "return %s %% 3", "return 3 %% %s", "return %s ^ 2", "for i = 1, %s do end", "for i = %s, 2 do end", "for k in %s do end",
		"local v = %s v()", "local v = %s return v.x.y", "local t = {%s .. 'z', 1}", "gf(1, %s.x)", "return gf(%s + 1)", "return string.rep(%s, lt)", "lt[%s] = 1", "if %s > 1 then end", "while #%s > 10 do end",
		"repeat local z = %s until z.q.r", "local function f() return %s.w end f()", "local function f(p) return p.k.l end f(%s)", "a, b = 1, %s.x", "lt.a = %s.x", "lt.a.b = %s")
	program := fmt.Sprintf(shape, value)
	if strings.HasSuffix(value, ")") && strings.HasPrefix(program, "(") {
		program = "; " + program
	}
	return program
}

// messageBatch is how many programs run at once.
const messageBatch = 2000

// TestMessagesAreThoseOfLua compares what errors say with lua5.1.
func TestMessagesAreThoseOfLua(t *testing.T) {
	k := kept(t, "testdata/lua51-messages.txt")
	list := slices.Clone(messagePrograms)
	for i := 0; len(list) < *programs; i++ {
		if p := failing(rand.New(rand.NewPCG(*seed, uint64(i)))); parses(p) {
			list = append(list, p)
		}
	}
	number := 0
	for batch := range slices.Chunk(list, messageBatch) {
		var b strings.Builder
		b.WriteString(messagePrelude)
		for i, p := range batch {
			fmt.Fprintf(&b, "do local up, upt = nil, {} P(%d, function() local lt, ln, ls, lb, lu = {}, 4, 'str', true %s end) local _ = up, upt end\n", i, p)
		}
		k.Compare(t, number, b.String(), batch, strings.Split(ours(t, b.String()), "\n"), callable)
		number++
	}
}

// callable takes what calling a string says away: request.path() is as good as
// request.path here.
func callable(line string) string {
	return calledString.ReplaceAllString(line, "nil")
}

var calledString = regexp.MustCompile(`\d+: attempt to call [^\t]*a string value\)?`)

// parses leaves out what is no program: "5()".
func parses(program string) bool {
	_, err := vm.Compile([]byte(program), "in", vm.Options{})
	return err == nil
}
