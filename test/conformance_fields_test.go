package test

import (
	"fmt"
	"strings"
	"testing"
)

// TestFields checks header lines: the syntax of RFC 9112 §5, and that what
// passes, passes byte for byte.
func TestFields(t *testing.T) {
	t.Parallel()
	runClientCases(t, append(append(passingFieldCases(), brokenFieldCases()...), fieldSizeCases()...))
}

func passingFieldCases() []clientCase {
	pass := func(name string, lines ...string) clientCase { return ok(name, get("/p", lines...), line(lines...)) }
	return []clientCase{
		pass("plain field", "X-Plain: value"),
		pass("name keeps its case", "x-lOwEr-AND-UPPER: Value"),
		pass("odd characters in a name", "X!#$%&'*+-.^_`|~9: v"),
		pass("underscore in a name", "X_Under_Score: v"),
		pass("name of one digit", "1: v"),
		pass("tab inside a value", "X-Tab: a\tb"),
		pass("spaces inside a value", "X-Space: a  b   c"),
		pass("colons in a value", "X-Colon: a:b::c"),
		pass("quotes and commas", `X-Quote: "a, b" , c;d="e"`),
		pass("high bytes in a value", "X-High: \x80\xff\xc3\xa9"),
		pass("all printable characters", "X-All: !\"#$%&'()*+,-./0123456789:;<=>?@AZ[\\]^_`az{|}~"),
		pass("a long name", strings.Repeat("n", 500)+": v"),
		pass("cookies untouched", "Cookie: b=2; a=1;; c=\"x y\"; =z", "Cookie: d"),
		pass("range and conditions", "Range: bytes=0-", `If-None-Match: W/"a", "b"`, "If-Modified-Since: garbage"),
		pass("authorization", "Authorization: Basic dXNlcjpwdw=="),
		pass("User-Agent and Accept-Encoding", "User-Agent: x/1 (y)", "Accept-Encoding: br;q=0.5"),
		pass("WebSocket names keep their case", "Sec-WebSocket-Key: x", "sec-websocket-version: 13"),
		ok("nothing is added", get("/p"), without("User-Agent", "Accept", "Accept-Encoding", "Content-Type", "Date", "Content-Length", "Expect")),
		ok("an empty value", get("/p", "X-Empty:"), values("X-Empty", "")),
		ok("a value of spaces", get("/p", "X-Empty:  \t "), values("X-Empty", "")),
		ok("no space after the colon", get("/p", "X-A:b"), values("X-A", "b")),
		ok("much space around a value", get("/p", "X-A: \t  b \t "), values("X-A", "b")),
		ok("repeated fields in order", get("/p", "X-R: 1", "X-S: s", "x-r: 2", "X-R: 1", "X-R:"), values("X-R", "1", "2", "1", "")),
		ok("repeated Accept", get("/p", "Accept: a/b", "Accept: c/d"), values("Accept", "a/b", "c/d")),
		ok("a hundred fields of one name", get("/p", repeated(100, "X-N: %d")...), func(r request) string {
			return differs("count", fmt.Sprint(len(r.values("X-N"))), "100")
		}),
		ok("Content-Length in another name", get("/p", "X-Content-Length: 5", "Content-Length-X: 6"), body("")),
	}
}

func brokenFieldCases() (cases []clientCase) {
	for _, c := range []struct{ name, lines string }{
		{"space before the colon", "X-A : b"},
		{"tab before the colon", "X-A\t: b"},
		{"no colon", "X-A"},
		{"no colon but a space", "X-A b"},
		{"an empty name", ": b"},
		{"only a colon", ":"},
		{"space inside a name", "X A: b"},
		{"NUL inside a name", "X\x00A: b"},
		{"control byte in a name", "X\x01A: b"},
		{"DEL in a name", "X\x7fA: b"},
		{"high byte in a name", "X\xe9A: b"},
		{"next-line byte after a name", "X-A\x85: b"},
		{"no-break space before the colon", "X-A\xa0: b"},
		{"parenthesis in a name", "X(A): b"},
		{"comma in a name", "X,A: b"},
		{"slash in a name", "X/A: b"},
		{"quotes around a name", `"X-A": b`},
		{"brackets in a name", "X[A]: b"},
		{"at sign in a name", "@X: b"},
		{"equals sign for the colon", "X-A=b"},
		{"bare CR in a name", "X\rA: b"},
		{"bare LF in a name", "X\nA: b"},
		{"NUL in a value", "X-A: b\x00c"},
		{"NUL at the end of a value", "X-A: b\x00"},
		{"NUL as a value", "X-A: \x00"},
		{"control byte in a value", "X-A: b\x01c"},
		{"backspace in a value", "X-A: b\x08c"},
		{"vertical tab in a value", "X-A: b\x0bc"},
		{"form feed in a value", "X-A:\x0cb"},
		{"escape in a value", "X-A: \x1b[31m"},
		{"DEL in a value", "X-A: b\x7fc"},
		{"bare CR in a value", "X-A: b\rc"},
		{"bare CR at the end of a value", "X-A: b\r"},
		{"bare CR and a field", "X-A: b\rX-B: c"},
		{"bare LF in a value", "X-A: b\nc"},
		{"bare LF and a field", "X-A: b\nX-B: c"},
		{"bare LF and an empty line", "X-A: b\n\r"},
		{"LF CR in a value", "X-A: b\n\rX-B: c"},
		{"two bare LF and a request", "X-A:\n\n{canary}"},
		{"CR CR LF", "X-A: b\r\r\nX-B: c"},
		{"a folded value", "X-A: b\r\n c"},
		{"a value folded with a tab", "X-A: b\r\n\tc"},
		{"a folded empty value", "X-A:\r\n b"},
		{"a fold of only spaces", "X-A: b\r\n  \r\nX-B: c"},
		{"a line of only a tab", "X-A: b\r\n\t"},
		{"a name split by a line end", "X-\r\nA: b"},
		{"a request line as a field", "GET /canary HTTP/1.1"},
	} {
		cases = append(cases, bad("field with "+c.name, get("/p", c.lines)),
			bad("POST and field with "+c.name, post("Content-Length: {len}", c.lines)+"{canary}"))
	}
	h := "GET /p HTTP/1.1\r\n"
	return append(cases,
		bad("space before the first field", h+" X-A: b\r\nHost: {host}\r\n\r\n"),
		bad("tab before the first field", h+"\tX-A: b\r\nHost: {host}\r\n\r\n"),
		bad("a line of spaces first", h+"  \r\nHost: {host}\r\n\r\n"),
		bad("bare LF at the end of a field", h+"Host: {host}\n\r\n"),
		bad("bare LF as the empty line", h+"Host: {host}\r\n\n"),
		bad("bare CR as the empty line", h+"Host: {host}\r\n\r{canary}\r\n\r\n"),
		bad("bare CR and a byte as the empty line", h+"Host: {host}\r\n\rX{canary}"),
		bad("CR CR LF as the empty line", h+"Host: {host}\r\n\r\r\n"),
		bad("space as the empty line", h+"Host: {host}\r\n \r\n\r\n"),
	)
}

func fieldSizeCases() []clientCase {
	big := strings.Repeat("v", headerLimit+1024)
	return []clientCase{
		refused("431", "one field over the limit", get("/p", "X-Big: "+big)),
		refused("431", "a name over the limit", get("/p", big+": v")),
		refused("431", "many fields over the limit", get("/p", repeated(headerLimit/16, "X-N-%05d: value")...)),
		refused("431", "empty fields over the limit", get("/p", repeated(headerLimit/4, "a:")...)),
		refused("431", "cookies over the limit", get("/p", repeated(headerLimit/64, "Cookie: c%d="+strings.Repeat("x", 64))...)),
		refused("431", "a body announced behind too large a head", post("X-Big: "+big, "Content-Length: {len}")+"{canary}"),
		{name: "a head without end", send: "GET /p HTTP/1.1\r\nHost: {host}\r\n" + strings.Repeat("X-A: b\r\n", 1<<17),
			want: "431|400|-", closed: true},
		{name: "a field without end", send: "GET /p HTTP/1.1\r\nHost: {host}\r\nX-A: " + strings.Repeat("b", 1<<20),
			want: "431|400|-", closed: true},
		ok("fields within the limit", get("/p", "X-Big: "+big[:headerLimit/2]), values("X-Big", big[:headerLimit/2])),
		ok("many fields within the limit", get("/p", repeated(200, "X-N-%05d: value")...), line("X-N-00000: value", "X-N-00199: value")),
		ok("a long cookie", get("/p", "Cookie: a="+big[:headerLimit/2]), line("Cookie: a="+big[:headerLimit/2])),
	}
}

// repeated formats count lines, each with its number where the format has room
// for it.
func repeated(count int, format string) (lines []string) {
	for i := range count {
		if strings.Contains(format, "%") {
			lines = append(lines, fmt.Sprintf(format, i))
		} else {
			lines = append(lines, format)
		}
	}
	return lines
}
