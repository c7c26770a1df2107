package test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
)

// TestConnections checks persistence, pipelining, and what belongs to one
// connection only (RFC 9112 §9, RFC 9110 §7.6).
func TestConnections(t *testing.T) {
	t.Parallel()
	runClientCases(t, append(append(pipelineCases(), hopCases()...), ownFieldCases()...))
}

func pipelineCases() []clientCase {
	one := func(path string, lines ...string) string { return get(path, lines...) }
	head := lined("HEAD /h HTTP/1.1", "Host: {host}")
	return []clientCase{
		{name: "two pipelined", send: one("/1") + one("/2"), want: "200 200", alive: true},
		{name: "ten pipelined", send: strings.Repeat(one("/1"), 10), want: strings.Repeat("200 ", 10), alive: true},
		{name: "a body, then another request", send: post("Content-Length: 5") + "hello" + one("/2"), want: "200 200", alive: true},
		{name: "chunks, then another request", send: post(chunked) + hello + one("/2"), want: "200 200", alive: true},
		{name: "a trailer, then another request", send: post(chunked) + "0\r\nX-A: b\r\n\r\n" + one("/2"), want: "200 200", alive: true},
		{name: "HEAD, then another request", send: head + one("/2"), methods: "HEAD GET", want: "200 200", alive: true},
		{name: "POSTs pipelined", send: strings.Repeat(post("Content-Length: 5")+"hello", 3), want: "200 200 200", alive: true},
		{name: "an empty line between two", send: one("/1") + "\r\n" + one("/2"), want: "200 200", alive: true},
		{name: "an empty line after a body", send: post("Content-Length: 5") + "hello\r\n" + one("/2"), want: "200 200", alive: true},
		{name: "good, then bad", send: one("/1") + lined("GET /2 HTTP/1.1", "Host: {host}", "X-A : b") + "{canary}", want: "200 400", closed: true},
		{name: "good, bad, good", send: one("/1") + one("/2", "Content-Length: x") + "{canary}", want: "200 400", closed: true},
		{name: "a body one byte longer than said", send: post("Content-Length: 4") + "hello{canary}", want: "200 200|400|405|501",
			up: []func(request) string{func(r request) string { return differs("method", r.method, "POST", "oGET") }}, canary: true},
		{name: "close, then another request", send: one("/1", "Connection: close") + "{canary}", want: "200", closed: true},
		{name: "close in capitals", send: one("/1", "Connection: CLOSE") + "{canary}", want: "200", closed: true},
		{name: "close among others", send: one("/1", "Connection: x-a, close ,x-b") + "{canary}", want: "200", closed: true},
		{name: "close on a second line", send: one("/1", "Connection: x-a", "Connection: close") + "{canary}", want: "200", closed: true},
		{name: "keep-alive and close", send: one("/1", "Connection: keep-alive, close") + "{canary}", want: "200", closed: true},
		{name: "close with a body", send: post("Connection: close", "Content-Length: 5") + "hello{canary}", want: "200", closed: true},
		{name: "keep-alive", send: one("/1", "Connection: keep-alive"), want: "200", alive: true},
		{name: "closed isn't close", send: one("/1", "Connection: closed"), want: "200", alive: true},
		{name: "Proxy-Connection close isn't close", send: one("/1", "Proxy-Connection: close"), want: "200", alive: true},
		{name: "half-closed after the request", send: one("/1"), want: "200", halfClose: true},
		{name: "half-closed after a body", send: post("Content-Length: 5") + "hello", want: "200", halfClose: true},
		{name: "half-closed after chunks", send: post(chunked) + hello, want: "200", halfClose: true},
		{name: "half-closed after two requests", send: one("/1") + one("/2"), want: "200 200", halfClose: true},
		{name: "half-closed at once", send: "", want: "-", halfClose: true},
		{name: "half-closed in the request line", send: "GET /canary", want: "400|408|-", halfClose: true},
		{name: "half-closed in the head", send: "GET /canary HTTP/1.1\r\nHost: {host}\r\n", want: "400|408|-", halfClose: true},
		{name: "half-closed before the last LF", send: "GET /canary HTTP/1.1\r\nHost: {host}\r\n\r", want: "400|408|-", halfClose: true},
		{name: "half-closed in the body", send: post("Content-Length: 50") + "hello", want: "400|408|-", halfClose: true, partial: true},
		{name: "half-closed before the body", send: post("Content-Length: 50"), want: "400|408|-", halfClose: true, partial: true},
		{name: "half-closed in a chunk", send: post(chunked) + "50\r\nhello", want: "400|408|-", halfClose: true, partial: true},
		{name: "half-closed in a chunk size", send: post(chunked) + "5", want: "400|408|-", halfClose: true, partial: true},
		{name: "half-closed before the last chunk", send: post(chunked) + "5\r\nhello\r\n", want: "400|408|-", halfClose: true, partial: true},
		{name: "half-closed after the last chunk's size", send: post(chunked) + "5\r\nhello\r\n0\r\n", want: "400|408|-", halfClose: true, partial: true},
		{name: "half-closed in a trailer", send: post(chunked) + "0\r\nX-A: b\r\n", want: "400|408|-", halfClose: true, partial: true},
		{name: "half-closed in a large body", send: post(fmt.Sprintf("Content-Length: %d", bodyLimit)) + strings.Repeat("x", bodyLimit-1),
			want: "400|408|-", halfClose: true, partial: true},
		{name: "one byte at a time", send: get("/p", "X-A: b"), bytewise: true, want: "200", alive: true},
		{name: "a body one byte at a time", send: post("Content-Length: 5") + "hello", bytewise: true, want: "200", alive: true},
		{name: "chunks one byte at a time", send: post(chunked) + hello, bytewise: true, want: "200", alive: true,
			up: []func(request) string{body("hello")}},
		{name: "two requests cut in the middle", send: one("/1") + "GET /2 HT", pieces: []string{"TP/1.1\r\nHost: {host}\r\n\r\n"}, want: "200 200", alive: true},
		{name: "line end cut in the middle", send: "GET /1 HTTP/1.1\r", pieces: []string{"\nHost: {host}\r", "\n\r", "\n"}, want: "200", alive: true},
		{name: "bad CL.TE one byte at a time", send: post("Content-Length: 5", chunked), bytewise: true, want: "400", closed: true},
	}
}

func hopCases() (cases []clientCase) {
	for _, field := range []string{
		"Keep-Alive: timeout=5", "Proxy-Connection: keep-alive", "Proxy-Authorization: Basic eA==", "TE: gzip;q=0.5", "TE: xtrailers",
		"Upgrade: foo/1", "Proxy-Authenticate: x", "Connection: keep-alive", "Proxy-Foo: bar",
	} {
		name, _, _ := strings.Cut(field, ":")
		wrong := without(name)
		if name == "Connection" { // the gateway's own is allowed to the upstream
			wrong = onlyPersistence
		}
		cases = append(cases, ok("hop-by-hop "+field, get("/p", field, "X-Stay: 1"), wrong, line("X-Stay: 1")))
	}
	trailers := []func(request) string{values("TE", "trailers"), values("Connection", "TE")}
	return append(cases,
		ok("TE: trailers", get("/p", "Connection: TE", "TE: trailers"), trailers...),
		ok("TE: trailers, not in Connection", get("/p", "TE: Trailers"), trailers...),
		ok("TE: trailers among others", get("/p", "Connection: TE, X-Hop", "X-Hop: 1", "TE: deflate;q=0.5, trailers"), append(trailers, without("X-Hop"))...),
		ok("TE: trailers and an upgrade", get("/p", "Connection: TE, Upgrade", "TE: trailers", "Upgrade: x"), values("TE", "trailers"), values("Connection", "Upgrade, TE")),
		clientCase{name: "TE: trailers in HTTP/1.0", send: lined("GET /p HTTP/1.0", "Host: {host}", "TE: trailers"), want: "200", closed: true,
			up: []func(request) string{without("TE", "Connection")}},
		ok("a field that Connection names", get("/p", "Connection: X-Hop", "X-Hop: 1", "X-Stay: 1"), without("X-Hop"), line("X-Stay: 1")),
		ok("fields that Connection names in any case", get("/p", "X-HOP: 1", "x-jump: 2", "Connection: x-hop , X-Jump"), without("X-Hop", "X-Jump")),
		ok("fields that two Connections name", get("/p", "Connection: a", "A: 1", "B: 2", "Connection: b"), without("A", "B")),
		ok("a repeated field that Connection names", get("/p", "X-Hop: 1", "Connection: X-Hop", "X-Hop: 2"), without("X-Hop")),
		ok("an empty Connection", get("/p", "Connection:", "X-Stay: 1"), line("X-Stay: 1")),
		ok("Connection of commas", get("/p", "Connection: ,, ,", "X-Stay: 1"), line("X-Stay: 1")),
		ok("Connection of a prefix", get("/p", "Connection: X-St", "X-Stay: 1"), line("X-Stay: 1")),
		okOrBad("Connection of nonsense", get("/p", "Connection: \"X-Stay\" =;", "X-Stay: 1"), line("X-Stay: 1")),
		okOrBad("Connection of hundreds", get("/p", "Connection: "+strings.Join(repeated(400, "x-%d"), ","), "X-399: 1"), without("X-399")),
		ok("Connection can't name the gateway's own", get("/p", "Connection: X-Forwarded-For, X-Forwarded-Host, X-Forwarded-Proto, X-Request-Id")),
		ok("Upgrade without Connection", get("/p", "Upgrade: websocket"), without("Upgrade"), onlyPersistence),
		ok("Connection upgrade without Upgrade", get("/p", "Connection: upgrade"), onlyPersistence),
		// An upstream that takes up h2c would be out of sight of every policy.
		okOrBad("h2c isn't offered to the upstream", get("/p", "Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABkAAQAAP__"),
			without("Upgrade", "HTTP2-Settings")),
		okOrBad("h2c with prior body", post("Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AA", "Content-Length: {len}")+"{canary}",
			without("Upgrade", "HTTP2-Settings")),
		okOrBad("a refused upgrade leaves the connection in step", get("/p", "Connection: Upgrade", "Upgrade: websocket",
			"Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==")),
		clientCase{name: "an upgrade in HTTP/1.0 is none", send: lined("GET /p HTTP/1.0", "Host: {host}", "Connection: Upgrade", "Upgrade: websocket"),
			want: "200", closed: true, up: []func(request) string{without("Upgrade")}},
		clientCase{name: "a refused upgrade hides no request", want: "200 200|-", canary: true,
			send: get("/p", "Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 777", "Sec-WebSocket-Key: x") + "{canary}"},
	)
}

// onlyPersistence demands that the gateway's Connection to the upstream names
// nothing that came from the client.
func onlyPersistence(r request) string {
	return differs("Connection", strings.ToLower(strings.Join(r.values("Connection"), ",")), "", "keep-alive")
}

// ownFieldCases are the fields that the gateway sets itself and a client can't.
func ownFieldCases() []clientCase {
	return []clientCase{
		ok("the gateway's own fields", get("/p"), values("X-Forwarded-For", "127.0.0.1"), values("X-Forwarded-Proto", "http"), forwardedHost),
		ok("spoofed X-Forwarded-For", get("/p", "X-Forwarded-For: 6.6.6.6"), values("X-Forwarded-For", "127.0.0.1")),
		ok("spoofed X-Forwarded-For twice", get("/p", "X-Forwarded-For: 6.6.6.6", "x-forwarded-for: 7.7.7.7"), values("X-Forwarded-For", "127.0.0.1")),
		ok("spoofed X-Forwarded-Proto", get("/p", "X-Forwarded-Proto: https"), values("X-Forwarded-Proto", "http")),
		ok("spoofed X-Forwarded-Host", get("/p", "X-Forwarded-Host: {victim}"), forwardedHost),
		ok("spoofed Forwarded", get("/p", "Forwarded: for=6.6.6.6;proto=https"), notIn("6.6.6.6")),
		ok("spoofed X-Request-Id", get("/p", "X-Request-Id: mine-6666"), notIn("mine-6666")),
		ok("spoofed X-Request-Id twice", get("/p", "X-Request-Id: mine-6666", "X-REQUEST-ID: mine-7777"), notIn("mine-")),
		{name: "request id on both sides", send: get("/p"), want: "200", alive: true,
			down: []func(*response) string{func(r *response) string {
				if id := strings.Join(r.values("X-Request-Id"), ","); len(id) < 8 {
					return "X-Request-Id is " + id
				}
				return ""
			}}},
		{name: "error in JSON", send: lined("GET /p HTTP/1.1", "Host: nobody.example", "Accept: application/json"), want: "404",
			down: []func(*response) string{func(r *response) string {
				var parsed struct {
					Error struct {
						Code, Message string
						RequestID     string `json:"request_id"`
					}
				}
				if err := json.Unmarshal(r.body, &parsed); err != nil || parsed.Error.Code == "" || parsed.Error.Message == "" ||
					parsed.Error.RequestID != strings.Join(r.values("X-Request-Id"), ",") {
					return "body is " + string(r.body)
				}
				return ""
			}}},
		{name: "error in plain text", send: lined("GET /p HTTP/1.1", "Host: nobody.example", "Accept: text/html"), want: "404",
			down: []func(*response) string{func(r *response) string {
				if kind := strings.Join(r.values("Content-Type"), ","); !strings.HasPrefix(kind, "text/plain") {
					return "Content-Type is " + kind
				}
				return ""
			}}},
		{name: "error on HEAD has no body", send: lined("HEAD /p HTTP/1.1", "Host: nobody.example"), methods: "HEAD", want: "404", alive: true},
		{name: "nothing of a request in its error", send: lined("GET /<script> HTTP/1.1", "Host: nobody.example", "X-A: <script>"), want: "400|404",
			down: []func(*response) string{func(r *response) string {
				if strings.Contains(string(r.body), "<script>") {
					return "the body holds the request's markup"
				}
				return ""
			}}},
	}
}
