package test

import (
	"strings"
	"testing"
)

// TestSmugglingFromUpstreams sends answers whose end two readers could see in
// different places, and answers that aren't well-formed.
func TestSmugglingFromUpstreams(t *testing.T) {
	t.Parallel()
	cases := append(badStatusLineCases(), badAnswerFieldCases()...)
	cases = append(cases, badAnswerLengthCases()...)
	runUpstreamCases(t, append(cases, badAnswerChunkCases()...))
}

func badStatusLineCases() (cases []upstreamCase) {
	for _, start := range []string{
		"HTTP/2.0 200 OK", "HTTP/0.9 200 OK", "HTTP/3 200 OK", "HTTP/1.1x 200 OK", "HTTP/01.1 200 OK", "HTTP/1 200 OK", "HTTP/1. 200 OK",
		"HTTP/11 200 OK", "HTTP/1.1200 OK", "HTTP/1.1", "HTTP/1.1 ", "HTTP/1.1 OK", "http/1.1 200 OK", "Http/1.1 200 OK", "HTTPS/1.1 200 OK",
		"ICY 200 OK", "200 OK", "HTTP/1.1 20 OK", "HTTP/1.1 2 OK", "HTTP/1.1 2000 OK", "HTTP/1.1 0200 OK", "HTTP/1.1 099 x", "HTTP/1.1 99 x",
		"HTTP/1.1 000 x", "HTTP/1.1 0 x", "HTTP/1.1 abc x", "HTTP/1.1 2x0 OK", "HTTP/1.1 20O OK", "HTTP/1.1 -200 OK", "HTTP/1.1 +200 OK",
		"HTTP/1.1 2 0 0 OK", "HTTP/1.1 0xC8 OK", "HTTP/1.1 200OK", "HTTP/1.1 200.1 OK", "HTTP/1.1\t200 OK", "HTTP/1.1  200 OK", " HTTP/1.1 200 OK",
		"HTTP/1.1 200\x00 OK", "HTTP/1.1 200 O\x00K", "HTTP/1.1 200 O\rK", "HTTP/1.1 200 O\x01K", "HTTP/1.1 200 O\x7fK", "HTTP/1.1 \xb2\xb0\xb0 OK",
		"HTTP /1.1 200 OK", "HTTP/ 1.1 200 OK", "HTTP/1.1\r200\rOK", "HTTP/-1.1 200 OK", "\x00HTTP/1.1 200 OK", "\xef\xbb\xbfHTTP/1.1 200 OK",
		"GET / HTTP/1.1", "<html>EVIL</html>", "junk", "junk\r\nHTTP/1.1 200 OK", "SSH-2.0-EVIL", "\x15\x03\x01\x00\x02\x02\x46",
	} {
		cases = append(cases, broken("status line "+strings.ToValidUTF8(start, "?"), lined(start, "Content-Length: 2")+"ok{evil}"))
	}
	return append(cases,
		broken("bare LF after the status line", "HTTP/1.1 200 OK\nContent-Length: 2\r\n\r\nok{evil}"),
		broken("bare CR after the status line", "HTTP/1.1 200 OK\rContent-Length: 2\r\n\r\nok{evil}"),
		broken("only bare LF", "HTTP/1.1 200 OK\nContent-Length: 2\n\nok"),
		broken("a folded status line", "HTTP/1.1 200\r\n OK\r\nContent-Length: 2\r\n\r\nok{evil}"),
		upstreamCase{name: "only empty lines", raw: "\r\n\r\n", end: fin, want: "502", attempts: 2},
		upstreamCase{name: "a body without a head", raw: "<html>EVIL</html>", end: fin, want: "502"},
		upstreamCase{name: "a NUL byte", raw: "\x00", end: fin, want: "502"},
		upstreamCase{name: "status without reason nor space", raw: answer("200", "ok", "Content-Length: 2"), want: "200|502", reusable: true},
		upstreamCase{name: "status 600", raw: answer("600 x", "ok", "Content-Length: 2"), want: "600", reusable: true},
		upstreamCase{name: "status 999", raw: answer("999 x", "ok", "Content-Length: 2"), want: "999|502", reusable: true},
		upstreamCase{name: "HTTP/1.2", raw: "HTTP/1.2 200 OK\r\nContent-Length: 2\r\n\r\nok", want: "200|502", reusable: true},
		upstreamCase{name: "an empty line first", raw: "\r\n" + answer("200 OK", "ok", "Content-Length: 2"), want: "200|502", reusable: true},
		broken("a bare LF first", "\n"+answer("200 OK", "ok", "Content-Length: 2")+"{evil}"),
	)
}

func badAnswerFieldCases() (cases []upstreamCase) {
	for _, c := range []struct{ name, lines string }{
		{"space before the colon", "X-A : b"}, {"tab before the colon", "X-A\t: b"}, {"no colon", "X-A"}, {"an empty name", ": b"},
		{"space inside a name", "X A: b"}, {"NUL in a name", "X\x00A: b"}, {"high byte in a name", "X\xe9A: b"}, {"parenthesis in a name", "X(A): b"},
		{"control byte in a name", "X\x01A: b"}, {"NUL in a value", "X-A: b\x00c"}, {"control byte in a value", "X-A: b\x01c"},
		{"vertical tab in a value", "X-A: b\x0bc"}, {"DEL in a value", "X-A: b\x7fc"}, {"bare CR in a value", "X-A: b\rc"},
		{"bare CR and a field", "X-A: b\rX-Evil: EVIL"}, {"bare LF in a value", "X-A: b\nc"}, {"bare LF and a field", "X-A: b\nX-Evil: EVIL"},
		{"CR CR LF", "X-A: b\r\r\nX-B: c"}, {"a folded value", "X-A: b\r\n c"}, {"a value folded with a tab", "X-A: b\r\n\tc"},
		{"a folded cookie", "Set-Cookie: a=b;\r\n Domain=EVIL"}, {"a line of only spaces", "X-A: b\r\n  "}, {"a status line as a field", "HTTP/1.1 200 OK"},
	} {
		cases = append(cases, broken("field with "+c.name, answer("200 OK", "ok{evil}", c.lines, "Content-Length: 2")))
	}
	huge := strings.Repeat("v", 2<<20)
	return append(cases,
		broken("space before the first field", answer("200 OK", "ok{evil}", " X-A: b", "Content-Length: 2")),
		broken("bare LF as the empty line", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\nok{evil}"),
		broken("bare CR as the empty line", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\rok{evil}\r\n\r\n"),
		broken("a field far over any limit", answer("200 OK", "ok", "X-Big: "+huge, "Content-Length: 2")),
		broken("fields far over any limit", answer("200 OK", "ok", strings.Repeat("X-A: b\r\n", 1<<18)+"Content-Length: 2")),
		broken("a status line far over any limit", answer("200 "+huge, "ok", "Content-Length: 2")),
		broken("a head without end", "HTTP/1.1 200 OK\r\n"+strings.Repeat("X-A: b\r\n", 1<<18)),
	)
}

func badAnswerLengthCases() (cases []upstreamCase) {
	for _, value := range []string{
		"2, 2", "2,2", "2, 3", "2,", ",2", "+2", "-2", "-0", "0x2", "2h", "2 2", "2.0", "2e0", "1_0", `"2"`, "2;", "2\x00", "2\x0b", "", " ", "x",
		"18446744073709551618", "9223372036854775808", "99999999999999999999999", strings.Repeat("9", 200), "2\xa0", "\xd9\xa2",
	} {
		cases = append(cases, broken("Content-Length "+strings.ToValidUTF8(value, "?"), answer("200 OK", "ok{evil}", "Content-Length: "+value)))
	}
	for _, value := range []string{
		"xchunked", "identity", "gzip", "gzip, chunked", "chunked, gzip", "chunked, chunked", "chunked, identity", ",chunked", "chunked,", "chunked;q=1",
		`"chunked"`, "chunked x", "chunked\x00", "\x0bchunked", "chunked\x0b", "\xa0chunked", "", "cow", "\r\n chunked", "chunked\r\n x",
	} {
		cases = append(cases, broken("Transfer-Encoding "+strings.ToValidUTF8(value, "?"), answer("200 OK", "2\r\nok\r\n0\r\n\r\n{evil}", "Transfer-Encoding: "+value)))
	}
	two := func(name, body string, lines ...string) upstreamCase {
		return broken(name, answer("200 OK", body, lines...))
	}
	return append(cases,
		two("CL and TE", "2\r\nok\r\n0\r\n\r\n{evil}", "Content-Length: 2", chunked),
		two("TE and CL", "2\r\nok\r\n0\r\n\r\n{evil}", chunked, "Content-Length: 12"),
		two("CL and identity", "ok{evil}", "Content-Length: 2", "Transfer-Encoding: identity"),
		two("two lengths", "ok{evil}", "Content-Length: 2", "Content-Length: 62"),
		two("two lengths, longer first", "ok{evil}", "Content-Length: 62", "Content-Length: 2"),
		two("two equal lengths", "ok{evil}", "Content-Length: 2", "Content-Length: 2"),
		two("a length and an empty one", "ok{evil}", "Content-Length: 2", "Content-Length:"),
		two("chunked twice", "2\r\nok\r\n0\r\n\r\n{evil}", chunked, chunked),
		two("chunked and identity", "2\r\nok\r\n0\r\n\r\n{evil}", chunked, "Transfer-Encoding: identity"),
		two("space before the length's colon", "ok{evil}", "Content-Length : 2"),
		two("space before the encoding's colon", "2\r\nok\r\n0\r\n\r\n{evil}", "Transfer-Encoding : chunked"),
		two("a length folded", "ok{evil}", "Content-Length:\r\n 2"),
		two("an encoding behind a bare LF", "2\r\nok\r\n0\r\n\r\n{evil}", "X-A: b\nTransfer-Encoding: chunked"),
		broken("chunked in HTTP/1.0", "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n{evil}"),
		broken("CL and TE in HTTP/1.0", "HTTP/1.0 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n{evil}"),
		upstreamCase{name: "CL and TE on HEAD", request: lined("HEAD /u HTTP/1.1", "Host: {host}"), want: "502|200",
			raw: answer("200 OK", "", "Content-Length: 2", chunked)},
		upstreamCase{name: "two lengths on HEAD", request: lined("HEAD /u HTTP/1.1", "Host: {host}"), want: "502",
			raw: answer("200 OK", "", "Content-Length: 2", "Content-Length: 3")},
		upstreamCase{name: "two lengths on 304", raw: answer("304 Not Modified", "", "Content-Length: 2", "Content-Length: 3"), want: "502"},
		upstreamCase{name: "chunked on 204", raw: answer("204 No Content", "2\r\nok\r\n0\r\n\r\n", chunked), want: "204|502"},
		upstreamCase{name: "a length on 204", raw: answer("204 No Content", "ok", "Content-Length: 2"), want: "204|502"},
		upstreamCase{name: "two lengths to POST", request: post("Content-Length: 5") + "hello",
			raw: answer("200 OK", "ok{evil}", "Content-Length: 2", "Content-Length: 62"), want: "502"},
	)
}

func badAnswerChunkCases() (cases []upstreamCase) {
	for _, size := range []string{
		"", " ", "g", "0x2", "+2", "-2", "2_", "2 2", " 2", "2h", "2\x00", "2\r", "2\r\r;a", "2;a\nb", "2;a\rb", "2;a\x00", "EVIL", "ffffffffffffffff",
		"10000000000000002", "FFFFFFFFFFFFFFFF0", strings.Repeat("f", 64), strings.Repeat("0", 1<<20) + "2",
	} {
		name := "chunk size " + strings.ToValidUTF8(size[:min(len(size), 20)], "?")
		cases = append(cases, brokenBody(name, answer("200 OK", size+"\r\nok\r\n0\r\n\r\n{evil}", chunked)),
			brokenBody("second "+name, answer("200 OK", "3\r\nyes\r\n"+size+"\r\nok\r\n0\r\n\r\n{evil}", chunked)))
	}
	body := func(name, coded string) upstreamCase { return brokenBody(name, answer("200 OK", coded, chunked)) }
	return append(cases,
		body("data longer than the size", "2\r\nokay\r\n0\r\n\r\n"),
		body("data shorter than the size", "4\r\nok\r\n0\r\n\r\n{evil}"),
		body("bare LF after the data", "2\r\nok\n0\r\n\r\n"),
		body("bare CR after the data", "2\r\nok\r0\r\n\r\n"),
		body("two other bytes after the data", "2\r\nokXX0\r\n\r\n"),
		body("bare LF after the size", "2\nok\r\n0\r\n\r\n"),
		body("bare LF after the last size", "2\r\nok\r\n0\n\r\n"),
		body("bare LF as the end", "2\r\nok\r\n0\r\n\n{evil}"),
		body("CR and a byte as the end", "2\r\nok\r\n0\r\n\rX"),
		body("only bare LF", "2\nok\n0\n\n"),
		body("an extension without end", "2;"+strings.Repeat("a", 1<<20)),
		body("trailer without colon", "2\r\nok\r\n0\r\nX-A\r\n\r\n"),
		body("trailer with a space before its colon", "2\r\nok\r\n0\r\nX-A : b\r\n\r\n"),
		body("folded trailer", "2\r\nok\r\n0\r\nX-A: b\r\n c\r\n\r\n"),
		body("trailer with NUL", "2\r\nok\r\n0\r\nX-A: \x00\r\n\r\n"),
		body("trailer with a bare LF", "2\r\nok\r\n0\r\nX-A: b\nX-B: c\r\n\r\n"),
		body("trailer that is an answer", "2\r\nok\r\n0\r\n{evil}"),
		body("trailers without end", "2\r\nok\r\n0\r\n"+strings.Repeat("X-A: b\r\n", 1<<18)),
		upstreamCase{name: "end inside the size", raw: answer("200 OK", "2", chunked), end: fin, want: "cut|502"},
		upstreamCase{name: "end inside a chunk", raw: answer("200 OK", "5\r\nok", chunked), end: fin, want: "cut|502"},
		upstreamCase{name: "end after a chunk", raw: answer("200 OK", "2\r\nok\r\n", chunked), end: fin, want: "cut|502"},
		upstreamCase{name: "end after the last size", raw: answer("200 OK", "2\r\nok\r\n0\r\n", chunked), end: fin, want: "cut|502"},
		upstreamCase{name: "end inside the trailers", raw: answer("200 OK", "2\r\nok\r\n0\r\nX-A: b\r\n", chunked), end: fin, want: "cut|502"},
		upstreamCase{name: "end before the first chunk", raw: answer("200 OK", "", chunked), end: fin, want: "cut|502"},
		upstreamCase{name: "reset after a chunk", raw: answer("200 OK", "2\r\nok\r\n", chunked), end: reset, want: "cut|502"},
		upstreamCase{name: "end inside a long chunked body", raw: answer("200 OK", strings.Repeat("1000\r\n"+strings.Repeat("x", 0x1000)+"\r\n", 64), chunked),
			end: fin, want: "cut|502"},
	)
}
