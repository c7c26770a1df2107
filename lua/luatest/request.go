package luatest

import (
	"context"
	"fmt"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"

	glua "github.com/yuin/gopher-lua"

	"github.com/keystone-gateway/keystone-gateway/lua/modules"
	"github.com/keystone-gateway/keystone-gateway/lua/vm"
	"github.com/keystone-gateway/keystone-gateway/proxy/cause"
	"github.com/keystone-gateway/keystone-gateway/proxy/message"
)

// requestTimeout is how long a request may take unless it says otherwise.
const requestTimeout = 5 * time.Second

// requestOptions are the names that request's options have.
var requestOptions = []string{"headers", "body", "json", "form", "query", "host", "cookies", "from", "limit", "timeout"}

// request is the function request(method, path, options): it asks the test's
// gateway, and returns the response. An error is raised where there is none.
func (f *file) request(L *glua.LState) int {
	t := f.inTest(L)
	q := &question{method: vm.CheckString(L, 1), target: vm.CheckString(L, 2), timeout: requestTimeout}
	if !message.IsToken([]byte(q.method)) {
		vm.ArgError(L, 1, "expected a method such as GET")
	}
	if !strings.HasPrefix(q.target, "/") && q.target != "*" || strings.ContainsFunc(q.target, func(r rune) bool { return r <= ' ' || r == 0x7f }) {
		vm.ArgError(L, 2, "expected a path such as /users?page=2, with spaces and the like escaped")
	}
	o := reader{L: L, arg: 3, table: vm.OptTable(L, 3, nil)}
	o.check(requestOptions)
	o.question(q)
	g := f.start(L)
	if q.host == "" {
		q.host = g.host
	}
	began := time.Now()
	var r *reply
	var err error
	vm.RunOf(L).Charge(L, 2*len(q.body))
	vm.RunOf(L).Block(L, func(ctx context.Context) { r, err = q.ask(ctx, g.address) })
	t.note(q, r, err, time.Since(began))
	if err != nil {
		L.RaiseError("%s %s: %s", q.method, q.target, cause.Text(err))
	}
	response := f.pushMessage(L, r.header, r.body)
	response.RawSetString("status", glua.LNumber(r.status))
	response.RawSetString("reason", glua.LString(r.reason))
	return 1
}

// maxNoted bounds how many requests a failure shows.
const maxNoted = 20

// note keeps a line about a request for the report of a failure.
func (t *testCase) note(q *question, r *reply, err error, took time.Duration) {
	line := fmt.Sprintf("%s %s", q.method, clip(q.target, 200))
	if err != nil {
		line += " → " + cause.Text(err)
	} else {
		line += fmt.Sprintf(" → %d", r.status)
		if code := r.header.Get("X-Gateway-Error"); code != "" {
			line += " (" + code + ")"
		}
	}
	t.asked = append(t.asked, fmt.Sprintf("%s in %v", line, took.Round(time.Millisecond)))
	if len(t.asked) > maxNoted {
		t.asked = t.asked[1:]
	}
}

// reader reads a table of options; table may be nil.
type reader struct {
	L     *glua.LState
	arg   int
	table *glua.LTable
}

// check refuses options that are not known.
func (o *reader) check(known []string) {
	if o.table == nil {
		return
	}
	o.table = plain(o.table)
	for k, _ := o.table.Next(glua.LNil); k != glua.LNil; k, _ = o.table.Next(k) {
		if name, ok := k.(glua.LString); !ok || !slices.Contains(known, string(name)) {
			vm.ArgError(o.L, o.arg, fmt.Sprintf("there is no option %s, only %s", show(k), strings.Join(known, ", ")))
		}
	}
}

func (o *reader) get(name string) glua.LValue {
	if o.table == nil {
		return glua.LNil
	}
	return o.table.RawGetString(name)
}

func (o *reader) fail(name, expected string) {
	vm.ArgError(o.L, o.arg, fmt.Sprintf("%s must be %s, not %s", name, expected, show(o.get(name))))
}

// text returns a string, "" if there is none.
func (o *reader) text(name string) string {
	v := o.get(name)
	if v != glua.LNil && !glua.LVCanConvToString(v) {
		o.fail(name, "a string")
	}
	return glua.LVAsString(v)
}

// number returns a number within bounds, or otherwise.
func (o *reader) number(name string, low, high, otherwise float64) float64 {
	switch v := o.get(name).(type) {
	case *glua.LNilType:
		return otherwise
	case glua.LNumber:
		if float64(v) >= low && float64(v) <= high {
			return float64(v)
		}
	}
	o.fail(name, fmt.Sprintf("a number from %g to %g", low, high))
	return 0
}

func (o *reader) tableOf(name string) *glua.LTable {
	switch v := o.get(name).(type) {
	case *glua.LNilType:
		return nil
	case *glua.LTable:
		return v
	}
	o.fail(name, "a table")
	return nil
}

// question fills in a question from the options of request.
func (o *reader) question(q *question) {
	if headers := o.tableOf("headers"); headers != nil {
		q.fields = headerTable(o.L, o.arg, headers)
	}
	q.host = o.text("host")
	q.fields = slices.DeleteFunc(q.fields, func(field [2]string) bool {
		if !strings.EqualFold(field[0], "Host") {
			q.framed = q.framed || strings.EqualFold(field[0], "Content-Length") || strings.EqualFold(field[0], "Transfer-Encoding")
			return false
		}
		q.host = field[1]
		return true
	})
	if strings.ContainsAny(q.host, "\r\n\x00") {
		o.fail("host", "a host")
	}
	if q.from = o.text("from"); q.from != "" {
		if address, err := netip.ParseAddr(q.from); err != nil || !address.Is4() || !address.IsLoopback() {
			o.fail("from", "an address in 127.0.0.0/8, such as 127.0.0.2")
		}
	}
	q.limit = int(o.number("limit", 1, maxResponse, 0))
	q.timeout = time.Duration(o.number("timeout", 0.001, 3600, requestTimeout.Seconds()) * float64(time.Second))
	if cookies := pairs(o.L, o.arg, o.tableOf("cookies")); len(cookies) > 0 {
		var list []string
		for _, c := range cookies {
			list = append(list, c[0]+"="+c[1])
		}
		q.fields = append(q.fields, [2]string{"Cookie", strings.Join(list, "; ")})
	}
	o.query(q)
	o.body(q)
}

// query adds the option query, a string or a table, to the target.
func (o *reader) query(q *question) {
	var query string
	switch v := o.get("query").(type) {
	case *glua.LNilType:
		return
	case *glua.LTable:
		query = encode(pairs(o.L, o.arg, v))
	default:
		query = strings.TrimPrefix(o.text("query"), "?")
		if strings.ContainsFunc(query, func(r rune) bool { return r <= ' ' || r == 0x7f }) {
			o.fail("query", "escaped")
		}
	}
	separator := "?"
	if strings.Contains(q.target, "?") {
		separator = "&"
	}
	q.target += separator + query
}

// body takes one of the options body, json and form.
func (o *reader) body(q *question) {
	media := ""
	switch {
	case o.get("json") != glua.LNil:
		text, err := modules.EncodeJSON(o.L, o.get("json"))
		if err != nil {
			vm.ArgError(o.L, o.arg, "json: "+err.Error())
		}
		q.body, media = text, "application/json"
	case o.get("form") != glua.LNil:
		q.body, media = []byte(encode(pairs(o.L, o.arg, o.tableOf("form")))), "application/x-www-form-urlencoded"
	default:
		q.body = []byte(o.text("body"))
	}
	named := slices.ContainsFunc(q.fields, func(field [2]string) bool { return strings.EqualFold(field[0], "Content-Type") })
	if media != "" && !named {
		q.fields = append(q.fields, [2]string{"Content-Type", media})
	}
}

// pairs reads a table of names and strings, in the order of the names; a value
// may be a list.
func pairs(L *glua.LState, arg int, t *glua.LTable) (list [][2]string) {
	if t == nil {
		return nil
	}
	t = plain(t)
	for k, v := t.Next(glua.LNil); k != glua.LNil; k, v = t.Next(k) {
		values := []glua.LValue{v}
		if many, ok := v.(*glua.LTable); ok {
			values = nil
			for i := 1; i <= many.Len(); i++ {
				values = append(values, many.RawGetInt(i))
			}
		}
		for _, value := range values {
			switch value.Type() {
			case glua.LTString, glua.LTNumber, glua.LTBool:
			default:
				vm.ArgError(L, arg, fmt.Sprintf("%s must be a string, not %s", show(k), show(value)))
			}
			text := value.String()
			if strings.ContainsAny(k.String()+text, "\r\n\x00") {
				vm.ArgError(L, arg, fmt.Sprintf("%s has a line break or NUL in it", show(k)))
			}
			list = append(list, [2]string{k.String(), text})
		}
		vm.RunOf(L).Charge(L, 100)
	}
	slices.SortStableFunc(list, func(a, b [2]string) int { return strings.Compare(a[0], b[0]) })
	return list
}

func encode(pairs [][2]string) string {
	var list []string
	for _, p := range pairs {
		list = append(list, url.QueryEscape(p[0])+"="+url.QueryEscape(p[1]))
	}
	return strings.Join(list, "&")
}
