package test

import (
	"fmt"
	"strings"
	"testing"
)

// TestSmugglingFromClients sends requests whose end two readers could see in
// different places (RFC 9112 §6 and §11.2, the published desync corpora). The
// canary stands where the other reader would see a request.
func TestSmugglingFromClients(t *testing.T) {
	t.Parallel()
	cases := append(bothLengthsCases(), contentLengthCases()...)
	cases = append(cases, transferEncodingCases()...)
	runClientCases(t, append(cases, hiddenEncodingCases()...))
}

const (
	hello   = "5\r\nhello\r\n0\r\n\r\n"
	chunked = "Transfer-Encoding: chunked"
)

// bothLengthsCases are CL.TE, TE.CL and their relatives.
func bothLengthsCases() []clientCase {
	return []clientCase{
		bad("CL.TE", post("Content-Length: 5", chunked)+"0\r\n\r\n{canary}"),
		bad("CL.TE with the canary inside the length", post("Content-Length: 1000", chunked)+"0\r\n\r\n{canary}"),
		bad("TE.CL", post(chunked, "Content-Length: 4")+"{hex}\r\n{canary}\r\n0\r\n\r\n"),
		bad("TE.CL with a length of zero", post(chunked, "Content-Length: 0")+"{hex}\r\n{canary}\r\n0\r\n\r\n"),
		bad("both and both right", post(chunked, "Content-Length: 15")+hello),
		bad("both on GET", get("/p", chunked, "Content-Length: 5")+"0\r\n\r\n{canary}"),
		{name: "both on HEAD", methods: "HEAD", want: "400", closed: true,
			send: lined("HEAD /p HTTP/1.1", "Host: {host}", "Content-Length: 5", chunked) + "0\r\n\r\n{canary}"},
		bad("both with a bad encoding", post("Content-Length: 5", "Transfer-Encoding: xchunked")+"0\r\n\r\n{canary}"),
		bad("both with identity", post("Content-Length: {len}", "Transfer-Encoding: identity")+"{canary}"),
		bad("both with an empty encoding", post("Content-Length: {len}", "Transfer-Encoding:")+"{canary}"),
		bad("both with an empty length", post("Content-Length:", chunked)+hello),
		bad("both with a bad length", post("Content-Length: x", chunked)+hello),
		bad("both in lower case", post("content-length: 5", "transfer-encoding: chunked")+"0\r\n\r\n{canary}"),
		bad("both with another field between", post("Content-Length: 5", "X-A: b", chunked)+"0\r\n\r\n{canary}"),
		refused("400|505", "both in HTTP/1.0", lined("POST /p HTTP/1.0", "Host: {host}", "Content-Length: 5", chunked)+"0\r\n\r\n{canary}"),
		refused("400|417", "both with Expect", post("Content-Length: 5", chunked, "Expect: 100-continue")+"0\r\n\r\n{canary}"),
		bad("both, and Connection names the one", post("Content-Length: 5", chunked, "Connection: Transfer-Encoding")+"0\r\n\r\n{canary}"),
		bad("both, and Connection names the other", post("Content-Length: 5", chunked, "Connection: Content-Length")+"0\r\n\r\n{canary}"),
	}
}

func contentLengthCases() (cases []clientCase) {
	for _, value := range []string{
		"5, 5", "5,5", "5, 6", "5,", ",5", "+5", "-5", "-0", "+0", "0x5", "0X5", "5h", "5a", "a5", "5 5", "5\t5", "5 a", "5.0", "5e0", "1_0",
		`"5"`, "'5'", "5;", "5;q=1", "(5)", "5\x00", "\x005", "5\x0b", "\x0b5", "\x0c5", "5\r", "5\x80", "\xd9\xa5", "\xa05", "\xef\xbc\x95", "",
		"  ", "NaN", "five", "0 5", "00x5", "5 chunked", "chunked", "5\n", "5\r\n 0", "\r\n 5", "5\r\n\t",
	} {
		cases = append(cases, bad("Content-Length "+strings.ToValidUTF8(value, "?"), post("Content-Length: "+value)+"hello"))
	}
	for _, value := range []string{
		"9223372036854775807", "9223372036854775808", "18446744073709551615", "18446744073709551616", "18446744073709551621",
		"4294967301", "99999999999999999999999", "340282366920938463463374607431768211461", strings.Repeat("9", 200),
	} {
		cases = append(cases, refused("400|413", "Content-Length "+value, post("Content-Length: "+value)+"hello"))
	}
	pair := func(name string, lines ...string) clientCase { return bad(name, post(lines...)+"{canary}") }
	return append(cases,
		pair("two lengths, first shorter", "Content-Length: 0", "Content-Length: {len}"),
		pair("two lengths, first longer", "Content-Length: {len}", "Content-Length: 0"),
		pair("two equal lengths", "Content-Length: {len}", "Content-Length: {len}"),
		pair("two equal lengths of zero", "Content-Length: 0", "Content-Length: 0"),
		pair("two lengths in different case", "Content-Length: {len}", "content-length: 0"),
		pair("two lengths far apart", "Content-Length: {len}", "A: 1", "B: 2", "C: 3", "Content-Length: 0"),
		pair("three lengths", "Content-Length: {len}", "Content-Length: 1", "Content-Length: {len}"),
		pair("an empty length and a real one", "Content-Length:", "Content-Length: {len}"),
		pair("a real length and an empty one", "Content-Length: {len}", "Content-Length:"),
		pair("equal lengths written differently", "Content-Length: {len}", "Content-Length: 0{len}"),
		pair("space before the length's colon", "Content-Length : {len}"),
		pair("tab before the length's colon", "Content-Length\t: {len}"),
		pair("a length folded", "Content-Length:\r\n {len}"),
		pair("a length continued", "Content-Length: 0", " {len}"),
		pair("a length in a folded line", "X-A: b", " Content-Length: {len}"),
		pair("a length behind a bare LF", "X-A: b\nContent-Length: {len}"),
		pair("a length behind a bare CR", "X-A: b\rContent-Length: {len}"),
		pair("a length without colon", "Content-Length {len}"),
		pair("a length with a high byte in its name", "Content-Length\x85: {len}"),
		pair("a length with a NUL in its name", "Content-Length\x00: {len}"),
		pair("a length whose name is split", "Content-\r\nLength: {len}"),
		bad("two lengths on GET", get("/p", "Content-Length: 0", "Content-Length: {len}")+"{canary}"),
		bad("a negative length on GET", get("/p", "Content-Length: -{len}")+"{canary}"),
		refused("400|505", "two lengths in HTTP/1.0", lined("POST /p HTTP/1.0", "Host: {host}", "Content-Length: 0", "Content-Length: {len}")+"{canary}"),
		okOrBad("leading zeros", post("Content-Length: 0005")+"hello", body("hello")),
		okOrBad("leading zeros that look octal", post("Content-Length: 010")+"0123456789", body("0123456789")),
		ok("spaces around the length", post("Content-Length: \t 5 \t ")+"hello", body("hello")),
		ok("no space before the length", post("Content-Length:5")+"hello", body("hello")),
		ok("length in capitals", post("CONTENT-LENGTH: 5")+"hello", body("hello")),
		ok("the canary is the body", post("Content-Length: {len}")+"{canary}"),
		ok("the canary is the body of GET", get("/p", "Content-Length: {len}")+"{canary}"),
		okOrBad("Connection can't name the length away", post("Content-Length: {len}", "Connection: Content-Length")+"{canary}"),
		okOrBad("an underscore for the dash", post("Content-Length: {len}", "Content_Length: 0")+"{canary}"),
		clientCase{name: "no length means no body", send: post() + "{canary}", want: "200 200", canary: true},
		refused("413", "a length over the limit", post(fmt.Sprintf("Content-Length: %d", bodyLimit+1))),
		ok("a length at the limit", post(fmt.Sprintf("Content-Length: %d", bodyLimit))+strings.Repeat("b", bodyLimit)),
	)
}

// transferEncodingCases are codings other than exactly chunked. RFC 9112 §6.1
// asks for 501 where the coding isn't understood, the gateway may say 400.
func transferEncodingCases() (cases []clientCase) {
	for _, value := range []string{
		"xchunked", "chunkedx", "chunke", "chunk", "cow", "identity", "gzip", "deflate", "compress", "x-chunked", "chunked1",
		"gzip, chunked", "chunked, gzip", "identity, chunked", "chunked, identity", "chunked, chunked", "chunked,chunked", "chunked, cow", "cow, chunked",
		",chunked", "chunked,", ", chunked", "chunked ,", ",", "chunked;", "chunked;q=1", "chunked; foo=bar", "chunked ;x", `"chunked"`, "'chunked'",
		"(chunked)", "chunked chunked", "chunked foo", "chunked\tfoo", "foo chunked", "ch unked", "chunked:", ": chunked", "=chunked", "[chunked]",
		"chunked\x00", "\x00chunked", "\x0bchunked", "chunked\x0b", "\x0cchunked", "chunked\x0c", "chunked\x01", "\x7fchunked",
		"\xa0chunked", "chunked\xa0", "\xffchunked\xff", "chun\x85ked", "\xc4\x8bhunked", "chun\xe2\x84\xaaed", "chunked\r", "\rchunked", "chunked\n", "\nchunked",
		"\r\n chunked", "\r\n\tchunked", "chunked\r\n foo", "chunked\r\n ", "foo\r\n chunked", "", " ", "null", "0", "chunked/1.0",
	} {
		name := "Transfer-Encoding " + strings.ToValidUTF8(value, "?")
		cases = append(cases, refused("400|501", name, post("Transfer-Encoding: "+value)+"0\r\n\r\n{canary}"))
	}
	return append(cases,
		ok("chunked", post(chunked)+hello, body("hello")),
		ok("chunked in capitals", post("TRANSFER-ENCODING: CHUNKED")+hello, body("hello")),
		ok("chunked in mixed case", post("transfer-Encoding: Chunked")+hello, body("hello")),
		ok("chunked without space", post("Transfer-Encoding:chunked")+hello, body("hello")),
		ok("chunked with spaces around", post("Transfer-Encoding: \t chunked \t ")+hello, body("hello")),
		ok("the canary is the chunk", post(chunked)+"{hex}\r\n{canary}\r\n0\r\n\r\n"),
		okOrBad("Connection can't name chunked away", post(chunked, "Connection: Transfer-Encoding")+"{hex}\r\n{canary}\r\n0\r\n\r\n"),
		// RFC 9112 §6.1: faulty framing; refuse, or close after it.
		clientCase{name: "chunked in HTTP/1.0", want: "200|400|501|505", closed: true,
			send: lined("POST /p HTTP/1.0", "Host: {host}", chunked, "Connection: keep-alive") + "0\r\n\r\n{canary}"},
	)
}

// hiddenEncodingCases hide a Transfer-Encoding from one of two readers.
func hiddenEncodingCases() []clientCase {
	hidden := func(name string, lines ...string) clientCase {
		return refused("400|501", name, post(lines...)+"0\r\n\r\n{canary}")
	}
	visible := func(name string, lines ...string) clientCase { // an ordinary field that only looks like one
		return okOrBad(name, post(append([]string{"Content-Length: {len}"}, lines...)...)+"{canary}")
	}
	return []clientCase{
		hidden("chunked twice", chunked, chunked),
		hidden("chunked and identity", chunked, "Transfer-Encoding: identity"),
		hidden("identity and chunked", "Transfer-Encoding: identity", chunked),
		hidden("chunked and an empty one", chunked, "Transfer-Encoding:"),
		hidden("an empty one and chunked", "Transfer-Encoding:", chunked),
		hidden("chunked and a cow", chunked, "Transfer-Encoding: cow"),
		hidden("chunked and chunked in other case", chunked, "transfer-encoding: CHUNKED"),
		hidden("gzip and chunked", "Transfer-Encoding: gzip", chunked),
		hidden("space before its colon", "Transfer-Encoding : chunked"),
		hidden("tab before its colon", "Transfer-Encoding\t: chunked"),
		hidden("space before its colon, with a length", "Content-Length: 5", "Transfer-Encoding : chunked"),
		hidden("space before its name", " Transfer-Encoding: chunked"),
		hidden("tab before its name, with a length", "Content-Length: 5", "\tTransfer-Encoding: chunked"),
		hidden("folded into another field", "X-A: b", " Transfer-Encoding: chunked"),
		hidden("behind a bare LF", "X-A: b\nTransfer-Encoding: chunked"),
		hidden("behind a bare CR", "X-A: b\rTransfer-Encoding: chunked"),
		hidden("behind a NUL", "X-A: b\x00Transfer-Encoding: chunked"),
		hidden("behind a vertical tab", "X-A: b\x0bTransfer-Encoding: chunked"),
		hidden("no colon", "Transfer-Encoding chunked"),
		hidden("an equals sign for the colon", "Transfer-Encoding=chunked"),
		hidden("NUL in its name", "Transfer\x00-Encoding: chunked"),
		hidden("NUL after its name", "Transfer-Encoding\x00: chunked"),
		hidden("control byte before its name", "\x01Transfer-Encoding: chunked"),
		hidden("high byte after its name", "Transfer-Encoding\xa0: chunked"),
		hidden("its name split by a line end", "Transfer-\r\nEncoding: chunked"),
		hidden("its name quoted", `"Transfer-Encoding": chunked`),
		hidden("two colons", "Transfer-Encoding:: chunked"),
		hidden("a colon and CR", "Transfer-Encoding:\rchunked"),
		visible("an underscore for the dash", "Transfer_Encoding: chunked"),
		visible("a shorter name", "Transfer-Encodin: chunked"),
		visible("a longer name", "X-Transfer-Encoding: chunked"),
		visible("TE isn't Transfer-Encoding", "TE: chunked"),
		visible("Content-Encoding isn't Transfer-Encoding", "Content-Encoding: chunked"),
		visible("Upgrade isn't framing", "Upgrade: chunked"),
		visible("method override", "X-HTTP-Method-Override: HEAD"),
	}
}
