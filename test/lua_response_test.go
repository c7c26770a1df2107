package test

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"strings"
	"testing"
)

// TestLuaResponse makes answers in every way that issue 3 lists.
func TestLuaResponse(t *testing.T) {
	runLuaCases(t, []luaCase{
		{
			name: "answers of Lua's own", alone: true,
			script: `
				chi.get("/status", function(request, response) response:status(201) response:write("made ", 1, " ", 2.5) response:write("!") end)
				chi.get("/code", function(request, response) response:status(202) response:write(tostring(response.status_code)) end)
				chi.get("/default", function(request, response) response:write(tostring(response.status_code)) end)
				chi.get("/header", function(request, response)
					response:header("X-A", "1") response:header("x-a", "2") response:add_header("X-B", "1") response:add_header("X-B", "2")
					response:header("X-C", "gone") response:remove_header("x-c") response:header("X-N", 5)
					response:write(response:header("X-A"), response:header("X-B"), tostring(response:header("X-C")), tostring(response:header("X-None")))
				end)
				chi.get("/json", function(request, response) response:json({list = {1, "two", true}, name = "ü\n"}) end)
				chi.get("/redirect", function(request, response) response:redirect("/elsewhere?x=1", 301) end)
				chi.get("/redirect302", function(request, response) response:redirect("https://example.com/") end)
				chi.get("/cookie", function(request, response)
					response:cookie{name = "a", value = "1", path = "/p", max_age = 60, http_only = true, secure = true, same_site = "Strict", domain = "example.com"}
					response:cookie{name = "b", value = "2"}
				end)
				chi.get("/ages", function(request, response)
					for _, age in ipairs{0/0, 1/0, -1/0, 2^60} do response:write(tostring((pcall(response.cookie, response, {name = "a", value = "1", max_age = age}))), " ") end
				end)
				chi.get("/body", function(request, response) response:write("dropped") response:set_body("kept") response:write("+") end)
				chi.get("/read", function(request, response) response:write("ab") response:header("X-Body", response.body) end)
				chi.get("/empty", function(request, response) end)
				chi.get("/204", function(request, response) response:status(204) response:write("none may be sent") end)
				chi.get("/304", function(request, response) response:status(304) response:write("none may be sent") response:header("ETag", '"x"') end)
				chi.get("/205", function(request, response) response:status(205) response:write("") end)
				chi.get("/late", function(request, response) response:write("x") response:status(203) response:header("X-Late", "1") end)`,
			talk: []said{
				say("GET /status", 201, "made 1 2.5!", values201), say("GET /code", 202, "202"), say("GET /default", 200, "200"),
				say("GET /header", 200, "21nilnil", answerValues("X-A", "2"), answerValues("X-B", "1", "2"), answerWithout("X-C"), answerLine("X-N: 5")),
				say("GET /json", 200, "*", answerLine("Content-Type: application/json"), bodyHas(`"list":[1,"two",true]`, `"name":"ü\n"`)),
				say("GET /redirect", 301, "*", answerLine("Location: /elsewhere?x=1")),
				say("GET /redirect302", 302, "*", answerLine("Location: https://example.com/")),
				say("GET /cookie", 200, "", cookies),
				say("GET /ages", 200, "false false false false ", answerWithout("Set-Cookie")),
				say("GET /body", 200, "kept+", answerLine("Content-Length: 5")), say("GET /read", 200, "ab", answerLine("X-Body: ab")),
				say("GET /empty", 200, "", answerLine("Content-Length: 0")),
				say("GET /204", 204, "", answerWithout("Content-Length", "Transfer-Encoding")),
				say("GET /304", 304, "", answerLine(`ETag: "x"`)), say("GET /205", 205, "", answerLine("Content-Length: 0")),
				say("GET /late", 203, "x", answerLine("X-Late: 1")),
			},
		},
		{
			name: "fields of the framing stay the gateway's", alone: true,
			script: `chi.get("/", function(request, response)
				for _, name in ipairs{"Content-Length", "Transfer-Encoding", "Connection", "Keep-Alive", "Upgrade", "Trailer", "TE"} do
					pcall(response.header, response, name, "100")
					pcall(response.add_header, response, name, "chunked")
				end
				response:write("12345")
			end)`,
			talk: []said{
				say("GET /", 200, "12345", answerValues("Content-Length", "5"), answerWithout("Transfer-Encoding", "Upgrade", "Trailer", "TE", "Keep-Alive", "Connection")),
			},
		},
		{
			name: "an injected line is an error and nothing of it is sent", alone: true,
			script: `
				chi.get("/value", function(request, response) response:header("X-A", "a\r\nX-Evil: 1") end)
				chi.get("/name", function(request, response) response:header("X-Evil: 1\r\nX-B", "a") end)
				chi.get("/location", function(request, response) response:redirect("/a\r\nX-Evil: 1") end)
				chi.get("/cookie", function(request, response) response:cookie{name = "a", value = "b\r\nX-Evil: 1"} end)
				chi.get("/path", function(request, response) response:cookie{name = "a", value = "b", path = "/\r\nX-Evil: 1"} end)
				chi.get("/assign", function(request, response) response.headers["X-A"] = "a\nX-Evil: 1" end)
				chi.get("/header", function(request, response) response:header("X-Before", "1") response:write("before") response:add_header("X-A", "\0") end)`,
			talk: []said{
				injected("/value"), injected("/name"), injected("/location"), injected("/cookie"), injected("/path"), injected("/assign"), injected("/header"),
			},
		},
		{
			name:   "write in a middleware without next",
			script: `chi_middleware(function(request, response, next) response:status(401) response:header("WWW-Authenticate", "Basic") response:write("who?") end)`,
			talk: []said{
				say("GET /", 401, "who?", unsent{}, answerLine("WWW-Authenticate: Basic")), say("HEAD /", 401, "", unsent{}, answerLine("Content-Length: 4")),
				say("POST /\n\nhello", 401, "who?", unsent{}),
			},
		},
		{
			name:   "next after write is an error",
			script: `chi_middleware(function(request, response, next) response:write("x") next() end)`,
			talk:   []said{fails("GET /")},
		},
		{
			name: "a big answer", alone: true,
			script: `chi.get("/", function(request, response) for i = 1, 1000 do response:write(("x"):rep(1000)) end end)`,
			talk:   []said{say("GET /", 200, strings.Repeat("x", 1_000_000)), say("HEAD /", 405, "")},
		},
	})
}

func values201(r *response) string { return differs("start line", r.start, "HTTP/1.1 201 Created") }

// injected demands that a script's attempt to add a line failed.
func injected(path string) said {
	return say("GET "+path, 500, "*", answerLine("X-Gateway-Error: script_error"), answerWithout("X-Evil", "X-A", "X-B", "Location", "Set-Cookie", "X-Before"), bodyLacks("Evil", "before"))
}

func cookies(r *response) string {
	set := r.values("Set-Cookie")
	if len(set) != 2 || !strings.HasPrefix(set[0], "a=1; ") || !strings.HasPrefix(set[1], "b=2") {
		return fmt.Sprintf("Set-Cookie is %q", set)
	}
	for _, want := range []string{"Path=/p", "Domain=example.com", "Max-Age=60", "HttpOnly", "Secure", "SameSite=Strict"} {
		if !strings.Contains(set[0], want) {
			return fmt.Sprintf("Set-Cookie is %q, which lacks %s", set[0], want)
		}
	}
	return ""
}

// TestLuaAfterNext changes the answers of upstreams after next().
func TestLuaAfterNext(t *testing.T) {
	big := strings.Repeat("0123456789abcdef", 1<<16)
	runLuaCases(t, []luaCase{
		{
			name: "status and fields", pool: typed("text/plain", "X-Gone: 1", "X-Up: u", "X-Two: 1", "X-Two: 2"),
			script: `chi_middleware(function(request, response, next)
				response:header("X-Before", "b") response:header("X-Up-Replaced", "b")
				next()
				response:status(tonumber(request.path:sub(2)))
				response:header("X-Got", tostring(response:header("x-up")) .. #response:headers_all("X-Two"))
				response:remove_header("x-gone") response:header("X-Up", "changed") response:add_header("X-Two", "3")
			end)`,
			talk: []said{
				say("GET /201", 201, "the body", answerValues("X-Up", "changed"), answerValues("X-Two", "1", "2", "3"), answerWithout("X-Gone"), answerLine("X-Got: u2", "X-Before: b")),
				say("GET /404", 404, "the body"), say("GET /503", 503, "the body"),
				say("GET /204", 204, "", answerWithout("Content-Length", "Transfer-Encoding")), say("GET /304", 304, ""),
				say("HEAD /201", 201, "", answerLine("Content-Length: 8")), say("HEAD /204", 204, ""), say("GET /200", 200, "the body"),
			},
		},
		{
			name: "status of an answer without a body", pool: func(r *request) reply {
				return reply{parts: []string{"HTTP/1.1 " + r.target[1:4] + " X\r\nX-Answer-To: " + r.target + "\r\n\r\n"}}
			},
			script: `chi_middleware(function(request, response, next) next() response:status(200) end)`,
			talk: []said{
				say("GET /204", 200, "", answerLine("Content-Length: 0")), say("GET /304", 200, "", answerLine("Content-Length: 0")), say("HEAD /204", 200, ""),
			},
		},
		{
			name: "fields set before next replace or join the upstream's", pool: typed("text/plain", "X-Dup: upstream", "X-Add: upstream", "Set-Cookie: u=1"),
			script: `chi_middleware(function(request, response, next)
				response:header("X-Dup", "lua") response:add_header("X-Add", "lua") response:cookie{name = "l", value = "2"}
				next()
			end)`,
			talk: []said{say("GET /", 200, "the body", answerValues("X-Dup", "lua"), answerValues("X-Add", "upstream", "lua"), func(r *response) string {
				return differs("cookies", fmt.Sprint(len(r.values("Set-Cookie"))), "2")
			})},
		},
		{
			name: "while a big body streams", pool: func(r *request) reply {
				if r.target == "/chunked" {
					return reply{parts: []string{"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", fmt.Sprintf("%x\r\n", len(big)) + big + "\r\n0\r\nX-Trailer: t\r\n\r\n"}}
				}
				if r.target == "/close" {
					return reply{parts: []string{"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n", big}, end: fin}
				}
				return reply{parts: []string{fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n", len(big)), big}}
			},
			script: `chi_middleware(function(request, response, next) next() response:status(203) response:header("X-L", "1") end)`,
			talk: []said{
				say("GET /length", 203, big, answerLine("X-L: 1"), framed("length")), say("GET /chunked", 203, big, answerLine("X-L: 1"), framed("chunked")),
				say("GET /close", 203, big, answerLine("X-L: 1")), say("GET /length", 203, big),
				say("GET /chunked HTTP/1.0", 203, big, answerLine("X-L: 1"), framed("close")),
			},
		},
		{
			name: "a streaming body made 204 and 304", pool: func(r *request) reply {
				if strings.HasPrefix(r.target, "/chunked") {
					return reply{parts: []string{"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "5\r\nhello\r\n0\r\n\r\n"}}
				}
				return reply{parts: []string{fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n", len(big)), big}}
			},
			script: `chi_middleware(function(request, response, next) next() response:status(tonumber(request.query)) end)`,
			talk: []said{
				say("GET /length?204", 204, ""), say("GET /chunked?204", 204, ""), say("GET /length?304", 304, ""), say("GET /chunked?304", 304, ""), say("GET /chunked?200", 200, "hello"),
			},
		},
		{
			name: "the body read and replaced", pool: typed("text/plain", `ETag: "v1"`, "Accept-Ranges: bytes", "Cache-Control: no-store"),
			script: `
				chi_middleware("/read", function(request, response, next) next() response:header("X-Body", response.body .. "|" .. response.body) end)
				chi_middleware("/upper", function(request, response, next) next() response:set_body(response.body:upper()) end)
				chi_middleware("/longer", function(request, response, next) next() response:set_body(("x"):rep(100000)) end)
				chi_middleware("/shorter", function(request, response, next) next() response:set_body("") end)
				chi_middleware("/write", function(request, response, next) next() response:write("appended?") end)`,
			talk: []said{
				say("GET /read", 200, "the body", answerLine("X-Body: the body|the body", `ETag: "v1"`)),
				say("GET /upper", 200, "THE BODY", answerLine("Content-Length: 8", "Content-Type: text/plain", "Cache-Control: no-store"), answerWithout("ETag")),
				say("GET /longer", 200, strings.Repeat("x", 100000), answerValues("Content-Length", "100000"), answerWithout("ETag")),
				say("GET /shorter", 200, "", answerLine("Content-Length: 0")),
				// RFC 9110 §8.6 forbids another length than the GET's.
				say("HEAD /upper", 200, ""), say("HEAD /read", 200, "", answerLine(`ETag: "v1"`), answerWithoutValue("Content-Length", "0")),
				say("GET /write", 500, "*", answerLine("X-Gateway-Error: script_error")),
				say("GET /none", 200, "the body", answerLine(`ETag: "v1"`)),
			},
		},
		{
			name: "a chunked body read and replaced", pool: func(*request) reply {
				return reply{parts: []string{"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-T\r\n\r\n", "5\r\nhello\r\n6\r\n world\r\n0\r\nX-T: t\r\n\r\n"}}
			},
			script: `
				chi_middleware("/read", function(request, response, next) next() response:header("X-Body", response.body) end)
				chi_middleware("/set", function(request, response, next) next() response:set_body("set") end)`,
			talk: []said{
				say("GET /read", 200, "hello world", answerLine("X-Body: hello world"), answerWithout("Trailer")),
				say("GET /set", 200, "set", answerWithout("Transfer-Encoding", "Trailer")), say("GET /none", 200, "hello world"),
			},
		},
		{
			name: "a gzipped body", pool: func(*request) reply {
				packed := gzipped("the plain text")
				return reply{parts: []string{fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nETag: \"g\"\r\nContent-Length: %d\r\n\r\n%s", len(packed), packed)}}
			},
			script: `
				chi_middleware("/read", function(request, response, next) next() response:header("X-Body", tostring(#response.body)) end)
				chi_middleware("/set", function(request, response, next) next() response:set_body("plain") end)
				chi_middleware("/both", function(request, response, next) next() local old = response.body response:set_body("plain") end)`,
			talk: []said{
				say("GET /read\nAccept-Encoding: gzip", 200, gzipped("the plain text"), answerLine("Content-Encoding: gzip")),
				say("GET /set\nAccept-Encoding: gzip", 200, "plain", answerWithout("Content-Encoding", "ETag")),
				say("GET /both\nAccept-Encoding: gzip", 200, "plain", answerWithout("Content-Encoding", "ETag")),
			},
		},
		{
			name: "a ranged body", pool: func(*request) reply {
				return reply{parts: []string{"HTTP/1.1 206 Partial Content\r\nContent-Range: bytes 0-3/100\r\nContent-Length: 4\r\n\r\n0123"}}
			},
			script: `
				chi_middleware("/set", function(request, response, next) next() response:status(200) response:set_body("whole") end)
				chi_middleware("/head", function(request, response, next) next() response:header("X-Range", response:header("Content-Range")) end)`,
			talk: []said{
				say("GET /set\nRange: bytes=0-3", 200, "whole", answerWithout("Content-Range")),
				say("GET /head\nRange: bytes=0-3", 206, "0123", answerLine("X-Range: bytes 0-3/100", "Content-Range: bytes 0-3/100")),
			},
		},
		{
			name: "response.body beyond lua.max_body", tenant: "lua: {max_body: 1KiB}",
			pool: func(*request) reply {
				return reply{parts: []string{fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n", len(big)), big}}
			},
			script: `
				chi_middleware("/read", function(request, response, next) next() response:header("X-Body", response.body) end)
				chi_middleware("/caught", function(request, response, next) next() if not pcall(function() return response.body end) then response:status(502) response:set_body("too big") end end)`,
			talk: []said{say("GET /read", 500, "*", answerWithout("X-Body")), say("GET /caught", 502, "too big"), say("GET /none", 200, big)},
		},
		{
			name: "a response cut in the middle, read by a script", pool: func(*request) reply {
				return reply{parts: []string{"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nonly this"}, end: fin}
			},
			script: `chi_middleware("/read", function(request, response, next) next() response:header("X-Body", response.body) end)
				chi_middleware("/caught", function(request, response, next) next() if not pcall(function() return response.body end) then response:status(503) response:set_body("cut") end end)`,
			talk: []said{say("GET /read", 502, "*", answerWithout("X-Body"), bodyLacks("only this")), say("GET /caught", 503, "cut")},
		},
		{
			name: "an upstream that is down, passively ejected meanwhile", tenant: `services: [{name: down, url: "http://127.0.0.1:1"}]`, alone: true,
			script: `
				chi_middleware("/seen", function(request, response, next) next() response:header("X-Seen", tostring(response.status_code)) end)
				chi_middleware("/replaced", function(request, response, next)
					next()
					if response.status_code >= 500 then response:status(200) response:set_body("fallback") end
				end)
				chi_middleware("/written", function(request, response, next) next() if response.status_code >= 500 then response:status(503) response:json({sorry = true}) end end)`,
			talk: []said{
				say("GET /seen", 502, "*", answerLine("X-Seen: 502"), hasGatewayError),
				say("GET /replaced", 200, "fallback", answerWithout("X-Gateway-Error")),
				say("POST /replaced\n\nhello", 200, "fallback"),
				say("GET /written", 503, `{"sorry":true}`, answerLine("Content-Type: application/json")),
			},
		},
		{
			name: "GET made HEAD with a long Content-Length", pool: func(r *request) reply {
				if r.method == "HEAD" {
					return reply{parts: []string{"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\nX-H: 1\r\n\r\n"}}
				}
				return reply{parts: []string{"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"}}
			},
			script: `chi_middleware(function(request, response, next) request:set_method(request.query) next() end)`,
			talk: []said{
				say("GET /?HEAD", 200, "", answerLine("X-H: 1")), say("HEAD /?GET", 200, ""), say("POST /?GET\n\nhello", 200, "hello"), say("GET /?POST", 200, "hello"), say("HEAD /?HEAD", 200, "", answerLine("Content-Length: 1000")),
			},
		},
		{
			name: "response.status_code and response.body by assignment", pool: typed("text/plain"),
			script: `chi_middleware(function(request, response, next) next() response.status_code = 202 response.body = "assigned" end)`,
			talk:   []said{say("GET /", 202, "assigned")},
		},
		{
			name: "a retry under a middleware",
			tenant: "services:\n" +
				"  - {name: down, url: \"http://127.0.0.1:1\"}\n" +
				"  - {name: main, url: \"http://{pool}\"}",
			alone:  true,
			script: `chi_middleware(function(request, response, next) request:set_header("X-Try", "1") next() response:header("X-Status", tostring(response.status_code)) end)`,
			talk: []said{
				say("GET /a", 200, "*", values("X-Try", "1"), answerLine("X-Status: 200")), say("GET /b", 200, "*", values("X-Try", "1")), say("GET /c", 200, "*", values("X-Try", "1")),
			},
		},
	})
}

func hasGatewayError(r *response) string {
	if len(r.values("X-Gateway-Error")) != 1 {
		return fmt.Sprintf("X-Gateway-Error is %q, want one", r.values("X-Gateway-Error"))
	}
	return ""
}

// typed replies "the body" with a Content-Type and further lines.
func typed(contentType string, lines ...string) func(*request) reply {
	return func(r *request) reply {
		head := lined("HTTP/1.1 200 OK", append([]string{"Content-Type: " + contentType, "Content-Length: 8"}, lines...)...)
		if r.method == "HEAD" {
			return reply{parts: []string{head}}
		}
		return reply{parts: []string{head + "the body"}}
	}
}

func gzipped(text string) string {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	_, _ = w.Write([]byte(text))
	_ = w.Close()
	return b.String()
}
