package test

import (
	"fmt"
	"strings"
	"testing"
)

// TestResponses checks that good answers pass byte for byte, that bodies end
// where RFC 9112 §6.3 says, and that bytes behind an answer reach nobody.
func TestResponses(t *testing.T) {
	t.Parallel()
	cases := append(plainAnswerCases(), answerFieldCases()...)
	cases = append(cases, bodilessCases()...)
	cases = append(cases, interimCases()...)
	runUpstreamCases(t, append(cases, cutAnswerCases()...))
}

const length2 = "Content-Length: 2"

func plainAnswerCases() (cases []upstreamCase) {
	for _, status := range []string{
		"200 OK", "201 Created", "202 Accepted", "203 x", "206 Partial Content", "226 x", "299 x", "300 x", "301 Moved", "302 Found", "307 x", "400 Bad Request",
		"401 x", "402 x", "403 Forbidden", "404 Not Found", "407 x", "409 x", "413 x", "418 I'm a teapot", "421 x", "429 x", "431 x", "451 x", "499 x",
		"500 Error", "501 x", "503 x", "504 x", "505 x", "511 x", "599 x", "200 ", "200 a\tb \xe4\xff", "200 OK OK OK",
	} {
		cases = append(cases, upstreamCase{name: "status " + strings.ToValidUTF8(status, "?"), raw: answer(status, "ok", length2), want: status[:3],
			reusable: true, down: []func(*response) string{answerBody("ok"), answerWithout("X-Gateway-Error")}})
	}
	fineBody := func(name, want, raw string, down ...func(*response) string) upstreamCase {
		return fine(name, raw, append(down, answerBody(want))...)
	}
	unsized := func(name, raw string, end ending) upstreamCase {
		return upstreamCase{name: name, raw: raw, end: end, want: "200", down: []func(*response) string{answerBody("ok")}}
	}
	ten := func(send string) string { return strings.Replace(send, "HTTP/1.1", "HTTP/1.0", 1) }
	return append(cases,
		fineBody("an empty body", "", answer("200 OK", "", "Content-Length: 0")),
		fineBody("leading zeros in the length", "ok", answer("200 OK", "ok", "Content-Length: 2")),
		fineBody("chunks", "hello", answer("200 OK", hello, chunked)),
		fineBody("chunked in capitals", "hello", answer("200 OK", hello, "TRANSFER-ENCODING: CHUNKED")),
		fineBody("no chunk", "", answer("200 OK", "0\r\n\r\n", chunked)),
		fineBody("chunk extensions", "hello", answer("200 OK", "5;a=\"b\"\r\nhello\r\n0;c\r\n\r\n", chunked)),
		fineBody("leading zeros in a chunk size", "hello", answer("200 OK", "0005\r\nhello\r\n00\r\n\r\n", chunked)),
		fineBody("chunk sizes don't leak into the body", "0\r\n\r\n5\r\n", answer("200 OK", "8\r\n0\r\n\r\n5\r\n\r\n0\r\n\r\n", chunked)),
		fineBody("trailers", "hello", answer("200 OK", "5\r\nhello\r\n0\r\nX-Sum: 1\r\nX-Sum: 2\r\n\r\n", "Trailer: X-Sum", chunked),
			func(r *response) string {
				return differs("trailer", fmt.Sprintf("%q", valuesOf(r.trailers, "X-Sum")), `["1" "2"]`)
			}),
		fineBody("a large body of known length", strings.Repeat("x", 1<<20), answer("200 OK", strings.Repeat("x", 1<<20), "Content-Length: 1048576")),
		fineBody("a large chunked body", strings.Repeat("x", 1<<20), answer("200 OK", "100000\r\n"+strings.Repeat("x", 1<<20)+"\r\n0\r\n\r\n", chunked)),
		fineBody("many small chunks", strings.Repeat("x", 5000), answer("200 OK", strings.Repeat("1\r\nx\r\n", 5000)+"0\r\n\r\n", chunked)),
		unsized("a body until the end", answer("200 OK", "ok"), fin),
		unsized("a body until the end, announced", answer("200 OK", "ok", "Connection: close"), fin),
		unsized("a body until the end in HTTP/1.0", "HTTP/1.0 200 OK\r\n\r\nok", fin),
		unsized("HTTP/1.0 with a length", "HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok", fin),
		unsized("HTTP/1.0 that stays open", "HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok", keep),
		unsized("HTTP/1.0 in capitals with keep-alive", "HTTP/1.0 200 OK\r\nContent-Length: 2\r\nConnection: Close\r\n\r\nok", keep),
		unsized("close announced, but open", answer("200 OK", "ok", length2, "Connection: close"), keep),
		unsized("close announced among others", answer("200 OK", "ok", length2, "Connection: x-a, Close"), keep),
		upstreamCase{name: "an empty body until the end", raw: answer("200 OK", ""), end: fin, want: "200", down: []func(*response) string{answerBody("")}},
		upstreamCase{name: "HTTP/1.0 client, length", request: ten(get("/u")), raw: answer("200 OK", "ok", length2), want: "200", reusable: true,
			down: []func(*response) string{answerBody("ok"), answerWithout("Transfer-Encoding")}},
		upstreamCase{name: "HTTP/1.0 client, chunks", request: ten(get("/u")), raw: answer("200 OK", hello, chunked), want: "200", reusable: true,
			down: []func(*response) string{answerBody("hello"), answerWithout("Transfer-Encoding")}},
		upstreamCase{name: "HTTP/1.0 client with keep-alive, chunks", request: ten(get("/u", "Connection: keep-alive")), raw: answer("200 OK", hello, chunked),
			want: "200", reusable: true, down: []func(*response) string{answerBody("hello"), answerWithout("Transfer-Encoding")}},
		upstreamCase{name: "HTTP/1.0 client, body until the end", request: ten(get("/u")), raw: answer("200 OK", "ok"), end: fin, want: "200",
			down: []func(*response) string{answerBody("ok"), answerWithout("Transfer-Encoding")}},
	)
}

func answerFieldCases() []upstreamCase {
	pass := func(name string, lines ...string) upstreamCase {
		return fine(name, answer("200 OK", "ok", append(lines, length2)...), answerLine(lines...))
	}
	gone := func(name string, names []string, lines ...string) upstreamCase {
		return fine(name, answer("200 OK", "ok", append(lines, length2)...), answerWithout(names...), answerBody("ok"))
	}
	return []upstreamCase{
		pass("names keep their case", "x-lOwEr: 1", "ETAG: \"x\"", "WWW-authenticate: Basic"),
		pass("cookies in order", "Set-Cookie: a=1; Path=/; Expires=Thu, 01 Jan 1970 00:00:00 GMT", "Set-Cookie: b=2", "set-cookie: c=\"3\";;"),
		pass("Server, Date and Content-Type of the upstream", "Server: x/1", "Date: yesterday", "Content-Type: TEXT/x; charset=\"y\""),
		pass("high bytes and tabs", "X-High: \x80\xff\tb"),
		pass("cache and range fields", "Age: 1", "Vary: *", "Content-Range: bytes 0-1/2", "Content-Encoding: gzip", "Cache-Control: no-store"),
		pass("location untouched", "Location: http://127.0.0.1:1/x?y#z"),
		pass("a long field", "X-Long: "+strings.Repeat("v", 8000)),
		pass("an underscore", "X_Y: z"),
		pass("Alt-Svc and HSTS", "Strict-Transport-Security: max-age=1", "Content-Security-Policy: a; b"),
		fine("nothing is added", answer("200 OK", "ok", length2), answerWithout("Server", "Date", "Content-Type", "X-Powered-By", "Age", "X-Gateway-Error")),
		fine("an empty value", answer("200 OK", "ok", "X-Empty:", length2), func(r *response) string {
			return differs("X-Empty", fmt.Sprintf("%q", r.values("X-Empty")), `[""]`)
		}),
		fine("repeated fields in order", answer("200 OK", "ok", "X-R: 1", "X-S: s", "x-r: 2", "X-R: 1", length2), func(r *response) string {
			return differs("X-R", fmt.Sprintf("%q", r.values("X-R")), `["1" "2" "1"]`)
		}),
		gone("hop-by-hop fields", []string{"Keep-Alive", "Proxy-Authenticate", "Proxy-Connection", "Upgrade", "TE", "HTTP2-Settings"},
			"HTTP2-Settings: AA", "Keep-Alive: timeout=5", "Proxy-Authenticate: Basic", "Proxy-Connection: keep-alive", "Upgrade: h2c", "TE: x", "Connection: keep-alive"),
		gone("an error code that only the gateway gives", []string{"X-Gateway-Error"}, "X-Gateway-Error: client_gone", "x-gateway-error: loop"),
		gone("a field that Connection names", []string{"X-Hop"}, "Connection: x-hop", "X-Hop: 1"),
		gone("fields that two Connections name", []string{"A", "B"}, "Connection: a", "A: 1", "B: 2", "Connection: b"),
		fine("Connection can't name the length away", answer("200 OK", "ok", length2, "Connection: Content-Length"), answerBody("ok")),
		fine("the request id can't be set by an upstream twice", answer("200 OK", "ok", length2, "X-Request-Id: a", "x-request-id: b"), func(r *response) string {
			return differs("count of X-Request-Id", fmt.Sprint(len(r.values("X-Request-Id"))), "1")
		}),
	}
}

// bodilessCases are answers that have no body, whatever follows them.
func bodilessCases() []upstreamCase {
	head := lined("HEAD /u HTTP/1.1", "Host: {host}")
	good := func(name, request, want, raw string, down ...func(*response) string) upstreamCase {
		return upstreamCase{name: name, request: request, raw: raw, want: want, reusable: true, down: down}
	}
	extra := func(name, request, want, raw string) upstreamCase {
		return upstreamCase{name: name, request: request, raw: raw, want: want}
	}
	return []upstreamCase{
		good("HEAD with a length", head, "200", answer("200 OK", "", "Content-Length: 1000"), answerLine("Content-Length: 1000")),
		good("HEAD with chunked", head, "200", answer("200 OK", "", chunked)),
		good("HEAD without either", head, "200", answer("200 OK", "")),
		good("HEAD of an error", head, "404", answer("404 x", "", "Content-Length: 10")),
		good("204", "", "204", answer("204 No Content", ""), answerWithout("Content-Length", "Transfer-Encoding")),
		good("304", "", "304", answer("304 Not Modified", "", "ETag: x"), answerLine("ETag: x")),
		good("304 with a length", "", "304", answer("304 Not Modified", "", "Content-Length: 1000")),
		good("205 with a length of zero", "", "205", answer("205 x", "", "Content-Length: 0")),
		extra("HEAD with a body", head, "200|502", answer("200 OK", "EVIL", "Content-Length: 4")),
		extra("HEAD with a body that is an answer", head, "200|502", answer("200 OK", "{evil}", "Content-Length: 54")),
		extra("HEAD with chunks", head, "200|502", answer("200 OK", "4\r\nEVIL\r\n0\r\n\r\n", chunked)),
		extra("204 with a body", "", "204|502", answer("204 No Content", "EVIL")),
		extra("204 and another answer", "", "204|502", answer("204 No Content", "{evil}")),
		extra("304 with a body", "", "304|502", answer("304 Not Modified", "EVIL", "Content-Length: 4")),
		extra("304 and another answer", "", "304|502", answer("304 Not Modified", "{evil}")),
		extra("another answer behind a length", "", "200|502", answer("200 OK", "ok{evil}", length2)),
		extra("another answer behind a length of zero", "", "200|502", answer("200 OK", "{evil}", "Content-Length: 0")),
		extra("another answer behind chunks", "", "200|502", answer("200 OK", "2\r\nok\r\n0\r\n\r\n{evil}", chunked)),
		extra("another answer behind trailers", "", "200|502", answer("200 OK", "2\r\nok\r\n0\r\nX-A: b\r\n\r\n{evil}", chunked)),
		extra("ten answers", "", "200|502", answer("200 OK", "ok"+strings.Repeat("{evil}", 10), length2)),
		extra("a line end behind a length", "", "200|502", answer("200 OK", "ok\r\n", length2)),
		extra("a NUL behind a length", "", "200|502", answer("200 OK", "ok\x00", length2)),
		extra("a megabyte behind a length", "", "200|502", answer("200 OK", "ok"+strings.Repeat("EVIL", 1<<18), length2)),
		extra("another answer to POST", post("Content-Length: 5")+"hello", "200|502", answer("200 OK", "ok{evil}", length2)),
		extra("another answer behind close", "", "200|502", answer("200 OK", "ok{evil}", length2, "Connection: close")),
	}
}

// interimCases are 1xx answers (RFC 9110 §15.2).
func interimCases() []upstreamCase {
	hints := "HTTP/1.1 103 Early Hints\r\nLink: </a>; rel=preload\r\n\r\n"
	final := answer("200 OK", "ok", length2)
	relayed := func(want ...int) func(*response) string {
		return func(r *response) string { return differs("interim answers", fmt.Sprint(r.interim), fmt.Sprint(want)) }
	}
	refused := func(name, raw string) upstreamCase { return upstreamCase{name: name, raw: raw, want: "502|cut"} }
	return []upstreamCase{
		fine("103 is relayed", hints+final, relayed(103), answerBody("ok"), func(r *response) string {
			return differs("Link", strings.Join(valuesOf(r.early, "Link"), ","), "</a>; rel=preload")
		}),
		fine("two 103 are relayed", hints+hints+final, relayed(103, 103), answerBody("ok")),
		{name: "103, then the answer later", raw: hints, more: []string{final}, want: "200", reusable: true,
			down: []func(*response) string{relayed(103), answerBody("ok")}},
		fine("100 nobody waits for", "HTTP/1.1 100 Continue\r\n\r\n"+final, answerBody("ok")),
		fine("102", "HTTP/1.1 102 Processing\r\n\r\n"+final, answerBody("ok")),
		fine("an unknown 1xx", "HTTP/1.1 199 x\r\n\r\n"+final, answerBody("ok")),
		fine("a dozen interim answers", strings.Repeat(hints, 12)+final, answerBody("ok")),
		{name: "103 to POST", request: post("Content-Length: 5") + "hello", raw: hints + final, want: "200", reusable: true,
			down: []func(*response) string{answerBody("ok")}},
		{name: "103 before 204", raw: hints + answer("204 x", ""), want: "204", reusable: true},
		{name: "103 to HEAD", request: lined("HEAD /u HTTP/1.1", "Host: {host}"), raw: hints + answer("200 OK", "", length2), want: "200", reusable: true},
		{name: "no 103 to HTTP/1.0", request: lined("GET /u HTTP/1.0", "Host: {host}"), raw: hints + final, want: "200", reusable: true,
			down: []func(*response) string{relayed()}},
		{name: "hop-by-hop fields in 103", raw: "HTTP/1.1 103 x\r\nKeep-Alive: EVIL\r\nX-Gateway-Error: EVIL\r\nHTTP2-Settings: EVIL\r\nConnection: x-hop\r\nX-Hop: EVIL\r\n\r\n" + final, want: "200", reusable: true},
		refused("103 with a body", "HTTP/1.1 103 x\r\nContent-Length: 4\r\n\r\nEVIL"+final),
		refused("a bad field in 103", "HTTP/1.1 103 x\r\nX-A : EVIL\r\n\r\n"+final),
		refused("a bare LF in 103", "HTTP/1.1 103 x\nX-A: EVIL\n\n"+final),
		refused("101 nobody asked for", "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nEVIL{evil}"),
		refused("101 without fields", "HTTP/1.1 101 Switching Protocols\r\n\r\n{evil}"),
		refused("101 behind 103", hints+"HTTP/1.1 101 x\r\nConnection: Upgrade\r\nUpgrade: EVIL\r\n\r\n{evil}"),
		{name: "a flood of 103", raw: strings.Repeat(hints, 20_000), end: fin, want: "502|cut|none"},
		{name: "a flood of 100", raw: strings.Repeat("HTTP/1.1 100 x\r\n\r\n", 40_000), end: fin, want: "502|cut|none"},
		{name: "a flood of 100 before an answer", raw: strings.Repeat("HTTP/1.1 100 x\r\n\r\n", 1000) + final, want: "200|502|cut|none", reusable: true},
		{name: "the end behind 103", raw: hints, end: fin, want: "502|cut|none"},
		{name: "the end behind 103 to POST", request: post("Content-Length: 5") + "hello", raw: hints, end: fin, want: "502|cut|none"},
		{name: "a reset behind 100", raw: "HTTP/1.1 100 x\r\n\r\n", end: reset, want: "502|cut|none"},
	}
}

// cutAnswerCases are connections that end too early.
func cutAnswerCases() []upstreamCase {
	upload := post("Content-Length: 5") + "hello"
	big := post(fmt.Sprintf("Content-Length: %d", bodyLimit)) + strings.Repeat("x", bodyLimit)
	twice := func(c upstreamCase) upstreamCase { c.attempts = 2; return c }
	return []upstreamCase{
		twice(upstreamCase{name: "closed without an answer", end: fin, want: "502"}),
		twice(upstreamCase{name: "reset without an answer", end: reset, want: "502"}),
		twice(upstreamCase{name: "closed without an answer to HEAD", request: lined("HEAD /u HTTP/1.1", "Host: {host}"), end: fin, want: "502"}),
		{name: "closed without an answer to POST", request: upload, end: fin, want: "502"},
		{name: "reset without an answer to POST", request: upload, end: reset, want: "502"},
		{name: "closed without an answer to an empty POST", request: post("Content-Length: 0"), end: fin, want: "502"},
		{name: "closed without an answer to PATCH", request: lined("PATCH /u HTTP/1.1", "Host: {host}", "Content-Length: 5") + "hello", end: fin, want: "502"},
		{name: "closed without an answer to an unknown method", request: lined("FROB /u HTTP/1.1", "Host: {host}"), end: fin, want: "502"},
		{name: "closed without an answer to a chunked PUT", request: lined("PUT /u HTTP/1.1", "Host: {host}", chunked) + hello, end: fin, want: "502", attempts: 2},
		{name: "closed before the body of a big POST", request: big, early: true, end: fin, want: "502"},
		{name: "closed in the status line", raw: "HTTP/1.1 2", end: fin, want: "502"},
		{name: "closed after the status line", raw: "HTTP/1.1 200 OK\r\n", end: fin, want: "502"},
		{name: "closed in a field", raw: "HTTP/1.1 200 OK\r\nContent-Le", end: fin, want: "502"},
		{name: "closed before the last LF", raw: "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r", end: fin, want: "502"},
		{name: "reset in the head", raw: "HTTP/1.1 200 OK\r\n", end: reset, want: "502"},
		{name: "closed before the body", raw: answer("200 OK", "", "Content-Length: 5"), end: fin, want: "cut|502"},
		{name: "closed in the body", raw: answer("200 OK", "he", "Content-Length: 5"), end: fin, want: "cut|502"},
		{name: "closed in a big body", raw: answer("200 OK", strings.Repeat("x", 1<<19), "Content-Length: 1048576"), end: fin, want: "cut|502"},
		{name: "reset in a big body", raw: answer("200 OK", strings.Repeat("x", 1<<19), "Content-Length: 1048576"), end: reset, want: "cut|502"},
		{name: "closed in the body to POST", request: upload, raw: answer("200 OK", "he", "Content-Length: 5"), end: fin, want: "cut|502"},
		{name: "reset in the body", raw: answer("200 OK", "he", "Content-Length: 5"), end: reset, want: "cut|502"},
		{name: "reset in a body until the end", raw: answer("200 OK", "he"), end: reset, want: "cut|502"},
		{name: "an answer before the upload, then closed", request: big, early: true, raw: answer("413 x", "ok", length2, "Connection: close"), end: fin, want: "413|502"},
		{name: "an answer before the upload, which goes on", request: big, early: true, raw: answer("403 x", "ok", length2), want: "403", reusable: true},
		{name: "an answer before a chunked upload", request: post(chunked) + "20000\r\n" + strings.Repeat("x", 0x20000) + "\r\n0\r\n\r\n", early: true,
			raw: answer("403 x", "ok", length2), want: "403", reusable: true},
		{name: "an answer before a small body", request: upload, early: true, raw: answer("403 x", "ok", length2), want: "403", reusable: true},
		{name: "an answer and a half before the upload", request: big, early: true, raw: answer("403 x", "ok{evil}", length2), want: "403|502"},
	}
}
