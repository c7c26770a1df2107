package test

import (
	"fmt"
	"strings"
	"testing"
)

// TestFramingOverBoth: where content ends, and what comes before and behind it, is the
// same whichever protocol says it.
func TestFramingOverBoth(t *testing.T) {
	t.Parallel()
	cases := append(bothContentCases(), bothLengthCases()...)
	cases = append(cases, bothTrailerCases()...)
	cases = append(cases, bothAnswerCases()...)
	runBoth(t, "", append(cases, bothExpectCases()...))
}

// TestLimitsOverBoth: a limit is reached by the same message.
func TestLimitsOverBoth(t *testing.T) {
	t.Parallel()
	runBoth(t, "", append(bothHeadLimitCases(), bothBodyLimitCases()...))
}

func bothContentCases() []bothCase {
	good := func(name string, content []string, up ...func(request) string) bothCase {
		return bothCase{name: name, content: content, want: "200", up: append(up, body(strings.Join(content, "")))}
	}
	of := func(c bothCase, length string) bothCase { c.length = length; return c }
	with := func(c bothCase, method string) bothCase {
		c.method, c.up = method, append(c.up, func(r request) string { return differs("method", r.method, method) })
		return c
	}
	smuggled := "0\r\n\r\nGET /canary HTTP/1.1\r\nHost: " + victimHost + "\r\n\r\n"
	return []bothCase{
		of(good("content of known length", []string{"hello"}, line("Content-Length: 5")), "own"),
		good("content of unknown length", []string{"hel", "lo"}),
		good("empty content of unknown length", []string{}),
		of(good("empty content of known length", []string{""}, line("Content-Length: 0")), "own"),
		with(good("a POST without content", nil, without("Transfer-Encoding")), "POST"),
		with(good("a GET without content", nil, without("Transfer-Encoding", "Content-Length")), "GET"),
		with(of(good("a GET with content", []string{"hello"}), "own"), "GET"),
		with(good("a DELETE with content of unknown length", []string{"hello"}), "DELETE"),
		with(of(good("an unknown method with content", []string{"hello"}), "own"), "FROB"),
		good("many pieces", strings.Split(strings.Repeat("x", 3000), "")),
		good("content that looks like requests", []string{smuggled, smuggled}),
		of(good("content that looks like requests, of known length", []string{smuggled}), "own"),
		of(good("large content of known length", []string{strings.Repeat("x", 200_000)}), "own"),
		good("large content of unknown length", []string{strings.Repeat("x", 100_000), strings.Repeat("y", 100_000)}),
	}
}

func bothLengthCases() (cases []bothCase) {
	bad := bothCase{want: "400", code: "bad_framing", saw: nothing}
	for _, value := range []string{"", "x", "-5", "+5", "0x5", "5 5", "5, 5", "5.0", "5e0", "99999999999999999999", "\x80"} {
		c := bad
		c.name, c.method, c.fields = fmt.Sprintf("the length %q", value), "POST", []string{"Content-Length: " + value}
		cases = append(cases, c)
	}
	twice := bad
	twice.name, twice.method, twice.fields = "two lengths", "POST", []string{"Content-Length: 0", "Content-Length: 0"}
	// HTTP/1 can say it only by two lengths, and less by the end of the connection, after
	// which a client isn't answered.
	more := bad
	more.name, more.content, more.length, more.code = "more content than its length", []string{"hello"}, "3", "bad_framing|bad_body"
	less := bad
	less.name, less.content, less.length, less.client, less.want, less.code = "less content than its length", []string{"hello"}, "10", breaksOff, "400|none", "bad_body"
	large := less
	large.name, large.content, large.length, large.saw = "less content than its large length", []string{strings.Repeat("x", 150_000)}, "200000", part
	return append(cases, twice, more, less, large)
}

func bothTrailerCases() (cases []bothCase) {
	content := []string{"hello"}
	big := strings.Repeat("v", 8<<10-len("X-Big: \r\n"))
	cases = []bothCase{
		{name: "a trailer section", content: content, trailer: []string{"X-Sum: 1", "X-Sum: 2"}, want: "200",
			up: []func(request) string{body("hello"), trailer("X-Sum", "1", "2"), without("X-Sum")}},
		{name: "a trailer section behind no content", content: []string{}, trailer: []string{"X-Sum: 1"}, want: "200",
			up: []func(request) string{body(""), trailer("X-Sum", "1")}},
		{name: "trailers that a Trailer announces", content: content, fields: []string{"Trailer: X-Sum"}, trailer: []string{"X-Sum: 1"}, want: "200",
			up: []func(request) string{trailer("X-Sum", "1")}},
		{name: "a trailer section at its limit", content: content, trailer: []string{"X-Big: " + big}, want: "200", up: []func(request) string{trailer("X-Big", big)}},
		{name: "a trailer section beyond its limit", content: content, trailer: []string{"X-Big: v" + big}, want: "400", code: "bad_body", saw: part},
		{name: "a trailer section of too many lines", content: content, trailer: repeated(257, "X-N: %d"), want: "400", code: "bad_body", saw: part},
	}
	for _, line := range []string{
		"Content-Length: 99", "Host: " + victimHost, "Authorization: x", "Cookie: a=b", "X-Forwarded-For: 9.9.9.9", "X-Real-IP: 9.9.9.9", "Content-Encoding: gzip",
	} {
		name, value, _ := strings.Cut(line, ": ")
		cases = append(cases, bothCase{name: "the trailer " + name, content: content, trailer: []string{line, "X-Sum: 1"}, want: "200",
			up: []func(request) string{trailer(name), trailer("X-Sum", "1"), body("hello"), func(r request) string {
				if got := strings.Join(r.values(name), ","); strings.Contains(got, value) {
					return "the trailer has become the field " + line
				}
				return ""
			}}})
	}
	for name, line := range map[string]string{
		"a control byte": "X-A: b\x01", "a NUL": "X-A: b\x00c", "a name that is no token": "X A: b", "an empty name": ": b",
	} {
		cases = append(cases, bothCase{name: "a trailer with " + name, content: content, trailer: []string{line}, want: "400", code: "bad_body", saw: part})
	}
	return cases
}

// says has a target answer with these bytes.
func says(text string) func(*request) reply {
	return func(*request) reply { return reply{parts: []string{text}} }
}

// answered demands the values of a response's field.
func answered(name string, want ...string) func(*response) string {
	return func(r *response) string {
		return differs(name, fmt.Sprintf("%q", r.values(name)), fmt.Sprintf("%q", want))
	}
}

func interims(want ...int) func(*response) string {
	return func(r *response) string { return differs("interim responses", fmt.Sprint(r.interim), fmt.Sprint(want)) }
}

func bothAnswerCases() []bothCase {
	hints := "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"
	large := strings.Repeat("x", 1<<20)
	good := func(name, method, text, want string, down ...func(*response) string) bothCase {
		return bothCase{name: name, method: method, target: says(text), want: want, down: down}
	}
	closing := func(text string) func(*request) reply {
		return func(*request) reply { return reply{parts: []string{text}, end: fin} }
	}
	empty := answerBody("")
	return []bothCase{
		good("HEAD with a length", "HEAD", answer("200 OK", "", "Content-Length: 1000"), "200", empty, answered("Content-Length", "1000")),
		good("HEAD with chunks", "HEAD", answer("200 OK", "", chunked), "200", empty, answered("Content-Length")),
		good("HEAD of what isn't there", "HEAD", answer("404 x", "", "Content-Length: 10"), "404", empty),
		{name: "HEAD that the gateway refuses", method: "HEAD", path: "/" + strings.Repeat("x", urlLimit), want: "414", code: "url_too_long", saw: nothing, down: []func(*response) string{empty}},
		good("204", "GET", answer("204 No Content", ""), "204", empty, answered("Content-Length")),
		good("304", "GET", answer("304 Not Modified", "", "ETag: \"x\""), "304", empty, answered("ETag", `"x"`)),
		good("304 with a length", "GET", answer("304 Not Modified", "", "Content-Length: 1000"), "304", empty),
		good("205 with no content", "GET", answer("205 x", "", "Content-Length: 0"), "205", empty),
		good("content of known length", "GET", answer("200 OK", large, "Content-Length: 1048576"), "200", answerBody(large), answered("Content-Length", "1048576")),
		good("content of unknown length", "GET", answer("200 OK", hello, chunked), "200", answerBody("hello"), answered("Content-Length")),
		good("no content of unknown length", "GET", answer("200 OK", "0\r\n\r\n", chunked), "200", empty),
		{name: "content up to the end", target: closing(answer("200 OK", "ok")), want: "200", down: []func(*response) string{answerBody("ok")}},
		good("trailers", "GET", answer("200 OK", "5\r\nhello\r\n0\r\nX-Sum: 1\r\nX-Sum: 2\r\n\r\n", chunked), "200", answerBody("hello"), func(r *response) string {
			return differs("trailers", fmt.Sprintf("%q", valuesOf(r.trailers, "X-Sum")), `["1" "2"]`)
		}),
		good("trailers that aren't for clients", "GET", answer("200 OK", "0\r\nSet-Cookie: a=b\r\nContent-Length: 9\r\nX-Sum: 1\r\n\r\n", chunked), "200", func(r *response) string {
			return differs("trailers", fmt.Sprint(len(r.trailers), valuesOf(r.trailers, "X-Sum")), "1 [1]")
		}),
		good("103", "GET", hints+answer("200 OK", "ok", length2), "200", interims(103), answerBody("ok"), func(r *response) string {
			return differs("Link", strings.Join(valuesOf(r.early, "Link"), ","), "</a>")
		}),
		good("two of 103, and 204", "GET", hints+hints+answer("204 x", ""), "204", interims(103, 103)),
		good("103 to HEAD", "HEAD", hints+answer("200 OK", "", length2), "200", interims(103), answered("Content-Length", "2")),
		good("100 nobody waits for", "GET", "HTTP/1.1 100 Continue\r\n\r\n"+answer("200 OK", "ok", length2), "200", interims(), answerBody("ok")),
		{name: "101 nobody has asked for", target: says("HTTP/1.1 101 x\r\nConnection: Upgrade\r\nUpgrade: y\r\n\r\n"), want: "502", code: "upstream_bad_response"},
		good("fields of the hop", "GET", answer("200 OK", "ok", length2, "Connection: x-hop", "X-Hop: 1", "Keep-Alive: timeout=5", "Proxy-Authenticate: x"), "200",
			answerWithout("X-Hop", "Keep-Alive", "Proxy-Authenticate")),
		{name: "a response before the content has come", content: []string{strings.Repeat("x", bodyLimit)}, length: "own", want: "403", down: []func(*response) string{answerBody("ok")},
			target: func(*request) reply {
				return reply{parts: []string{answer("403 x", "ok", length2)}, early: true}
			}, saw: either},
	}
}

func bothExpectCases() []bothCase {
	expect := []string{"Expect: 100-continue"}
	none := []func(*response) string{interims()}
	return []bothCase{
		{name: "100, then content of known length", fields: expect, awaits: true, content: []string{"hello"}, length: "own", want: "200",
			up: []func(request) string{body("hello"), without("Expect")}, down: none},
		{name: "100, then content of unknown length", fields: expect, awaits: true, content: []string{"hello"}, want: "200", up: []func(request) string{body("hello")}, down: none},
		{name: "content that doesn't wait for 100", fields: expect, content: []string{"hello"}, length: "own", want: "200", up: []func(request) string{body("hello")}},
		{name: "nothing to wait for 100 with", fields: expect, want: "200", up: []func(request) string{body("")}},
		{name: "no 100 before a refusal", fields: expect, content: []string{}, length: fmt.Sprint(bodyLimit + 1), client: stops, want: "413", code: "body_too_large", saw: nothing, down: none},
		{name: "another expectation", fields: []string{"Expect: 200-ok"}, want: "417", code: "bad_expectation", saw: nothing, down: none},
		{name: "another expectation with content", fields: []string{"Expect: x"}, content: []string{"hello"}, length: "own", want: "417", code: "bad_expectation", saw: nothing, down: none},
		{name: "an expectation among others", fields: []string{"Expect: 100-continue, x"}, content: []string{"hello"}, length: "own", want: "417", code: "bad_expectation", saw: nothing, down: none},
		{name: "an empty expectation", fields: []string{"Expect:"}, content: []string{"hello"}, length: "own", want: "200", up: []func(request) string{without("Expect")}},
	}
}

func bothHeadLimitCases() []bothCase {
	long := "/" + strings.Repeat("x", urlLimit-1)
	// The head of HTTP/1.1 that says the same has these bytes besides; hosts have 12.
	const others = len("GET /p HTTP/1.1\r\nHost: b000.example\r\nX-Big: \r\n\r\n")
	room := strings.Repeat("v", headerLimit-others)
	tooLarge := bothCase{want: "431", code: "header_too_large", saw: nothing}
	as := func(c bothCase, name string, fields ...string) bothCase { c.name, c.fields = name, fields; return c }
	return []bothCase{
		{name: "a target at its limit", path: long, want: "200", up: []func(request) string{target(long)}},
		{name: "a query at its limit", path: "/?" + long[2:], want: "200", up: []func(request) string{target("/?" + long[2:])}},
		{name: "a target beyond its limit", path: long + "x", want: "414", code: "url_too_long", saw: nothing},
		{name: "a query beyond its limit", path: "/?" + long[1:], want: "414", code: "url_too_long", saw: nothing},
		{name: "a head at its limit", fields: []string{"X-Big: " + room}, want: "200", up: []func(request) string{values("X-Big", room)}},
		as(tooLarge, "a head beyond its limit", "X-Big: "+room+"v"),
		as(tooLarge, "a name beyond the limit", room+room+": v"),
		as(tooLarge, "fields beyond the limit", repeated(headerLimit/16, "X-N-%05d: value")...),
		as(tooLarge, "empty fields beyond the limit", repeated(headerLimit/4, "a:")...),
		as(tooLarge, "one line too many", repeated(256, "X-N: %d")...),
		{name: "as many lines as there may be", fields: repeated(255, "X-N: %d"), want: "200", up: []func(request) string{func(r request) string {
			return differs("lines", fmt.Sprint(len(r.values("X-N"))), "255")
		}}},
		{name: "a method of 64 letters", method: strings.Repeat("M", 64), want: "200", up: []func(request) string{method(strings.Repeat("M", 64))}},
		{name: "a method of 65 letters", method: strings.Repeat("M", 65), want: "400", code: "bad_request", saw: nothing},
		{name: "TRACE", method: "TRACE", want: "405", code: "method_refused", saw: nothing},
	}
}

func bothBodyLimitCases() []bothCase {
	full := strings.Repeat("x", bodyLimit)
	over := bothCase{want: "413", code: "body_too_large", saw: nothing}
	as := func(c bothCase, name, length string, saw sight, content ...string) bothCase {
		c.name, c.length, c.content, c.saw = name, length, content, saw
		return c
	}
	at := bothCase{want: "200", up: []func(request) string{body(full)}}
	return []bothCase{
		as(at, "content of known length at the limit", "own", whole, full),
		as(at, "content of unknown length at the limit", "", whole, full[:1000], full[1000:]),
		as(over, "content of known length beyond the limit", "own", nothing, full+"x"),
		as(over, "content of unknown length beyond the limit", "", part, full, "x"),
		as(over, "a piece beyond the limit", "", part, full+"x"),
		as(over, "much more content than the limit", "", part, full, full, full, full),
	}
}
