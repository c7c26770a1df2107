package test

import (
	"fmt"
	"strings"
	"testing"
)

// TestChunkedRequests checks the chunked coding from clients (RFC 9112 §7.1),
// among them the disagreements on line ends and extensions that were exploited
// in 2025 (CVE-2025-22871, CVE-2025-55315).
func TestChunkedRequests(t *testing.T) {
	t.Parallel()
	runClientCases(t, append(append(wellChunkedCases(), badSizeCases()...), badChunkCases()...))
}

func wellChunkedCases() []clientCase {
	send := func(name, coded, decoded string, up ...func(request) string) clientCase {
		return ok(name, post(chunked)+coded, append(up, body(decoded))...)
	}
	return []clientCase{
		send("one chunk", hello, "hello"),
		send("no chunk", "0\r\n\r\n", ""),
		send("several chunks", "1\r\na\r\n2\r\nbc\r\n3\r\ndef\r\n0\r\n\r\n", "abcdef"),
		send("lower-case digits", "a\r\n0123456789\r\n0\r\n\r\n", "0123456789"),
		send("upper-case digits", "A\r\n0123456789\r\n0\r\n\r\n", "0123456789"),
		send("leading zeros", "0005\r\nhello\r\n000\r\n\r\n", "hello"),
		send("line ends inside the data", "8\r\n\r\n0\r\n\r\n\n\r\n0\r\n\r\n", "\r\n0\r\n\r\n\n"),
		send("a chunk that looks like an end", "5\r\n0\r\n\r\n\r\n0\r\n\r\n", "0\r\n\r\n"),
		send("an extension", "5;a=b\r\nhello\r\n0\r\n\r\n", "hello"),
		send("an extension without value", "5;a\r\nhello\r\n0;b\r\n\r\n", "hello"),
		send("a quoted extension", "5;a=\"b;c d\"\r\nhello\r\n0\r\n\r\n", "hello"),
		send("a trailer", "5\r\nhello\r\n0\r\nX-Sum: 1\r\n\r\n", "hello", trailer("X-Sum", "1")),
		send("two trailers in order", "5\r\nhello\r\n0\r\nX-T: 1\r\nX-T: 2\r\n\r\n", "hello", trailer("X-T", "1", "2")),
		send("a trailer that looks like a request", "0\r\nX:GET /canary HTTP/1.1\r\n\r\n", ""),
		send("many small chunks", strings.Repeat("1\r\nx\r\n", 3000)+"0\r\n\r\n", strings.Repeat("x", 3000)),
		send("a chunk at the limit", fmt.Sprintf("%x\r\n", bodyLimit)+strings.Repeat("x", bodyLimit)+"\r\n0\r\n\r\n", strings.Repeat("x", bodyLimit)),
		send("spaces around an extension", "5 ; a = b\r\nhello\r\n0\t;\tc\r\n\r\n", "hello"),
		{name: "an empty extension", send: post(chunked) + "5;\r\nhello\r\n0\r\n\r\n", want: "200|400", partial: true,
			up: []func(request) string{body("hello")}},
		{name: "many leading zeros", send: post(chunked) + strings.Repeat("0", 64) + "5\r\nhello\r\n0\r\n\r\n", want: "200|400",
			partial: true, up: []func(request) string{body("hello")}},
		forbiddenTrailer("Content-Length: 99"), forbiddenTrailer("Transfer-Encoding: chunked"), forbiddenTrailer("Host: " + victimHost),
		forbiddenTrailer("Authorization: x"), forbiddenTrailer("X-Forwarded-For: 9.9.9.9"), forbiddenTrailer("Connection: close"),
	}
}

// forbiddenTrailer is a trailer that must neither become a field nor, where it
// concerns framing, routing or the connection, be passed on (RFC 9110 §6.5.1).
func forbiddenTrailer(line string) clientCase {
	name, value, _ := strings.Cut(line, ": ")
	return clientCase{
		name: "trailer " + name, send: post(chunked) + "5\r\nhello\r\n0\r\n" + line + "\r\n\r\n", want: "200|400", partial: true,
		up: []func(request) string{body("hello"), func(r request) string {
			for _, got := range r.values(name) {
				if got == value && name != "Transfer-Encoding" {
					return "the trailer became the field " + line
				}
			}
			if name != "Authorization" && valuesOf(r.trailers, name) != nil {
				return "it has the trailer " + line
			}
			return ""
		}},
	}
}

func badSizeCases() (cases []clientCase) {
	for _, size := range []string{
		"", " ", "g", "5g", "G5", "0x5", "0X5", "x5", "+5", "-5", "-0", "+0", "5_0", "0_5", "5.0", "5,", "5 5", "5\t5", "5h", " 5", "\t5", "5\x00",
		"\x005", "5\x0b", "\x0c5", "5\r", "\r5", "5\r\r", "5\x85", "\xa05", "\xd9\xa5", "\"5\"", "5:", "5=a", "5&", "\\x5", "INVALID", "5these bytes",
		"-ffffffffffffffff", "fffffffffffffffb-", "5\n", "5 \n",
		"5\r;a", "5\r\r;a", "5;a\rb", "5;a\r", "5;a\nb", "5;\n", "5;a=\"\nb\"", "5;a\x00b", "5;a=\x01",
	} {
		cases = append(cases, badBody("chunk size "+strings.ToValidUTF8(size, "?"), post(chunked)+size+"\r\nhello\r\n0\r\n\r\n{canary}"))
	}
	for _, size := range []string{
		"ffffffffffffffff", "fffffffffffffff", "7fffffffffffffff", "8000000000000000", "10000000000000000", "10000000000000005",
		"100000005", "FFFFFFFFFFFFFFFF0", "00000000000000000000ffffffffffffffff", strings.Repeat("f", 100), "80000005", "7fffffff",
	} {
		c := refused("400|413", "chunk size "+size, post(chunked)+size+"\r\nhello\r\n0\r\n\r\n{canary}")
		c.partial = true
		cases = append(cases, c)
	}
	return append(cases,
		badBody("last chunk with letters", post(chunked)+"5\r\nhello\r\n0z\r\n\r\n"),
		badBody("last chunk of minus zero", post(chunked)+"5\r\nhello\r\n-0\r\n\r\n"),
		badBody("last chunk of 0x0", post(chunked)+"5\r\nhello\r\n0x0\r\n\r\n"),
		badBody("space after the size", post(chunked)+"5 \r\nhello\r\n0\r\n\r\n"),
		badBody("tab after the size", post(chunked)+"5\t\r\nhello\r\n0\r\n\r\n"),
		badBody("last chunk empty", post(chunked)+"5\r\nhello\r\n\r\n\r\n"),
	)
}

func badChunkCases() []clientCase {
	send := func(name, coded string) clientCase { return badBody(name, post(chunked)+coded) }
	limited := func(want, name, coded string) clientCase {
		c := refused(want, name, post(chunked)+coded)
		c.partial = true
		return c
	}
	return []clientCase{
		send("data longer than the size", "5\r\nhello!\r\n0\r\n\r\n"),
		send("data shorter than the size", "6\r\nhello\r\n0\r\n\r\n"),
		send("no line end after the data", "5\r\nhello0\r\n\r\n"),
		send("bare LF after the data", "5\r\nhello\n0\r\n\r\n"),
		send("bare CR after the data", "5\r\nhello\r0\r\n\r\n"),
		send("CR and a byte after the data", "5\r\nhello\rX0\r\n\r\n"),
		send("two bytes for the line end after the data", "5\r\nhelloXX0\r\n\r\n{canary}"),
		send("LF CR after the data", "5\r\nhello\n\r0\r\n\r\n"),
		send("an empty line after the data", "5\r\nhello\r\n\r\n0\r\n\r\n"),
		send("bare LF after a size", "5\nhello\r\n0\r\n\r\n"),
		send("bare LF after the last size", "5\r\nhello\r\n0\n\r\n"),
		send("bare CR after a size", "5\rhello\r\n0\r\n\r\n"),
		send("only bare LF", "5\nhello\n0\n\n"),
		send("bare LF as the end", "5\r\nhello\r\n0\r\n\n"),
		send("bare CR as the end", "5\r\nhello\r\n0\r\n\rX"),
		send("CR CR LF as the end", "5\r\nhello\r\n0\r\n\r\r\n"),
		send("bare LF ends an extension", "5;\nhello\r\n0\r\n\r\n"),
		send("extension ended by LF, canary in the chunk", "2;\nxx\r\n{hex}\r\n{canary}\r\n0\r\n\r\n"),
		send("extension ended by CR, canary in the chunk", "2;\rxx\r\n{hex}\r\n{canary}\r\n0\r\n\r\n"),
		send("CR CR before an extension, canary in the chunk", "2\r\r;a\r\n02\r\n{hex}\r\n{canary}\r\n0\r\n\r\n"),
		send("spill of two bytes, canary behind", "5\r\nhelloAA\r\n0\r\n\r\n{canary}"),
		send("size line that is a request", "{canary}"),
		send("headers instead of a size", "X-A: b\r\n\r\n"),
		send("trailer without colon", "0\r\nX-A\r\n\r\n"),
		send("trailer that is a request line", "0\r\nGET /canary HTTP/1.1\r\nHost: {host}\r\n\r\n"),
		send("trailer with a space before its colon", "0\r\nX-A : b\r\n\r\n"),
		send("folded trailer", "0\r\nX-A: b\r\n c\r\n\r\n"),
		send("trailer starting with a space", "0\r\n X-A: b\r\n\r\n"),
		send("trailer with an empty name", "0\r\n: b\r\n\r\n"),
		send("trailer with NUL", "0\r\nX-A: \x00\r\n\r\n"),
		send("trailer with a control byte", "0\r\nX-A: \x01\r\n\r\n"),
		send("trailer with a bare CR", "0\r\nX-A: b\rc\r\n\r\n"),
		send("trailer with a bare LF", "0\r\nX-A: b\nX-B: c\r\n\r\n"),
		send("trailer ended by bare LF", "0\r\nX-A: b\n\r\n"),
		limited("413", "chunks over the limit", strings.Repeat("8000\r\n"+strings.Repeat("x", 0x8000)+"\r\n", bodyLimit/0x8000+1)+"0\r\n\r\n"),
		limited("413", "one chunk over the limit", fmt.Sprintf("%x\r\n", bodyLimit+1)+strings.Repeat("x", 1024)),
		limited("400|413|431", "an extension without end", "5;"+strings.Repeat("a", 1<<17)),
		limited("400|413|431", "a size without end", strings.Repeat("0", 1<<17)),
		limited("400|413|431", "trailers without end", "0\r\n"+strings.Repeat("X-A: b\r\n", 1<<14)),
		limited("400|413|431", "a trailer over the limit", "0\r\nX-A: "+strings.Repeat("b", 4*headerLimit)+"\r\n\r\n"),
	}
}
