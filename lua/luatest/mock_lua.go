package luatest

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	glua "github.com/yuin/gopher-lua"

	"github.com/keystone-gateway/keystone-gateway/lua/vm"
)

// namedMock is the function mock(name): the mock of that name, which is the
// upstream of that name too.
func (f *file) namedMock(L *glua.LState) int {
	name := vm.CheckString(L, 1)
	if name == "" || len(name) > 64 || strings.ContainsAny(name, "\r\n\x00") {
		vm.ArgError(L, 1, "expected a name of 1 to 64 bytes")
	}
	if _, err := f.mockOf(name); err != nil {
		L.RaiseError("%s", err.Error())
	}
	L.Push(vm.Freeze(L, "mock", f.mockTable(L, name)))
	return 1
}

// mockTable makes the table of a mock; "" is the tenant's first service.
func (f *file) mockTable(L *glua.LState, name string) *glua.LTable {
	find := func(L *glua.LState) *mock {
		wanted := name
		if wanted == "" {
			wanted = f.firstService(L)
		}
		m, err := f.mockOf(wanted)
		if err != nil {
			L.RaiseError("%s", err.Error())
		}
		return m
	}
	method := func(fn func(L *glua.LState, m *mock) int) *glua.LFunction {
		return L.NewFunction(func(L *glua.LState) int {
			if L.Get(1).Type() == glua.LTTable && vm.Frozen(vm.CheckTable(L, 1)) != nil { // called with a colon
				vm.DropSelf(L)
			}
			return fn(L, find(L))
		})
	}
	t := L.NewTable()
	t.RawSetString("respond", method(f.respond))
	t.RawSetString("on", method(f.on))
	t.RawSetString("fail", method(f.failMock))
	live := L.NewTable()
	live.RawSetString("__index", L.NewFunction(func(L *glua.LState) int { return f.mockProperty(L, find) }))
	t.Metatable = live
	return t
}

// firstService is the name of the mock that upstream is without a name.
func (f *file) firstService(L *glua.LState) string {
	g := f.current
	if f.running != nil {
		g = &f.running.own
	}
	for ; g != nil; g = g.parent {
		value, ok := g.config[keyServices]
		if !ok {
			continue
		}
		list, err := serviceList(value)
		if err == nil && len(list) == 0 {
			err = errors.New("services is false: there is no upstream; other servers are mock(name)")
		}
		if err != nil {
			L.RaiseError("%s", err.Error())
		}
		return list[0].name
	}
	return defaultService
}

// mockProperty is requests, last, url and name.
func (f *file) mockProperty(L *glua.LState, find func(L *glua.LState) *mock) int {
	name := vm.CheckString(L, 2)
	m := find(L)
	switch name {
	case "url":
		L.Push(glua.LString(m.url()))
	case "name":
		L.Push(glua.LString(m.name))
	case "requests":
		list := L.NewTable()
		for _, r := range m.seen() {
			r.push(f, L)
			list.Append(L.Get(-1))
			L.Pop(1)
		}
		L.Push(list)
	case "last":
		if seen := m.seen(); len(seen) > 0 {
			seen[len(seen)-1].push(f, L)
		} else {
			L.Push(glua.LNil)
		}
	default:
		L.RaiseError("a mock has no %s, only respond, on, fail, requests, last, url and name", show(glua.LString(name)))
	}
	return 1
}

func (m *mock) seen() []*received {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.received[:len(m.received):len(m.received)]
}

// respond is respond(answer, …): the answers to all requests that on doesn't
// name; each is given once, and the last for ever.
func (f *file) respond(L *glua.LState, m *mock) int {
	f.inTest(L)
	return f.declare(L, m, route{}, 1)
}

// on is on(method, path, answer, …).
func (f *file) on(L *glua.LState, m *mock) int {
	f.inTest(L)
	r := route{method: strings.ToUpper(vm.CheckString(L, 1)), path: vm.CheckString(L, 2)}
	if r.method == "*" || r.method == "ANY" {
		r.method = ""
	}
	if !strings.HasPrefix(r.path, "/") && r.path != "*" {
		vm.ArgError(L, 2, "expected a path such as /users/7, or /users/* for all below")
	}
	return f.declare(L, m, r, 3)
}

func (f *file) declare(L *glua.LState, m *mock, r route, first int) int {
	if L.GetTop() < first {
		vm.ArgError(L, first, "expected a response: a status, a body, a table or a function(request)")
	}
	for i := first; i <= L.GetTop(); i++ {
		a, err := readAnswer(L, i, L.Get(i))
		if err != nil {
			vm.ArgError(L, i, err.Error())
		}
		r.answers = append(r.answers, a)
	}
	return f.add(L, m, r)
}

const maxRoutes = 1000

func (*file) add(L *glua.LState, m *mock, r route) int {
	if err := m.accept(true); err != nil {
		L.RaiseError("%s", err.Error())
	}
	m.mu.Lock()
	full := len(m.routes) >= maxRoutes
	if !full && r.method == "" && r.path == "" { // respond stands behind all of on
		m.routes = append([]route{r}, dropDefault(m.routes)...)
	} else if !full {
		m.routes = append(m.routes, r)
	}
	m.mu.Unlock()
	if full {
		L.RaiseError("too many answers, expected at most %d", maxRoutes)
	}
	return 0
}

func dropDefault(routes []route) []route {
	if len(routes) > 0 && routes[0].method == "" && routes[0].path == "" {
		return routes[1:]
	}
	return routes
}

// failMock is fail(kind): all requests fail in that way.
func (f *file) failMock(L *glua.LState, m *mock) int {
	f.inTest(L)
	kind := vm.CheckString(L, 1)
	switch kind {
	case failClose, failPartial, failTimeout:
		m.mu.Lock()
		m.routes = nil
		m.mu.Unlock()
		return f.add(L, m, route{answers: []answer{{status: http.StatusOK, fail: kind}}})
	case failRefuse:
		_ = m.accept(false) // closing doesn't fail
		return 0
	}
	vm.ArgError(L, 1, fmt.Sprintf("expected %q, %q, %q or %q", failRefuse, failClose, failPartial, failTimeout))
	return 0
}

var answerOptions = []string{"status", "headers", "body", "json", "chunks", "delay", "fail"}

// readAnswer reads a response: a status, a body, a table of both and more, or
// a function that returns one of these. nil is 200 without a body.
func readAnswer(L *glua.LState, arg int, v glua.LValue) (answer, error) {
	a := answer{status: http.StatusOK}
	switch v := v.(type) {
	case *glua.LNilType:
	case *glua.LFunction:
		a.fn = v
	case glua.LString:
		a.body = []byte(v)
	case glua.LNumber:
		a.status = int(v)
		if float64(v) != float64(a.status) {
			a.status = 0
		}
	case *glua.LTable:
		o := reader{L: L, arg: arg, table: v}
		o.answer(&a)
	default:
		return a, fmt.Errorf("expected a response: a status, a body, a table or a function(request), not a %s", v.Type())
	}
	if a.status < 200 || a.status > 599 {
		return a, errors.New("the status must be a number from 200 to 599")
	}
	return a, nil
}

func (o *reader) answer(a *answer) {
	o.check(answerOptions)
	a.status = int(o.number("status", 200, 599, http.StatusOK))
	if headers := o.tableOf("headers"); headers != nil {
		a.fields = headerTable(o.L, o.arg, headers)
	}
	a.delay = time.Duration(o.number("delay", 0, maxDelay.Seconds(), 0) * float64(time.Second))
	switch a.fail = o.text("fail"); a.fail {
	case "", failClose, failPartial, failTimeout:
	default:
		o.fail("fail", "close, partial or timeout")
	}
	q := question{fields: a.fields}
	o.body(&q)
	a.body, a.fields = q.body, q.fields
	if chunks := o.tableOf("chunks"); chunks != nil {
		for i := 1; i <= plain(chunks).Len(); i++ {
			a.chunks = append(a.chunks, []byte(plain(chunks).RawGetInt(i).String()))
		}
	}
}
