package test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// TestLuaRequestBody reads and replaces the request's body.
func TestLuaRequestBody(t *testing.T) {
	const kib = 1024
	big := strings.Repeat("0123456789abcdef", 64*kib/16)
	chunked := "\nTransfer-Encoding: chunked\n\n"
	runLuaCases(t, []luaCase{
		{
			name: "it is forwarded after it has been read",
			script: `chi_middleware(function(request, response, next)
				local first, second = request.body, request.body
				response:header("X-Length", tostring(#first) .. tostring(first == second))
				next()
				response:header("X-After", tostring(request.body == first))
			end)`,
			talk: []said{
				say("POST /a\n\nhello", 200, relayed("POST", "/a"), body("hello"), answerLine("X-Length: 5true", "X-After: true")),
				say("POST /b\n\n"+big, 200, relayed("POST", "/b"), body(big), answerLine("X-Length: 65536true", "X-After: true")),
				say("POST /c"+chunked+"5\r\nhello\r\n6;x=y\r\n world\r\n0\r\n\r\n", 200, relayed("POST", "/c"), body("hello world"), answerLine("X-Length: 11true")),
				say("POST /d"+chunked+"0\r\n\r\n", 200, relayed("POST", "/d"), body(""), answerLine("X-Length: 0true")),
				say("POST /e\nContent-Length: 0", 200, relayed("POST", "/e"), body(""), answerLine("X-Length: 0true")),
				say("GET /f", 200, relayed("GET", "/f"), body(""), without("Content-Length", "Transfer-Encoding"), answerLine("X-Length: 0true")),
			},
		},
		{
			name: "binary bodies come through",
			script: `chi.post("/echo", function(request, response)
				response:header("Content-Type", "application/octet-stream") response:write(request.body)
			end)`,
			talk: []said{say("POST /echo\n\n\x00\xff\r\n\r\n0\r\n\x01", 200, "\x00\xff\r\n\r\n0\r\n\x01")},
		},
		{
			name: "413 beyond lua.max_body", tenant: "lua: {max_body: 100}",
			script: `
				chi_middleware("/read", function(request, response, next) response:header("X-Length", tostring(#request.body)) next() end)
				chi_middleware("/caught", function(request, response, next)
					local ok = pcall(function() return request.body end)
					response:status(400) response:write("caught ", tostring(ok))
				end)`,
			talk: []said{
				say("POST /read/a\n\n"+big[:100], 200, "*", body(big[:100])),
				say("POST /read/b\n\n"+big[:101], 413, "*", unsent{}),
				say("POST /read/c"+chunked+"64\r\n"+big[:100]+"\r\n0\r\n\r\n", 200, "*", body(big[:100])),
				say("POST /read/d"+chunked+"65\r\n"+big[:101]+"\r\n0\r\n\r\n", 413, "*", unsent{}),
				say("POST /unread\n\n"+big, 200, relayed("POST", "/unread"), body(big)),
				say("POST /caught\n\n"+big[:101], 400, "caught false", unsent{}),
				say("POST /caught"+chunked+"65\r\n"+big[:101]+"\r\n0\r\n\r\n", 400, "caught false", unsent{}),
				say("GET /after", 200, relayed("GET", "/after")),
				say("POST /read/e\nExpect: 100-continue\nContent-Length: 101\n\n", 413, "*", unsent{}, noInterim),
				say("POST /caught\nExpect: 100-continue\nContent-Length: 101\n\n", 400, "caught false", unsent{}, noInterim),
			},
		},
		{
			name: "413 beyond request_limits.max_body_size", tenant: "lua: {max_body: 1MiB}\nrequest_limits: {max_body_size: 50}",
			script: `chi_middleware("/read", function(request, response, next) response:header("X-Length", tostring(#request.body)) next() end)`,
			talk: []said{
				say("POST /read/a\n\n"+big[:50], 200, "*", body(big[:50])),
				say("POST /read/b\n\n"+big[:51], 413, "*", unsent{}),
				say("POST /read/c"+chunked+"32\r\n"+big[:50]+"\r\n0\r\n\r\n", 200, "*", body(big[:50])),
				say("POST /read/d"+chunked+"33\r\n"+big[:51]+"\r\n0\r\n\r\n", 413, "*", unsent{}),
				say("POST /read/e\nExpect: 100-continue\nContent-Length: 51\n\n", 413, "*", unsent{}, noInterim),
			},
		},
		{
			name:   "the default of lua.max_body is 1 MiB",
			script: `chi_middleware(function(request, response, next) response:header("X-Length", tostring(#request.body)) next() end)`,
			talk: []said{
				say("POST /a\n\n"+strings.Repeat("x", 1<<20), 200, "*", answerLine("X-Length: 1048576")),
				say("POST /b\n\n"+strings.Repeat("x", 1<<20+1), 413, "*", unsent{}),
			},
		},
		{
			name: "set_body frames the body anew",
			script: `
				chi_middleware("/replace", function(request, response, next) request:set_body("replaced") next() end)
				chi_middleware("/twice", function(request, response, next) request:set_body("one") request:set_body(request.body .. " two") next() end)
				chi_middleware("/append", function(request, response, next) request:set_body(request.body .. "+") next() end)
				chi_middleware("/empty", function(request, response, next) request:set_body("") next() end)`,
			talk: []said{
				say("POST /replace/a\n\nhello", 200, "*", body("replaced"), values("Content-Length", "8"), without("Transfer-Encoding")),
				say("POST /replace/b"+chunked+"5\r\nhello\r\n0\r\n\r\n", 200, "*", body("replaced"), values("Content-Length", "8"), without("Transfer-Encoding")),
				say("POST /replace/c\nContent-Length: 0", 200, "*", body("replaced"), values("Content-Length", "8")),
				say("PUT /replace/d", 200, "*", body("replaced"), values("Content-Length", "8")),
				say("POST /replace/e\n\n"+big, 200, "*", body("replaced")),
				say("POST /twice\n\nhello", 200, "*", body("one two")),
				say("POST /append\n\n"+big, 200, "*", body(big+"+")),
				say("POST /empty/a\n\nhello", 200, "*", body(""), values("Content-Length", "0")),
				say("POST /empty/b"+chunked+"5\r\nhello\r\n0\r\n\r\n", 200, "*", body(""), without("Transfer-Encoding")),
				say("POST /none\n\nhello", 200, "*", body("hello")),
			},
		},
		{
			name:   "an unread body behind an answer from Lua",
			script: `chi.post("/x", function(request, response) response:status(201) response:write("no need") end)`,
			talk: []said{
				say("POST /x\n\nGET /smuggled HTTP/1.1\r\nHost: {host}\r\n\r\n", 201, "no need", unsent{}),
				say("POST /x"+chunked+"5\r\nhello\r\n0\r\n\r\n", 201, "no need"),
				say("POST /x\n\n"+big, 201, "no need"),
				say("GET /y", 200, relayed("GET", "/y")),
			},
		},
		{
			name: "100 Continue is sent when the body is read",
			script: `
				chi_middleware("/read", function(request, response, next) response:header("X-Body", request.body) next() end)
				chi_middleware("/deny", function(request, response, next) response:status(403) response:write("no") end)`,
			talk: []said{
				say("POST /read\nExpect: 100-continue\n\nhello", 200, "*", body("hello"), answerLine("X-Body: hello"), interim(100)),
				say("POST /deny\nExpect: 100-continue\nConnection: close\n\nhello", 403, "no", unsent{}, interim()),
			},
		},
		{
			name: "a body that was read is sent again on a retry",
			tenant: "services:\n" +
				"  - {name: down, url: \"http://127.0.0.1:1\"}\n" +
				"  - {name: main, url: \"http://{pool}\"}",
			alone:  true,
			script: `chi_middleware(function(request, response, next) response:header("X-Body", request.body) next() end)`,
			talk: []said{
				say("POST /a\n\nhello", 200, "*", body("hello")), say("POST /b\n\nhello", 200, "*", body("hello")), say("POST /c\n\nhello", 200, "*", body("hello")),
			},
		},
		{
			name:   "a malformed chunked body read by a script",
			script: `chi_middleware(function(request, response, next) response:header("X-Length", tostring(#request.body)) next() end)`,
			talk:   []said{say("POST /a"+chunked+"zz\r\nhello\r\n0\r\n\r\n", 400, "*", unsent{})},
		},
		{
			name: "json of the request", alone: true,
			script: `chi.post("/", function(request, response)
				local value, err = request:json()
				response:write(value and value.a[2] or "nil", " ", tostring(err ~= nil))
			end)`,
			talk: []said{say("POST /\nContent-Type: application/json\n\n{\"a\":[1,\"two\"]}", 200, "two false"), say("POST /\n\n{", 200, "nil true")},
		},
	})
}

// interim demands the interim answers before the answer.
func interim(want ...int) func(*response) string {
	return func(r *response) string {
		if slices.Equal(r.interim, want) {
			return ""
		}
		return fmt.Sprintf("interim answers are %v, want %v", r.interim, want)
	}
}
