package modules

import (
	"errors"
	"net/url"
	"strconv"
	"strings"

	glua "github.com/yuin/gopher-lua"

	"github.com/keystone-gateway/keystone-gateway/lua/vm"
	"github.com/keystone-gateway/keystone-gateway/proxy/cause"
)

// urlMax bounds what is parsed as a URL, in bytes.
const urlMax = 64 << 10

// openURL makes the url module.
func openURL(L *glua.LState, _ *Tenant) *glua.LTable {
	return L.SetFuncs(L.CreateTable(0, 1), map[string]glua.LGFunction{
		"parse": urlParse, "build": urlBuild, "join": urlJoin, "query": urlQuery, "encode_query": urlEncodeQuery,
		"escape": urlEscape, "escape_path": urlEscapePath, "unescape": urlUnescape,
	})
}

// urlSpend charges for a pass over n bytes, of which copies are made.
func urlSpend(L *glua.LState, n, copies int) {
	run := vm.RunOf(L)
	run.Charge(L, copies*n+64)
	run.Spend(L, 5+copies*n/8)
}

// urlOf parses the argument n.
func urlOf(L *glua.LState, n int) (*url.URL, error) {
	s := vm.CheckString(L, n)
	if len(s) > urlMax {
		return nil, errors.New("longer than 64 KiB")
	}
	urlSpend(L, len(s), 4)
	u, err := url.Parse(s)
	if err != nil {
		// Without the text, which the caller has.
		var bad *url.Error
		if errors.As(err, &bad) {
			err = bad.Err
		}
		return nil, err
	}
	if port := u.Port(); port != "" {
		if _, err := strconv.ParseUint(port, 10, 16); err != nil {
			return nil, errors.New("no such port")
		}
	}
	return u, nil
}

func urlFail(L *glua.LState, err error) int {
	L.Push(glua.LNil)
	L.Push(glua.LString("invalid URL: " + vm.Clip(cause.Text(err))))
	return 2
}

// url.parse(s) -> table | nil, message: the parts that the URL has, of scheme
// (lower case), user, password, host (with port), hostname (IPv6 without
// brackets), port (a number), path, query (without ?), fragment (without #),
// and opaque, of URLs like mailto:a@b. path, query and fragment are escaped as
// in s; path is always there.
func urlParse(L *glua.LState) int {
	u, err := urlOf(L, 1)
	if err != nil {
		return urlFail(L, err)
	}
	vm.RunOf(L).Charge(L, 2000)
	t := L.CreateTable(0, 8)
	whole := vm.CheckString(L, 1)
	put := func(name, value string) { t.RawSetString(name, vm.Part(L, whole, value)) }
	set := func(name, value string) {
		if value != "" {
			put(name, value)
		}
	}
	set("scheme", u.Scheme)
	if u.User != nil {
		put("user", u.User.Username())
		if password, ok := u.User.Password(); ok {
			put("password", password)
		}
	}
	set("host", u.Host)
	set("hostname", u.Hostname())
	if port, err := strconv.Atoi(u.Port()); err == nil {
		t.RawSetString("port", glua.LNumber(port))
	}
	put("path", u.EscapedPath())
	if u.RawQuery != "" || u.ForceQuery {
		put("query", u.RawQuery)
	}
	set("fragment", u.EscapedFragment())
	set("opaque", u.Opaque)
	L.Push(t)
	return 1
}

// url.build(parts) -> string | nil, message: the URL of a table as url.parse
// returns it. host goes before hostname and port. path and fragment are taken
// as escaped, but what can't stand there is escaped; query may be a table, as
// for url.encode_query.
func urlBuild(L *glua.LState) int {
	parts := jsonContent(vm.CheckTable(L, 1))
	size := 0
	field := func(name string) string {
		switch v := parts.RawGetString(name).(type) {
		case *glua.LNilType:
			return ""
		case glua.LString, glua.LNumber:
			size += len(vm.Text(v))
			if size > urlMax {
				vm.ArgError(L, 1, "the parts are longer than 64 KiB")
			}
			return vm.Text(v)
		default:
			vm.ArgError(L, 1, name+" is not a string")
			return ""
		}
	}
	u := &url.URL{Scheme: field("scheme"), Host: urlHost(field), Opaque: field("opaque")}
	if user, password := field("user"), field("password"); password != "" {
		u.User = url.UserPassword(user, password)
	} else if user != "" {
		u.User = url.User(user)
	}
	if query, ok := parts.RawGetString("query").(*glua.LTable); ok {
		u.RawQuery = urlQueryOf(L, query)
	} else {
		u.RawQuery = urlKeep(L, field("query"), urlInQuery)
	}
	// Each may grow threefold.
	path, fragment := field("path"), field("fragment")
	urlSpend(L, 3*size+len(u.RawQuery), 4)
	u.RawPath, u.RawFragment = urlKeep(L, path, urlInPath), urlKeep(L, fragment, urlInQuery)
	var err1, err2 error
	u.Path, err1 = url.PathUnescape(u.RawPath)
	u.Fragment, err2 = url.PathUnescape(u.RawFragment)
	if err := errors.Join(err1, err2); err != nil {
		return urlFail(L, err)
	}
	if u.Host != "" && u.Path != "" && u.Path[0] != '/' {
		return urlFail(L, errors.New("the path after a host doesn't begin with /"))
	}
	// A part must not have become another one: a host with a slash, say.
	s := u.String()
	again, err := url.Parse(s)
	if err != nil || again.Host != u.Host || again.Scheme != strings.ToLower(u.Scheme) || again.Path != u.Path && u.Opaque == "" || again.RawQuery != u.RawQuery {
		return urlFail(L, errors.New("the parts don't make one"))
	}
	L.Push(glua.LString(s))
	return 1
}

// urlHost is the host with its port.
func urlHost(field func(string) string) string {
	host, hostname, port := field("host"), field("hostname"), field("port")
	if host != "" || hostname == "" {
		return host
	}
	if strings.Contains(hostname, ":") {
		hostname = "[" + hostname + "]"
	}
	if port != "" {
		hostname += ":" + port
	}
	return hostname
}

// url.join(base, reference) -> string | nil, message: the URL that a reference
// on a page at base means (RFC 3986, section 5).
func urlJoin(L *glua.LState) int {
	base, err := urlOf(L, 1)
	if err != nil {
		return urlFail(L, err)
	}
	reference, err := urlOf(L, 2)
	if err != nil {
		return urlFail(L, err)
	}
	L.Push(glua.LString(base.ResolveReference(reference).String()))
	return 1
}
