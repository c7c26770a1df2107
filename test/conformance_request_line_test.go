package test

import (
	"strings"
	"testing"
)

// TestRequestLine holds the gateway to RFC 9112 §3 and §2.3.
func TestRequestLine(t *testing.T) {
	t.Parallel()
	runClientCases(t, append(append(methodCases(), lineCases()...), versionCases()...))
}

func methodCases() []clientCase {
	h := "Host: {host}"
	return []clientCase{
		ok("plain GET", get("/p"), method("GET"), target("/p")),
		{name: "HEAD", send: lined("HEAD /p HTTP/1.1", h), methods: "HEAD", want: "200", alive: true,
			up: []func(request) string{method("HEAD")}},
		ok("DELETE without body", lined("DELETE /p HTTP/1.1", h), method("DELETE"), without("Content-Length", "Transfer-Encoding")),
		ok("POST of nothing", post("Content-Length: 0"), method("POST"), body("")),
		ok("PUT with body", lined("PUT /p HTTP/1.1", h, "Content-Length: 3")+"abc", method("PUT"), body("abc")),
		ok("PATCH with body", lined("PATCH /p HTTP/1.1", h, "Content-Length: 3")+"abc", method("PATCH"), body("abc")),
		ok("GET with a body keeps it", get("/p", "Content-Length: 3")+"abc", method("GET"), body("abc")),
		ok("DELETE with a body keeps it", lined("DELETE /p HTTP/1.1", h, "Content-Length: 3")+"abc", body("abc")),
		ok("GET with a chunked body keeps it", get("/p", "Transfer-Encoding: chunked")+"3\r\nabc\r\n0\r\n\r\n", body("abc")),
		ok("unknown method", lined("FROBNICATE /p HTTP/1.1", h), method("FROBNICATE")),
		ok("WebDAV method", lined("PROPFIND /p HTTP/1.1", h), method("PROPFIND")),
		ok("method with a dash", lined("M-SEARCH /p HTTP/1.1", h), method("M-SEARCH")),
		ok("method with odd token characters", lined("A!#$%&'*+.^_`|~9 /p HTTP/1.1", h), method("A!#$%&'*+.^_`|~9")),
		{name: "lower-case method is another one", send: lined("get /p HTTP/1.1", h), want: "200|400|405|501",
			up: []func(request) string{method("get")}},
		{name: "OPTIONS for a path", send: lined("OPTIONS /p HTTP/1.1", h), want: "200", alive: true,
			up: []func(request) string{method("OPTIONS"), target("/p")}},
		{name: "OPTIONS asterisk", send: lined("OPTIONS * HTTP/1.1", h), want: "200|204", alive: true,
			up: []func(request) string{method("OPTIONS"), target("*")}},
		{name: "OPTIONS of a host without a path", send: lined("OPTIONS http://{host} HTTP/1.1", h), want: "200|204", alive: true,
			up: []func(request) string{method("OPTIONS"), target("*")}},
		{name: "OPTIONS of a host's root", send: lined("OPTIONS http://{host}/ HTTP/1.1", h), want: "200|204", alive: true,
			up: []func(request) string{method("OPTIONS"), target("/")}},
		{name: "OPTIONS asterisk with a body", send: lined("OPTIONS * HTTP/1.1", h, "Content-Length: {len}") + "{canary}",
			want: "200|204|400|413", up: []func(request) string{target("*")}},
		{name: "TRACE", send: lined("TRACE /p HTTP/1.1", h, "Max-Forwards: 1"), want: "405|501"},
		{name: "TRACE with a body", send: lined("TRACE /p HTTP/1.1", h, "Content-Length: {len}") + "{canary}", want: "400|405|501"},
		{name: "CONNECT", send: lined("CONNECT {host}:443 HTTP/1.1", "Host: {host}:443"), want: "405|501"},
		{name: "CONNECT with a path", send: lined("CONNECT /p HTTP/1.1", h), want: "400|405|501"},
		refused("400|405|501", "CONNECT with a canary in the tunnel", lined("CONNECT {host}:80 HTTP/1.1", h)+"{canary}"),
		bad("@ in the method", lined("G@T /p HTTP/1.1", h)),
		bad("parenthesis in the method", lined("GE(T /p HTTP/1.1", h)),
		bad("colon in the method", lined("GET: /p HTTP/1.1", h)),
		bad("slash in the method", lined("GET/1 /p HTTP/1.1", h)),
		bad("quote in the method", lined(`"GET" /p HTTP/1.1`, h)),
		bad("NUL in the method", lined("GE\x00T /p HTTP/1.1", h)),
		bad("NUL before the method", lined("\x00GET /p HTTP/1.1", h)),
		bad("high byte in the method", lined("G\xc9T /p HTTP/1.1", h)),
		bad("byte order mark before the method", lined("\xef\xbb\xbfGET /p HTTP/1.1", h)),
		bad("no method", lined(" /p HTTP/1.1", h)),
		bad("no method, no space", lined("/p HTTP/1.1", h)),
	}
}

func lineCases() []clientCase {
	h := "Host: {host}"
	return []clientCase{
		ok("an empty line before the request", "\r\n"+get("/p"), target("/p")), // RFC 9112 §2.2
		okOrBad("two empty lines before the request", "\r\n\r\n"+get("/p"), target("/p")),
		okOrBad("a bare LF before the request", "\n"+get("/p"), target("/p")),
		bad("a bare CR before the request", "\r"+get("/p")),
		{name: "thousands of empty lines before the request", send: strings.Repeat("\r\n", 50_000) + get("/p"),
			want: "200|400|408|431|-"},
		okOrBad("space before the method", " "+get("/p"), target("/p")),
		okOrBad("two spaces after the method", lined("GET  /p HTTP/1.1", h), target("/p")),
		okOrBad("two spaces before the version", lined("GET /p  HTTP/1.1", h), target("/p")),
		okOrBad("tab after the method", lined("GET\t/p HTTP/1.1", h), target("/p")),
		okOrBad("tab before the version", lined("GET /p\tHTTP/1.1", h), target("/p")),
		okOrBad("space after the version", lined("GET /p HTTP/1.1 ", h), target("/p")),
		bad("form feed between the parts", lined("GET\f/p\fHTTP/1.1", h)),
		bad("vertical tab between the parts", lined("GET\v/p\vHTTP/1.1", h)),
		bad("bare CR between the parts", lined("GET\r/p\rHTTP/1.1", h)),
		bad("bare LF between the parts", lined("GET /p\nHTTP/1.1", h)),
		bad("NUL between the parts", lined("GET\x00/p\x00HTTP/1.1", h)),
		bad("no-break space between the parts", lined("GET\xa0/p\xa0HTTP/1.1", h)),
		bad("bare LF after the request line", "GET /p HTTP/1.1\nHost: {host}\r\n\r\n"),
		bad("bare CR after the request line", "GET /p HTTP/1.1\rHost: {host}\r\n\r\n"),
		bad("CR CR LF after the request line", "GET /p HTTP/1.1\r\r\nHost: {host}\r\n\r\n"),
		bad("only bare LF", "GET /p HTTP/1.1\nHost: {host}\n\n"),
		bad("no target", lined("GET HTTP/1.1", h)),
		bad("an empty target", lined("GET  HTTP/1.1", h)),
		bad("four parts", lined("GET /p /q HTTP/1.1", h)),
		bad("two versions", lined("GET /p HTTP/1.1 HTTP/1.1", h)),
		bad("a folded request line", lined("GET /p\r\n HTTP/1.1", h)),
		bad("only a method", lined("GET", h)),
		bad("only a colon", lined(":", h)),
		{name: "a TLS hello", send: "\x16\x03\x01\x00\xa5\x01\x00\x00\xa1\x03\x03" + strings.Repeat("\x5a", 160) + "\r\n\r\n",
			want: "400|-", closed: true},
		{name: "an HTTP/2 preface", send: "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00",
			want: "400|505|-", closed: true},
		bad("an SSH banner", "SSH-2.0-OpenSSH_9.9\r\n\r\n"),
		bad("a PROXY line nobody asked for", "PROXY TCP4 10.0.0.1 10.0.0.2 1234 80\r\n"+get("/p")),
		bad("a response", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"),
		{name: "a line without end", send: "GET /" + strings.Repeat("a", 1<<20), want: "400|414|431|-", closed: true},
		{name: "a method without end", send: strings.Repeat("A", 1<<18), want: "400|431|501|414|-", closed: true},
	}
}

func versionCases() (cases []clientCase) {
	for _, version := range []string{
		"HTTP/2.0", "HTTP/3.0", "HTTP/0.9", "HTTP/1.2", "HTTP/1.10", "HTTP/11", "HTTP/1.", "HTTP/.1", "HTTP/1", "HTTP/",
		"HTTP/1.1x", "HTTP/01.1", "HTTP/1.01", "HTTP/-1.1", "HTTP/+1.1", "HTTPS/1.1", "HTTP /1.1", "HTTP/ 1.1", "HTTP/1 .1",
		"HTTP/1,1", "XTTP/1.1", "http/1.1", "Http/1.1", "HTTP/4294967297.1", "HTTP/1.4294967297", "HTTP/\r\r1.1", "HTTP/1.1\x00",
		"HTTP\\1.1", "HTTP/1.\xb9", "FTP/1.1", "HTTP/A.B",
	} {
		cases = append(cases, refused("400|505", "version "+version, lined("GET /p "+version, "Host: {host}")))
	}
	return append(cases,
		refused("400|505|-", "HTTP/0.9 request", "GET /p\r\n"),
		clientCase{name: "HTTP/1.0", send: lined("GET /p HTTP/1.0", "Host: {host}"), want: "200", closed: true,
			up: []func(request) string{target("/p")}},
		clientCase{name: "HTTP/1.0 pipelined", send: lined("GET /p HTTP/1.0", "Host: {host}") + "{canary}", want: "200", closed: true},
		clientCase{name: "HTTP/1.0 with keep-alive", want: "200 200", closed: true, // the second doesn't ask for it
			send: lined("GET /p HTTP/1.0", "Host: {host}", "Connection: keep-alive") + lined("GET /q HTTP/1.0", "Host: {host}")},
		clientCase{name: "HTTP/1.0 without a Host", send: lined("GET /p HTTP/1.0"), want: "400|404", closed: true},
	)
}
