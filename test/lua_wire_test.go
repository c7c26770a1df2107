package test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"testing"
)

// streamScripts are scripts whose answers have no known length.
const streamScripts = `
	chi.get("/sse", function(request, response)
		response:header("Content-Type", "text/event-stream")
		for i = 1, 3 do response:write("data: ", i, "\n\n") response:flush() end
	end)
	chi.get("/status", function(request, response) response:status(203) response:flush() response:write("after") response:status(500) response:header("X-Late", "1") end)
	chi.get("/empty", function(request, response) response:flush() end)
	chi.get("/204", function(request, response) response:status(204) response:flush() response:write("x") response:flush() end)
	chi.get("/304", function(request, response) response:status(304) response:flush() response:write("x") end)
	chi.get("/error", function(request, response) response:write("begun") response:flush() error("boom") end)
	chi.get("/big", function(request, response) response:flush() for i = 1, 100 do response:write(("x"):rep(10000)) end end)
	chi.get("/set", function(request, response) response:write("a") response:flush() response:set_body("b") end)
	chi.get("/read", function(request, response) response:write("a") response:flush() response:write(tostring(pcall(function() return response.body end))) end)
	chi.post("/body", function(request, response) response:flush() response:write(request.body) end)
	chi.handle("/handle", function(request, response) response:write("x") response:flush() end)
	chi_middleware("/mw", function(request, response, next) response:write("no next") response:flush() end)
	chi_middleware("/mwnext", function(request, response, next) response:flush() response:write(tostring(pcall(next))) end)
	chi_middleware("/after", function(request, response, next) next() response:flush() end)
	chi_middleware("/wrap", function(request, response, next) next() pcall(response.header, response, "X-Late", "1") end)
	chi.get("/wrap/x", function(request, response) response:write("1") response:flush() response:write("2") end)
`

// TestLuaStreams flushes answers from Lua.
func TestLuaStreams(t *testing.T) {
	runLuaCases(t, []luaCase{
		{name: "to HTTP/1.1", script: streamScripts, talk: []said{
			say("GET /sse", 200, "data: 1\n\ndata: 2\n\ndata: 3\n\n", framed("chunked"), answerLine("Content-Type: text/event-stream")),
			say("GET /status", 203, "after", answerWithout("X-Late")), say("GET /empty", 200, ""), say("GET /204", 204, ""), say("GET /304", 304, ""),
			say("GET /big", 200, strings.Repeat("x", 1_000_000)), say("HEAD /handle", 200, ""), say("GET /handle", 200, "x"),
			say("GET /read", 200, "afalse"), say("POST /body\n\nhello", 200, "hello"), say("POST /body\nTransfer-Encoding: chunked\n\n5\r\nhello\r\n0\r\n\r\n", 200, "hello"),
			say("GET /mw", 200, "no next", unsent{}), say("GET /mwnext", 200, "false", unsent{}),
			say("GET /after", 500, "*"), say("GET /wrap/x", 200, "12", answerWithout("X-Late")),
		}},
		{name: "to HTTP/1.0", script: streamScripts, talk: []said{
			say("GET /sse HTTP/1.0", 200, "data: 1\n\ndata: 2\n\ndata: 3\n\n", framed("close")),
			say("GET /sse HTTP/1.0\nConnection: keep-alive", 200, "data: 1\n\ndata: 2\n\ndata: 3\n\n", framed("close")),
			say("GET /status HTTP/1.0", 203, "after"), say("HEAD /handle HTTP/1.0", 200, ""), say("GET /204 HTTP/1.0", 204, ""),
			say("GET /mw HTTP/1.0", 200, "no next"),
		}},
		{name: "with Connection: close", script: streamScripts, talk: []said{
			say("GET /sse\nConnection: close", 200, "data: 1\n\ndata: 2\n\ndata: 3\n\n", framed("chunked")), say("GET /mw\nConnection: close", 200, "no next"),
		}},
	})
}

// TestLuaStreamErrors cuts streams that fail after they have begun: the client
// must be able to tell.
func TestLuaStreamErrors(t *testing.T) {
	g, mocks := startLuaCases(t, []luaCase{{script: streamScripts}})
	for _, path := range []string{"/error", "/set"} {
		for _, version := range []string{"HTTP/1.1", "HTTP/1.0"} {
			client := dial(t, g.address)
			client.send(t, lined("GET "+path+" "+version, "Host: "+mocks[0].host()))
			answer, err := readResponse(client.reader, "GET")
			if version == "HTTP/1.1" && err == nil {
				t.Errorf("%s: the cut answer came whole: %+v", path, answer)
			}
			if answer == nil || answer.status != 200 {
				t.Errorf("%s: got %+v, want the beginning of a 200", path, answer)
			}
			client.expectEnd(t)
			client.close()
		}
	}
}

// TestLuaStreamsAtOnce checks that what is flushed, and what an upstream
// streams below a middleware, arrives before the answer ends.
func TestLuaStreamsAtOnce(t *testing.T) {
	gate, step := make(chan struct{}), make(chan struct{})
	g, mocks := startLuaCases(t, []luaCase{
		{script: `
			chi.get("/sse", function(request, response)
				response:header("Content-Type", "text/event-stream")
				response:write("first\n") response:flush()
				http_get("http://{pool}/gate")
				response:write("last\n")
			end)`, pool: func(r *request) reply { return reply{step: gate, parts: []string{"", okTo(r)}} }},
		{
			script: `chi_middleware(function(request, response, next) next() response:header("X-Mw", "1") end)`,
			pool: func(*request) reply {
				return reply{step: step, parts: []string{"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n6\r\nfirst\n\r\n", "5\r\nlast\n\r\n0\r\n\r\n"}}
			},
		},
	})
	for i, path := range []string{"/sse", "/up"} {
		client := dial(t, g.address)
		client.send(t, lined("GET "+path+" HTTP/1.1", "Host: "+mocks[i].host()))
		head, err := readHead(client.reader)
		if err != nil || !strings.Contains(head.start, "200") {
			t.Fatalf("%s: head %+v, %v", path, head, err)
		}
		got := make([]byte, len("6\r\nfirst\n\r\n"))
		if _, err := io.ReadFull(client.reader, got); err != nil || string(got) != "6\r\nfirst\n\r\n" {
			t.Fatalf("%s: the first event is %q, %v", path, got, err)
		}
		close([]chan struct{}{gate, step}[i])
		rest := make([]byte, len("5\r\nlast\n\r\n0\r\n\r\n"))
		if _, err := io.ReadFull(client.reader, rest); err != nil || string(rest) != "5\r\nlast\n\r\n0\r\n\r\n" {
			t.Errorf("%s: the rest is %q, %v", path, rest, err)
		}
		probe(t, client, plainHost, "/again-sse")
		client.close()
	}
}

// TestLuaPipelining sends all the requests of a conversation at once.
func TestLuaPipelining(t *testing.T) {
	g, mocks := startLuaCases(t, []luaCase{{script: streamScripts + `
		chi_middleware("/read", function(request, response, next) response:header("X-Body", request.body) next() end)
		chi_middleware("/setbody", function(request, response, next) request:set_body("other") next() response:set_body("mine") end)
		chi_middleware("/deny", function(request, response, next) response:status(403) response:write("denied") end)
		chi_middleware("/boom", function(request, response, next) error("boom") end)
		chi_middleware("/nocontent", function(request, response, next) next() response:status(204) end)
		chi_middleware("/notmod", function(request, response, next) next() response:status(304) end)
		chi_middleware("/toget", function(request, response, next) request:set_method("GET") next() end)
		chi_middleware("/tohead", function(request, response, next) request:set_method("HEAD") next() end)
		chi_middleware("/replaced", function(request, response, next) next() response:set_body(response.body:upper()) end)
	`}})
	host := mocks[0].host()
	talk := []said{
		say("GET /sse", 200, "data: 1\n\ndata: 2\n\ndata: 3\n\n"), say("POST /deny\n\nGET /evil HTTP/1.1\r\nHost: x\r\n\r\n", 403, "denied"),
		say("POST /readx/a\n\nhello", 200, relayed("POST", "/readx/a")), say("POST /setbody\n\nhello", 200, "mine"),
		say("GET /nocontent", 204, ""), say("GET /notmod", 304, ""), say("HEAD /toget", 200, ""), say("GET /tohead", 200, ""),
		say("GET /replaced", 200, "ANSWER TO GET /REPLACED"), say("POST /boom\n\nhello", 500, "*"), say("HEAD /handle", 200, ""), say("GET /204", 204, ""),
		say("GET /plain", 200, relayed("GET", "/plain")), say("GET /empty", 200, ""), say("HEAD /deny", 403, ""), say("GET /last", 200, relayed("GET", "/last")),
	}
	var all strings.Builder
	for i := range talk {
		all.WriteString(talk[i].raw(host))
	}
	for _, bytewise := range []bool{false, true} {
		client := dial(t, g.address)
		pieces := []string{all.String()}
		if bytewise {
			pieces = strings.Split(all.String(), "")
		}
		client.write(pieces, false)
		for i := range talk {
			method, _, _ := strings.Cut(talk[i].send, " ")
			answer := client.answer(t, method)
			talk[i].judge(t, strings.NewReplacer(), answer, nil)
			if answer.closes() {
				t.Fatalf("%q ends the connection", talk[i].send)
			}
		}
		probe(t, client, plainHost, "/again-pipelined")
		client.close()
	}
	if smuggled := mocks[0].filtered(func(r *request) bool { return strings.Contains(r.start, "/evil") }); len(smuggled) > 0 {
		t.Errorf("a body became the request %q", smuggled[0].start)
	}
}

// TestLuaUpgrade passes a tunnel through middleware.
func TestLuaUpgrade(t *testing.T) {
	switching := func(*request) reply {
		return reply{parts: []string{"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n"}, play: func(conn net.Conn, reader *bufio.Reader) {
			line, err := reader.ReadString('\n')
			if err == nil {
				_, _ = io.WriteString(conn, "echo "+line)
			}
		}}
	}
	g, mocks := startLuaCases(t, []luaCase{{
		pool: switching,
		script: `
			chi_middleware(function(request, response, next) request:set_header("X-In", "1") next() response:header("X-Mw", tostring(response.status_code)) end)
			chi_middleware("/deny", function(request, response, next) response:status(403) response:write("denied") end)
			chi_middleware("/hijack", function(request, response, next) next() response:status(200) response:set_body("instead") end)
			chi_middleware("/body", function(request, response, next) next() pcall(function() return response.body end) end)`,
	}})
	for _, c := range []struct {
		path   string
		status int
		body   string
	}{
		{"/ws", 101, ""}, {"/deny", 403, "denied"}, {"/hijack", 200, "instead"}, {"/body", 101, ""},
	} {
		client := dial(t, g.address)
		client.send(t, lined("GET "+c.path+" HTTP/1.1", "Host: "+mocks[0].host(), "Connection: Upgrade", "Upgrade: websocket"))
		answer := client.answer(t, "GET")
		if answer.status != c.status || string(answer.body) != c.body || strings.Join(answer.values("X-Mw"), "") != strconv.Itoa(c.status) {
			t.Errorf("%s: got %d %q with fields %q, want %d %q", c.path, answer.status, answer.body, answer.fields, c.status, c.body)
		}
		if c.status != 101 {
			if !answer.closes() {
				probe(t, client, plainHost, "/again-upgrade")
			}
			continue
		}
		client.send(t, "ping\n")
		if line, err := client.reader.ReadString('\n'); line != "echo ping\n" {
			t.Errorf("%s: the tunnel answered %q, %v", c.path, line, err)
		}
		client.close()
	}
	if got := mocks[0].completed()[0].values("X-In"); len(got) != 1 {
		t.Errorf("the upgraded request has X-In %q, want one", got)
	}
}

// TestLuaClientGone ends connections while scripts wait: nothing may hang, and
// the VM goes on.
func TestLuaClientGone(t *testing.T) {
	g, mocks := startLuaCases(t, []luaCase{
		{
			script: `chi_middleware(function(request, response, next) next() response:header("X-Mw", "1") end)`,
			pool: func(r *request) reply {
				if r.target == "/hang" {
					return reply{end: hang}
				}
				return answerOK(r)
			},
		},
		{script: `
			local time = require("keystone.time")
			chi.get("/sse", function(request, response)
				while true do response:write(("x"):rep(1000)) response:flush() time.sleep(0.005) end
			end)
			chi.get("/sleep", function(request, response) time.sleep(20) end)
			chi.post("/read", function(request, response) response:write(request.body) end)
			chi.get("/ok", function(request, response) response:write("ok") end)`},
	})
	for round := range 5 {
		for i, raw := range []string{get("/hang"), get("/sse"), post("Content-Length: 10") + "half"} {
			m := mocks[min(i, 1)]
			raw = strings.ReplaceAll(strings.Replace(raw, "POST /p", "POST /read", 1), "{host}", m.host())
			client := dial(t, g.address)
			client.send(t, raw)
			switch i {
			case 0:
				eventually(t, patience, "the upstream sees the request", func() bool { return len(m.seen()) > m.letGo() })
			case 1:
				if _, err := client.reader.ReadString('x'); err != nil {
					t.Fatal(err)
				}
			}
			if round > 0 { // a FIN only may come from a client that still reads
				client.reset()
			}
			client.close()
		}
		eventually(t, patience, "the gateway lets go of the upstream", func() bool { return len(mocks[0].seen()) == mocks[0].letGo() })
	}
	for i, path := range []string{"/x", "/ok"} {
		client := dial(t, g.address)
		client.send(t, strings.ReplaceAll(get(path), "{host}", mocks[i].host()))
		if answer := client.answer(t, "GET"); answer.status != 200 {
			t.Errorf("%s afterwards: got %d %q", path, answer.status, answer.body)
		}
		client.close()
	}
}

// TestLuaManyAtOnce has many requests wait in next() on few VMs, none of which
// may see another's values.
func TestLuaManyAtOnce(t *testing.T) {
	const many = 200
	step := make(chan struct{})
	g, mocks := startLuaCases(t, []luaCase{{
		script: `chi_middleware(function(request, response, next)
			local mine = request.path
			request:set("mine", mine) request:set_header("X-Mine", mine) response:header("X-Before", mine)
			next()
			response:header("X-Path", request.path) response:header("X-Set", request:get("mine")) response:header("X-Local", mine)
			response:set_body(response.body .. "|" .. mine)
		end)`,
		pool: func(r *request) reply { return reply{step: step, parts: []string{"", okTo(r)}} },
	}})
	clients := make([]*client, many)
	for i := range clients {
		clients[i] = dial(t, g.address)
		clients[i].send(t, strings.ReplaceAll(get(fmt.Sprintf("/%d", i)), "{host}", mocks[0].host()))
	}
	eventually(t, patience, "all requests wait at the upstream", func() bool { return len(mocks[0].seen()) == many })
	close(step)
	for i, client := range clients {
		path := fmt.Sprintf("/%d", i)
		answer := client.answer(t, "GET")
		if want := relayed("GET", path) + "|" + path; string(answer.body) != want {
			t.Errorf("got %q, want %q", answer.body, want)
		}
		for _, name := range []string{"X-Path", "X-Set", "X-Local", "X-Before"} {
			if wrong := answerValues(name, path)(answer); wrong != "" {
				t.Error(wrong)
			}
		}
	}
}
