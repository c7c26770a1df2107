package modules

import (
	"fmt"

	glua "github.com/yuin/gopher-lua"

	"github.com/keystone-gateway/keystone-gateway/lua/vm"
	"github.com/keystone-gateway/keystone-gateway/tenants/fetch"
)

// openHTTP makes the module http: requests of scripts to other servers,
// through the tenant's Client. While a script waits for a response, others run
// on its VM.
//
// Options of a request, all optional:
//
//	headers       table of names to a string or a list of strings
//	query         table of names to a string or a list of strings, added to the URL's query
//	json          value that is sent as the body, encoded, as application/json
//	timeout       seconds for everything until the end of the body (lua.http.timeout)
//	redirects     how many redirects are followed, 0 to 10 (0: a redirect is the response); to another
//	              host go all headers but Authorization and Cookie
//	max_response  bytes that the body may have (lua.http.max_response, which is also the most)
//	decompress    true asks for gzip, and unpacks it
//
// A response is a table: status, body, url (of the last request), headers
// (names in lower case, found in any; several fields of a name joined with
// ", "), headers_all (the same with lists) and the method json.
func openHTTP(L *glua.LState, t *Tenant) *glua.LTable {
	m := newHTTPModule(L, t)
	table := L.CreateTable(0, 1)
	L.SetFuncs(table, map[string]glua.LGFunction{
		"request": m.request, "all": m.all,
		"get": m.without("GET"), "head": m.without("HEAD"), "delete": m.without("DELETE"),
		"post": m.with("POST"), "put": m.with("PUT"), "patch": m.with("PATCH"),
	})
	return table
}

type httpModule struct {
	tenant    *Tenant
	responses *responses
}

func newHTTPModule(L *glua.LState, t *Tenant) *httpModule {
	return &httpModule{tenant: t, responses: perVM(L, "keystone.http", newResponses)}
}

func (m *httpModule) client(L *glua.LState) *fetch.Client {
	if m.tenant.HTTP == nil {
		L.RaiseError("http: requests are not enabled for this tenant")
	}
	return m.tenant.HTTP
}

// http.request(options) -> response | nil, message: a request with the options
// method ("GET", or "POST" where there is a body), url and body beside the
// common ones.
func (m *httpModule) request(L *glua.LState) int {
	r, err := m.read(options{L: L, arg: 1, table: vm.CheckTable(L, 1)})
	if err != nil {
		return failed(L, err)
	}
	return m.do(L, r)
}

// http.get(url, options?) -> response | nil, message: also http.head and
// http.delete.
func (m *httpModule) without(method string) glua.LGFunction {
	return func(L *glua.LState) int {
		target := vm.CheckString(L, 1)
		o := checkOptions(options{L: L, arg: 2, table: vm.OptTable(L, 2, nil)}, commonOptions())
		r, err := readRequest(m.client(L), o, method, target, "", false)
		if err != nil {
			return failed(L, err)
		}
		return m.do(L, r)
	}
}

// http.post(url, body?, options?) -> response | nil, message: also http.put
// and http.patch. body is a string, or nil where the option json is given.
func (m *httpModule) with(method string) glua.LGFunction {
	return func(L *glua.LState) int {
		target := vm.CheckString(L, 1)
		body := vm.OptString(L, 2, "")
		o := checkOptions(options{L: L, arg: 3, table: vm.OptTable(L, 3, nil)}, commonOptions())
		r, err := readRequest(m.client(L), o, method, target, body, L.Get(2) != glua.LNil)
		if err != nil {
			return failed(L, err)
		}
		return m.do(L, r)
	}
}

// http.all(requests) -> results: makes up to 64 requests, which are options as
// of http.request or URLs, several at once. Results are in the same order:
// each a response, or a table {error = message}.
func (m *httpModule) all(L *glua.LState) int {
	list := plain(vm.CheckTable(L, 1))
	var requests []*fetch.Request
	var at []int // the index of each among the results
	results := L.CreateTable(0, 1)
	for i := 1; ; i++ {
		value := list.RawGetInt(i)
		if value == glua.LNil {
			break
		}
		if i > maxBodySet {
			vm.ArgError(L, 1, fmt.Sprintf("more than %d requests", maxBodySet))
		}
		o := options{L: L, arg: 1, where: fmt.Sprintf("request %d: ", i)}
		r, err := m.readOne(o, value)
		if err != nil {
			results.RawSetInt(i, m.failure(L, err))
			continue
		}
		requests, at = append(requests, r), append(at, i)
	}
	if len(requests) > 0 {
		for k, res := range runAll(L, m.client(L), requests) {
			if res.err != nil {
				results.RawSetInt(at[k], m.failure(L, res.err))
			} else {
				results.RawSetInt(at[k], m.responses.push(L, res.Answer))
			}
		}
	}
	L.Push(results)
	return 1
}

// readOne reads a request of http.all.
func (m *httpModule) readOne(o options, value glua.LValue) (*fetch.Request, error) {
	switch v := value.(type) {
	case glua.LString:
		return readRequest(m.client(o.L), o, "GET", string(v), "", false)
	case *glua.LTable:
		o.table = v
		return m.read(o)
	}
	o.fail("a table of options or a URL expected, not a %s", value.Type().String())
	return nil, nil
}

// read reads the options of http.request.
func (m *httpModule) read(o options) (*fetch.Request, error) {
	o = checkOptions(o, bodyOptions())
	target, ok := o.text("url")
	if !ok {
		o.fail("url is missing")
	}
	body, hasBody := o.text("body")
	method, ok := o.text("method")
	if !ok {
		method = "GET"
		if hasBody || o.get("json") != glua.LNil {
			method = "POST"
		}
	}
	return readRequest(m.client(o.L), o, method, target, body, hasBody)
}

func (m *httpModule) do(L *glua.LState, r *fetch.Request) int {
	res := runAll(L, m.client(L), []*fetch.Request{r})[0]
	if res.err != nil {
		return failed(L, res.err)
	}
	L.Push(m.responses.push(L, res.Answer))
	return 1
}

func (m *httpModule) failure(L *glua.LState, err error) *glua.LTable {
	vm.RunOf(L).Charge(L, tableBytes)
	t := L.CreateTable(0, 1)
	t.RawSetString("error", messageOf(L, err))
	return t
}

// HTTPGet returns the earlier Keystone's function.
//
// http_get(url, headers?) -> body, status, headers | "", 0, {}, message: it
// follows up to ten redirects; with {headers=…, follow_redirects=false} it
// doesn't. Names of header fields are written Like-This, and found in any
// case. What belongs to the connection is left out of what is sent. Where the
// earlier Keystone's scripts pass the request, it is left out of account.
func HTTPGet(t *Tenant) glua.LGFunction { return flatFunction(t, "GET", 2) }

// HTTPPost returns the earlier Keystone's function.
//
// http_post(url, body, headers?) -> body, status, headers | "", 0, {}, message:
// as http_get.
func HTTPPost(t *Tenant) glua.LGFunction { return flatFunction(t, "POST", 3) }

// flatFunction has its header fields at an argument, and its body before.
func flatFunction(t *Tenant, method string, fields int) glua.LGFunction {
	return func(L *glua.LState) int {
		if _, ok := L.Get(fields).(*glua.LUserData); ok {
			L.Remove(fields)
		}
		m := newHTTPModule(L, t)
		target, body := vm.CheckString(L, 1), ""
		if fields == 3 {
			body = vm.OptString(L, 2, "")
		}
		o := options{L: L, arg: fields}
		r, err := readRequest(m.client(L), o, method, target, body, true)
		if err == nil {
			r.Redirects = flatRedirects
			if given := vm.OptTable(L, fields, nil); given != nil {
				readFlat(L, &o, r, given)
			}
			res := runAll(L, m.client(L), []*fetch.Request{r})[0]
			if err = res.err; err == nil {
				L.Push(glua.LString(res.Body))
				L.Push(glua.LNumber(res.Status))
				L.Push(m.responses.flat(L, res.Header))
				return 3
			}
		}
		L.Push(glua.LString(""))
		L.Push(glua.LNumber(0))
		L.Push(L.CreateTable(0, 1))
		L.Push(messageOf(L, err))
		return 4
	}
}

// flatRedirects is how many redirects the flat functions follow.
const flatRedirects = 10

// readFlat reads the table of a flat function: the fields of the header, or
// {headers=, follow_redirects=}.
func readFlat(L *glua.LState, o *options, r *fetch.Request, given *glua.LTable) {
	inner, follow := given.RawGetString("headers"), given.RawGetString("follow_redirects")
	if inner != glua.LNil || follow != glua.LNil {
		if follow == glua.LFalse {
			r.Redirects = 0
		}
		fields, ok := inner.(*glua.LTable)
		if !ok {
			return
		}
		given = fields
	}
	o.table = L.CreateTable(0, 1)
	o.table.RawSetString("headers", given)
	o.readHeaders(r, true)
}
