package test

import (
	"fmt"
	"strings"
	"testing"
)

// TestExpectAtOnce sends expectations together with the body, which a client
// may do (RFC 9110 §10.1.1). An interim 100 may or may not come then.
func TestExpectAtOnce(t *testing.T) {
	t.Parallel()
	over := fmt.Sprintf("Content-Length: %d", bodyLimit+1)
	runClientCases(t, []clientCase{
		ok("100-continue", post("Expect: 100-continue", "Content-Length: 5")+"hello", body("hello"), without("Expect")),
		ok("100-continue in mixed case", post("Expect: 100-Continue", "Content-Length: 5")+"hello", body("hello"), without("Expect")),
		ok("100-continue with chunks", post("Expect: 100-continue", chunked)+hello, body("hello"), without("Expect")),
		okOrBad("100-continue without a body", get("/p", "Expect: 100-continue"), without("Expect")),
		okOrBad("100-continue with an empty body", post("Expect: 100-continue", "Content-Length: 0"), without("Expect")),
		ok("100-continue hides no body", post("Expect: 100-continue", "Content-Length: {len}")+"{canary}"),
		{name: "100-continue pipelined", send: post("Expect: 100-continue", "Content-Length: 5") + "hello" + get("/2"), want: "200 200", alive: true},
		{name: "100-continue in HTTP/1.0 is ignored", want: "200", closed: true,
			send: lined("POST /p HTTP/1.0", "Host: {host}", "Expect: 100-continue", "Content-Length: 5") + "hello",
			down: []func(*response) string{noInterim}},
		{name: "100-continue for an unknown host", want: "404", down: []func(*response) string{noInterim},
			send: lined("POST /p HTTP/1.1", "Host: nobody.example", "Expect: 100-continue", "Content-Length: {len}") + "{canary}"},
		{name: "another expectation", send: get("/p", "Expect: 200-ok"), want: "417"},
		{name: "another expectation with a body", send: post("Expect: x", "Content-Length: {len}") + "{canary}", want: "417"},
		{name: "two expectations", send: post("Expect: 100-continue, x", "Content-Length: {len}") + "{canary}", want: "417|400"},
		{name: "two Expect fields", send: post("Expect: x", "Expect: 100-continue", "Content-Length: {len}") + "{canary}", want: "417|400"},
		{name: "an obfuscated expectation", send: post("Expect: y 100-continue", "Content-Length: {len}") + "{canary}", want: "417|400"},
		{name: "an expectation with a parameter", send: post("Expect: 100-continue;q=1", "Content-Length: {len}") + "{canary}", want: "417|400|200"},
		{name: "an empty expectation", send: post("Expect:", "Content-Length: {len}") + "{canary}", want: "200", alive: true,
			up: []func(request) string{without("Expect")}},
		{name: "100-continue in a list", send: post("Expect: , 100-continue", "Content-Length: {len}") + "{canary}", want: "200", alive: true,
			up: []func(request) string{without("Expect")}},
		{name: "over the limit", send: post("Expect: 100-continue", over), want: "413", closed: true, down: []func(*response) string{noInterim}},
		{name: "bad framing", send: post("Expect: 100-continue", "Content-Length: 5", chunked), want: "400", closed: true,
			down: []func(*response) string{noInterim}},
	})
}

func noInterim(r *response) string { return differs("interim answers", fmt.Sprint(r.interim), "[]") }

// TestContinue plays the ordered exchange of RFC 9110 §10.1.1: head, 100, body,
// answer.
func TestContinue(t *testing.T) {
	t.Parallel()
	f := startFlow(t, "", nil)
	for name, framing := range map[string][2]string{
		"length": {"Content-Length: 5", "hello"},
		"chunks": {chunked, hello},
	} {
		t.Run(name, func(t *testing.T) {
			client := dial(t, f.gateway.address)
			client.send(t, f.expand(lined("POST /"+name+" HTTP/1.1", "Host: {host}", "Expect: 100-continue", framing[0])))
			if text, err := readLine(client.reader); err != nil || !strings.HasPrefix(text, "HTTP/1.1 100") {
				t.Fatalf("want an interim 100, got %q, %v", text, err)
			}
			if _, err := readFields(client.reader); err != nil {
				t.Fatal(err)
			}
			client.send(t, framing[1])
			if answer := client.answer(t, "POST"); answer.status != 200 || len(answer.interim) != 0 {
				t.Errorf("want 200 after one 100, got %d after more of them: %v", answer.status, answer.interim)
			}
			probe(t, client, f.mock.host(), "/again-"+name)
			found := f.mock.filtered(func(r *request) bool { return r.target == "/"+name })
			if len(found) != 1 || string(found[0].body) != "hello" || found[0].values("Expect") != nil {
				t.Errorf("the upstream saw %+v, want one request with the body hello and no Expect", found)
			}
		})
	}
}

// TestClientGone checks that an exchange whose client has left ends at the
// upstream too, within two seconds, and is never completed there.
func TestClientGone(t *testing.T) {
	t.Parallel()
	hangs := func(r *request) reply {
		if r.probing() {
			return answerOK(r)
		}
		if strings.HasPrefix(r.target, "/midbody") {
			return reply{parts: []string{"HTTP/1.1 200 OK\r\nContent-Length: 200000\r\n\r\nhello"}, end: hang}
		}
		return reply{end: hang}
	}
	for name, c := range map[string]struct {
		send  string
		leave func(*client)
		reads bool
	}{
		"reset while waiting":         {get("/wait"), func(c *client) { c.reset() }, false},
		"closed while waiting":        {get("/wait"), func(c *client) { _ = c.Close() }, false},
		"reset in the answer's body":  {get("/midbody"), func(c *client) { c.reset() }, true},
		"closed in the answer's body": {get("/midbody"), func(c *client) { _ = c.Close() }, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := startFlow(t, "", hangs)
			client := dial(t, f.gateway.address)
			client.send(t, f.expand(c.send))
			eventually(t, patience, "the request reached the upstream", func() bool { return len(f.mock.seen()) > 0 })
			if c.reads {
				if _, err := readHead(client.reader); err != nil {
					t.Fatalf("no answer's head: %v", err)
				}
			}
			c.leave(client)
			eventually(t, patience, "the gateway closed the upstream connection", func() bool { return f.mock.letGo() == 1 })
			if seen := f.mock.seen(); len(seen) != 1 {
				t.Errorf("the upstream saw %q, want one request only", starts(seen))
			}
			probe(t, dial(t, f.gateway.address), f.mock.host(), "/after-gone")
		})
	}
}

// TestUploadGone checks that a cut upload is never completed upstream.
func TestUploadGone(t *testing.T) {
	t.Parallel()
	f := startFlow(t, "", nil)
	big := strings.Repeat("x", 200_000)
	for name, send := range map[string]string{
		"length":       post("Content-Length: 250000") + big,
		"chunk":        post(chunked) + "3d090\r\n" + big,
		"whole chunks": post(chunked) + "30d40\r\n" + big + "\r\n",
		"small body":   post("Content-Length: 10") + "hello",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			client := dial(t, f.gateway.address)
			client.send(t, f.expand(send))
			client.reset()
			probe(t, dial(t, f.gateway.address), f.mock.host(), "/after-gone")
		})
	}
	t.Cleanup(func() {
		if whole := f.mock.completed(); len(whole) > 0 {
			t.Errorf("cut uploads were passed on as whole: %q", starts(whole))
		}
	})
}

// flow is one gateway with one tenant, for exchanges that a table can't hold.
type flow struct {
	gateway *gateway
	mock    *mock
}

// startFlow starts a gateway whose configuration begins with settings, before
// the one tenant, whose upstream follows script.
func startFlow(t *testing.T, settings string, script func(*request) reply, tenantLines ...string) *flow {
	t.Helper()
	m := startMock(t, "flow", script)
	config := strings.Builder{}
	fmt.Fprintf(&config, "%s\nrequest_limits:\n  max_body_size: %d\ntenants:\n", settings, bodyLimit)
	tenantConfig(&config, "flow", "domains: ["+m.host()+"]", m, tenantLines...)
	return &flow{gateway: startGateway(t, config.String()), mock: m}
}

// expand puts the tenant's host in the place of {host}.
func (f *flow) expand(text string) string { return strings.ReplaceAll(text, "{host}", f.mock.host()) }
