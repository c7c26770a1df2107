package lua_test

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/keystone-gateway/keystone-gateway/lua"
	"github.com/keystone-gateway/keystone-gateway/proxy/message"
)

// page is a request of which everything is known, and an Exchange that keeps what
// scripts ask of it.
type page struct {
	request
	asked    []string // in order
	body     string   // of the client
	reply    string   // of the target
	refuse   error    // what SetPath and the like return
	failing  error    // what waits return
	late     error    // what reading the target's response returns
	poolless bool
	sent     string // what has been flushed
}

func newPage() *page {
	p := &page{request: *newRequest(), body: `{"a":[1,2]}`, reply: "target's"}
	p.fields = message.Header{
		{Name: []byte("Host"), Value: []byte("Shop.example.com:80"), ID: message.Host},
		{Name: []byte("Accept"), Value: []byte("text/html"), ID: message.Accept},
		{Name: []byte("accept"), Value: []byte("text/plain"), ID: message.Accept},
		{Name: []byte("X-Own"), Value: []byte("1")},
		{Name: []byte("Cookie"), Value: []byte("a=1; b=2")},
		{Name: []byte("Cookie"), Value: []byte("c=3")},
		{Name: []byte("X-Gone"), Value: []byte("x"), Dropped: true},
		{Name: []byte("X-Forwarded-For"), Value: []byte("192.0.2.1"), ID: message.XForwardedFor},
		{Name: []byte("X-Request-Id"), Value: []byte("the client's"), ID: message.XRequestID},
		{Name: []byte("X-Gateway-Hops"), Value: []byte("2"), ID: message.XGatewayHops},
	}
	p.fresh = lua.Request{
		Method: []byte("POST"), Path: []byte("/shop/Über uns"), Key: []byte("/shop/Über uns"), Below: []byte("/Über uns"), Query: []byte("?a=1&b=x+y%21&c&d=%zz&%65=5"),
		Host: []byte("shop.example.com"), Authority: []byte("Shop.example.com:80"), Scheme: "https", Protocol: "HTTP/1.1",
		Remote: netip.MustParseAddr("192.0.2.7"), ID: []byte("id-1"), Tenant: "shop", Header: &p.header,
	}
	p.begin()
	return p
}

func (p *page) ask(what string, with ...any) error {
	p.asked = append(p.asked, fmt.Sprint(append([]any{what + " "}, with...)...))
	return p.refuse
}

func (p *page) SetPath(path string) error      { return p.ask("path", path) }
func (p *page) SetQuery(query string) error    { return p.ask("query", query) }
func (p *page) SetHost(host string) error      { return p.ask("host", host) }
func (p *page) Choose(name string) error       { return p.ask("pool", name) }
func (p *page) ChoosePool(name string) error   { return p.ask("named pool", name) }
func (p *page) SetBalanceKey(key string) error { return p.ask("balance_key", key) }
func (p *page) HasPool() bool                  { return !p.poolless }

func (p *page) Forward() error {
	if p.failing != nil {
		return p.failing
	}
	return p.request.Forward()
}

func (p *page) ReadBody(limit int64) ([]byte, error) {
	p.asked = append(p.asked, fmt.Sprint("body of ", limit))
	return []byte(p.body), p.failing
}

func (p *page) ReadResponse(limit int64) error {
	p.asked = append(p.asked, fmt.Sprint("response of ", limit))
	if p.late == nil {
		p.response.Target = false
		p.response.Body = append(p.response.Body[:0], p.reply...)
	}
	return p.late
}

func (p *page) Flush() error {
	if p.failing != nil {
		return p.failing
	}
	p.response.Begun = true
	p.sent += string(p.response.Body) + "|"
	p.response.Body = p.response.Body[:0]
	return nil
}

// answered is what came of it: the status, what was written, the fields that scripts
// have set, and what was asked; or why the script failed.
func (p *page) answered(err error) string {
	if failed, ok := errors.AsType[*lua.Error](err); ok {
		return strings.TrimPrefix(failed.Message, "a.lua:1: ")
	}
	if err != nil {
		return err.Error()
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%d %s%s", p.response.Status, p.sent, p.response.Body)
	for _, f := range *p.response.Header {
		if !f.Dropped {
			fmt.Fprintf(&b, " %s: %s", f.Name, f.Value)
		}
	}
	for _, asked := range p.asked {
		b.WriteString(", " + asked)
	}
	return b.String()
}

// sees has a middleware of this body serve a page.
func sees(t *testing.T, body string, change func(*page)) string {
	t.Helper()
	dir := t.TempDir()
	put(t, dir, "a.lua", "chi_middleware(function(request, response, next) "+body+" end)")
	scripts, err := lua.Load(options(dir, "a.lua"))
	if err != nil {
		t.Fatalf("%s: %v", body, err)
	}
	defer scripts.Close()
	p := newPage()
	if change != nil {
		change(p)
	}
	return p.answered(scripts.Serve(p, 0))
}

// TestScriptsSee: what scripts see of a request.
func TestScriptsSee(t *testing.T) {
	t.Parallel()
	for expression, want := range map[string]string{
		`request.method`: "POST", `request.path`: "/shop/Über uns", `request.url`: "/shop/Über uns?a=1&b=x+y%21&c&d=%zz&%65=5", `request.query`: "a=1&b=x+y%21&c&d=%zz&%65=5",
		`request.host`: "shop.example.com", `request.scheme`: "https", `request.protocol`: "HTTP/1.1", `request.remote_addr`: "192.0.2.7", `request.id`: "id-1", `request.tenant`: "shop", `request.route`: "",
		`request.body`: `{"a":[1,2]}`, `request.client_certificate`: "nil", `type(request.params)`: "table", `request:json().a[2]`: "2",
		`request:header("Accept")`: "text/html", `request:header("aCCept")`: "text/html", `request.headers.accept`: "text/html", `request:header("x-own")`: "1",
		`request:header("x-gone")`: "nil", `request:header("X-Forwarded-For")`: "nil", `request:header("X-Gateway-Hops")`: "nil", `request:header("x-none")`: "nil",
		`request:header("x-request-id")`: "id-1", `request:header("host")`: "Shop.example.com:80",
		`#request:headers_all("accept")`: "2", `request:headers_all("accept")[2]`: "text/plain", `#request:headers_all("x-gone")`: "0", `#request:headers_all("x-forwarded-for")`: "0",
		`request.headers[1]`: "nil", `request.headers["no name"]`: "nil", `getmetatable(request.headers)`: "nil",
		`request:query_param("a")`: "1", `request:query_param("b")`: "x y!", `request:query_param("c")`: "", `request:query_param("d")`: "%zz", `request:query_param("e")`: "5", `request:query_param("f")`: "nil",
		`request:cookie("a")`: "1", `request:cookie("b")`: "2", `request:cookie("c")`: "3", `request:cookie("d")`: "nil",
		`request:param("x")`: "nil", `request:get("x")`: "nil",
		`response.status_code`: "200", `response:header("x")`: "nil", `response.body`: "", `#response:headers_all("x")`: "0",
		`request_method(request)`: "POST", `request_path(request)`: "/shop/Über uns", `request_header(request, "x-own")`: "1", `request_header(request, "none")`: "", `chi_param(request, "x")`: "",
		`request_headers(request)["X-Own"]`: "1", `request_headers(request)["X-Gone"]`: "nil", `request_headers(request).Accept`: "text/html", `request_query(request)`: "a=1&b=x+y%21&c&d=%zz&%65=5",
		`request_url(request)`: "/shop/Über uns?a=1&b=x+y%21&c&d=%zz&%65=5", `request_body(request)`: `{"a":[1,2]}`, `request_host(request)`: "shop.example.com",
		`get_env("x")`: "",
	} {
		got := sees(t, "response:status(201) response:write(tostring("+strings.ReplaceAll(expression, "response.status_code", "(function() return 200 end)()")+"))", nil)
		if got, _, _ = strings.Cut(got, ", body of"); got != "201 "+want {
			t.Errorf("%s is %q, want %q", expression, got, want)
		}
	}
	if got := sees(t, "response:write(request.remote_addr, ' ', request:header('X-Forwarded-For'), ' ', response.status_code)", func(p *page) {
		p.request.request.Remote, p.request.request.Trusted = netip.Addr{}, true
	}); got != "0 unix 192.0.2.1 200" {
		t.Errorf("got %q", got)
	}
	if got := sees(t, "local s = '' for name, value in pairs(request.headers) do s = s .. name .. '=' .. value .. ' ' end response:write(s, #request.headers)", nil); got != "0 Host=Shop.example.com:80 Accept=text/html accept=text/plain X-Own=1 Cookie=a=1; b=2 Cookie=c=3 10" {
		t.Errorf("got %q", got)
	}
}

// TestScriptsSeeCertificates of clients, as tables.
func TestScriptsSeeCertificates(t *testing.T) {
	t.Parallel()
	got := sees(t, `local c = request.client_certificate
		response:write(c.subject, ' ', c.issuer, ' ', c.serial, ' ', c.fingerprint, ' ', c.not_before, ' ', c.not_after, ' ')
		for _, list in ipairs({c.dns_names, c.emails, c.uris, c.ips}) do response:write(#list, table.concat(list, ',')) end
		c.subject = 'x' response:write(' ', request.client_certificate.subject)`, func(p *page) {
		p.request.request.Certificate = &message.Certificate{
			Subject: "CN=a", Issuer: "CN=b", Serial: "01", Fingerprint: "ff", NotBefore: time.Unix(5, 0), NotAfter: time.Unix(7, 0),
			DNSNames: []string{"a.example", "b.example"}, Emails: []string{"a@example.com"}, URIs: []string{"urn:a"}, IPs: []string{"192.0.2.1"},
		}
	})
	if want := "0 CN=a CN=b 01 ff 5 7 2a.example,b.example1a@example.com1urn:a1192.0.2.1 CN=a"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// TestScriptsChangeRequests: what becomes of a request that a script changes.
func TestScriptsChangeRequests(t *testing.T) {
	t.Parallel()
	const own = " is the gateway's own field: targets get what the gateway knows"
	for _, c := range []struct{ code, want string }{
		{`request:set_path("/x")`, "0 , path /x"},
		{`request:set_query("?x=1")`, "0 , query x=1"},
		{`request:set_query("x=1")`, "0 , query x=1"},
		{`request:set_host("a.example")`, "0 , host a.example"},
		{`request:upstream("api")`, "0 , pool api"},
		{`request:set_header("Host", "a.example")`, "0 , host a.example"},
		{`request:add_header("Host", "a.example")`, "0 , host a.example"},
		{`request.headers.host = "a.example"`, "0 , host a.example"},
		{`request:remove_header("Host")`, "Host can't be removed: a request must have one"},
		{`request:set_method("delete") response:write(request.method)`, "0 delete"},
		{`request:set_method("CONNECT")`, `bad argument #1 to 'set_method' ("CONNECT" is not a method that can be sent on)`},
		{`request:set_method("trace")`, `bad argument #1 to 'set_method' ("trace" is not a method that can be sent on)`},
		{`request:set_method("PRI")`, `bad argument #1 to 'set_method' ("PRI" is not a method that can be sent on)`},
		{`request:set_method("A B")`, `bad argument #1 to 'set_method' ("A B" is not a method that can be sent on)`},
		{`request:set_method(("M"):rep(32)) response:write(#request.method)`, "0 32"},
		{`request:set_method(("M"):rep(33))`, `bad argument #1 to 'set_method' ("` + strings.Repeat("M", 33) + `" is not a method that can be sent on)`},
		{`request:set_body("new") response:write(request.body)`, "0 new"},
		{`request:set("a", 1) request:set("b", request) response:write(request:get("a"), tostring(request:get("b") == request))`, "0 1true"},
		{`request:set("a", 1) request:set("a", nil) response:write(tostring(request:get("a")))`, "0 nil"},
		{`request:set_context("a", 1) response:write(request:get_context("a"), chi_context_get(request, "a"))`, "0 11"},
		{`request:set_header("X-Own", "2") response:write(request:header("x-own"), #request.headers)`, "0 210"},
		{`request:add_header("X-Own", "2") response:write(#request:headers_all("x-own"), #request.headers)`, "0 211"},
		{`request:remove_header("X-Own") response:write(tostring(request:header("x-own")))`, "0 nil"},
		{`request:set_header("X-Own", nil) response:write(tostring(request:header("x-own")))`, "0 nil"},
		{`request.headers["X-Own"] = nil response:write(tostring(request:header("x-own")))`, "0 nil"},
		{`request.headers["X-Own"] = 5 response:write(request:header("x-own"))`, "0 5"},
		{`request:set_header("X-Own", " \t a b \t ") response:write("<", request:header("x-own"), ">")`, "0 <a b>"},
		{`request:set_header("X-Own", "a\tb") response:write(request:header("x-own"))`, "0 a\tb"},
		{`request:set_header("X-Own", "") response:write("<", request:header("x-own"), ">")`, "0 <>"},
		{`request:set_header("Content-Length", "5") request:add_header("Transfer-Encoding", "x") response:write(#request.headers)`, "0 10"},
		{`request:remove_header("Connection") response:write(#request.headers)`, "0 10"},
		{`request:set_header("X-Forwarded-For", "x")`, "X-Forwarded-For" + own},
		{`request:add_header("Via", "x")`, "Via" + own}, {`request:remove_header("x-request-id")`, "x-request-id" + own},
		{`request:set_header("Forwarded", "x")`, "Forwarded" + own}, {`request:set_header("X-Forwarded-Host", "x")`, "X-Forwarded-Host" + own}, {`request:set_header("X-Forwarded-Proto", "x")`, "X-Forwarded-Proto" + own}, {`request:set_header("X-Forwarded-Port", "x")`, "X-Forwarded-Port" + own},
		{`request:set_header("a b", "x")`, `bad argument #1 to 'set_header' ("a b" is not the name of a header field)`},
		{`request:set_header("", "x")`, `bad argument #1 to 'set_header' ("" is not the name of a header field)`},
		{`request:set_header(("n"):rep(256), "x") response:write(#request.headers)`, "0 11"},
		{`request:set_header(("n"):rep(257), "x")`, `bad argument #1 to 'set_header' ("` + strings.Repeat("n", 100) + `…" is not the name of a header field)`},
		{`request:set_header("X", ("v"):rep(16384)) response:write(#request:header("X"))`, "0 16384"},
		{`request:set_header("X", ("v"):rep(16385))`, "bad argument #2 to 'set_header' (a header value of 16385 bytes is too long, expected at most 16384)"},
		{`request:set_header("X", "a\n")`, "bad argument #2 to 'set_header' (a header value has the control character 0x0A at byte 2)"},
		{`request:set_header("X", "\0")`, "bad argument #2 to 'set_header' (a header value has the control character 0x00 at byte 1)"},
		{`request:set_header("X", "ab\127")`, "bad argument #2 to 'set_header' (a header value has the control character 0x7F at byte 3)"},
		{`request:set_header("X", "\31")`, "bad argument #2 to 'set_header' (a header value has the control character 0x1F at byte 1)"},
		{`for i = 1, 190 do request:add_header("X", "v") end response:write(#request.headers)`, "0 200"},
		{`for i = 1, 191 do request:add_header("X", "v") end`, "too many header fields, expected at most 200"},
		{`for i = 1, 201 do response:add_header("X", "v") end`, "too many header fields, expected at most 200"},
		{`next() request:set_path("/x")`, "request:set_path was called after next had sent the request on"},
		{`next() request:set_query("x")`, "request:set_query was called after next had sent the request on"},
		{`next() request:set_method("GET")`, "request:set_method was called after next had sent the request on"},
		{`next() request:set_host("x")`, "request:set_host was called after next had sent the request on"},
		{`next() request:set_body("x")`, "request:set_body was called after next had sent the request on"},
		{`next() request:upstream("x")`, "request:upstream was called after next had sent the request on"},
		{`chi_context_set(request, "a", 1) response:write(request:get("a"))`, "0 1"},
	} {
		if got := sees(t, c.code, nil); got != c.want {
			t.Errorf("%s\ngives    %q\nexpected %q", c.code, got, c.want)
		}
	}
	for _, code := range []string{`request:set_path("x")`, `request:set_query("x")`, `request:set_host("x")`, `request:upstream("x")`, `request:set_header("Host", "x")`} {
		if got := sees(t, code, func(p *page) { p.refuse = errors.New("it is none") }); got != "it is none" {
			t.Errorf("%s, refused: got %q", code, got)
		}
	}
}

// TestScriptsAnswer: what becomes of a response that a script makes.
func TestScriptsAnswer(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ code, want string }{
		{`response:write("a", 1, "b", 2.5)`, "0 a1b2.5"},
		{`response:write()`, "0 "},
		{`response:write(true)`, "bad argument #1 to 'write' (string expected, got boolean)"},
		{`response_write(response, "x") response_status(response, 404) response_header(response, "X", "y")`, "404 x X: y"},
		{`response:status(200)`, "200 "}, {`response:status(599)`, "599 "},
		{`response:status(199)`, "bad argument #1 to 'status' (status 199 can't be sent, expected 200 to 599)"},
		{`response:status(600)`, "bad argument #1 to 'status' (status 600 can't be sent, expected 200 to 599)"},
		{`response.status_code = "404" response:write(response.status_code)`, "404 404"},
		{`response.status_code = 199`, "response.status_code can't be 199, expected 200 to 599"},
		{`response.status_code = 600`, "response.status_code can't be 600, expected 200 to 599"},
		{`response.status_code = -1e9`, "response.status_code can't be -1000000000, expected 200 to 599"},
		{`response:header("X", "1") response:header("x", "2") response:write(response:header("X"))`, "0 2 x: 2"},
		{`response:set_header("X", "1") response:add_header("X", "2") response:write(#response:headers_all("x"), #response.headers)`, "0 22 X: 1 X: 2"},
		{`response.headers.X = "1" response:write(response.headers.x)`, "0 1 X: 1"},
		{`response:header("X", "1") response:header("X", nil)`, "0 "}, {`response:header("X", "1") response:remove_header("x")`, "0 "}, {`response.headers.X = "1" response.headers.X = nil`, "0 "},
		{`response:header("A", "1") response:header("B", "2") for n, v in pairs(response.headers) do response:write(n, v) end`, "0 A1B2 A: 1 B: 2"},
		{`response:header("Content-Length", "1") response:header("Connection", "x") response:add_header("Transfer-Encoding", "x") response:header("X-Request-Id", "x") response:header("X-Gateway-Error", "x")`, "0 "},
		{`response:header("Upgrade", "h2c")`, "0  Upgrade: h2c"},
		{`response:header("X", "") response:write("<", response:header("X"), response.headers.X, ">")`, "0 <> X: "},
		{`response.body = "a" response.body = 5`, "0 5"},
		{`response:write("a") response:set_body("b") response:write("c", response.body)`, "0 bcb"},
		{`response:json({1})`, "0 [1] Content-Type: application/json"},
		{`response:json({1}, 404)`, "404 [1] Content-Type: application/json"},
		{`response:json({1}, 99)`, "bad argument #2 to 'json' (status 99 can't be sent, expected 200 to 599)"},
		{`response:json()`, "bad argument #1 to 'json' (value expected)"},
		{`response:json(print)`, "response:json: cannot encode a function"},
		{`response:redirect("/x")`, "302  Location: /x"},
		{`response:write("a") response:flush() response:write("b") response:flush() response:write("c")`, "0 a|b|c"},
		{`response:flush() response:status(404) response:header("X", "1") response:add_header("X", "1") response:redirect("/x") response:cookie({name = "a", value = "b"})`, "0 |"},
		{`response:flush() response.body = "x"`, "the response has begun: its body can't be replaced"},
		{`response:flush() local b = response.body`, "the response has begun: its body is no longer there"},
		{`response:flush() response:write(("x"):rep(65535)) response:write("y")`, "0 |" + strings.Repeat("x", 65535) + "y|"},
		{`response:flush() response:write(("x"):rep(65535))`, "0 |" + strings.Repeat("x", 65535)},
		{`response:write(("x"):rep(65537))`, "0 " + strings.Repeat("x", 65537)},
		// After a target's answer.
		{`next()`, "200  Server: app Content-Length: 2"},
		{`response:header("X", "1") response:add_header("Server", "own") next()`, "200  Server: app Content-Length: 2 X: 1 Server: own"},
		{`response:header("Server", "own") next()`, "200  Server: own Content-Length: 2"},
		{`next() response:header("Server", "own") response:status(201)`, "201  Server: own Content-Length: 2"},
		{`next() response:write("x")`, "the response's body comes from the target: read response.body, or replace it with response:set_body(text)"},
		{`next() response:flush()`, "the response's body comes from the target, which needs no flush"},
		{`next() response.body = response.body .. "!"`, "200 target's! Server: app Content-Length: 2, response of 1048576"},
		{`next() response:set_body("x")`, "200 x Server: app Content-Length: 2"},
		{`next() response:json({})`, "200 {} Server: app Content-Length: 2 Content-Type: application/json"},
		{`next() response:redirect("/x")`, "302  Server: app Content-Length: 2 Location: /x"},
		{`next() next()`, "next was called twice"},
		{`response:write("x") next()`, "next was called after the response had been written"},
		{`response:flush() next()`, "next was called after the response had been written"},
		{`local body = request.body body = request.body response:write(body)`, `0 {"a":[1,2]}, body of 1048576`},
	} {
		if got := sees(t, c.code, nil); got != c.want {
			t.Errorf("%s\ngives    %.200q\nexpected %.200q", c.code, got, c.want)
		}
	}
}
