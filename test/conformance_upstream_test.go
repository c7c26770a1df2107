package test

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// evil is an answer that no client may ever see: what a hostile or broken
// upstream puts behind, inside or instead of an answer.
const evil = "HTTP/1.1 200 OK\r\nX-Evil: EVIL\r\nContent-Length: 4\r\n\r\nEVIL"

// upstreamCase is what an upstream answers and what may come of it. In raw,
// {evil} stands for evil.
//
// Whatever the case says, these hold: the client sees well-formed bytes or a
// cut, and never a byte of evil; a request whose answer has begun isn't sent
// again; the connection isn't used again unless the case allows it; and later
// clients get their own answers.
type upstreamCase struct {
	name string
	// request is GET /u when empty.
	request string
	// raw is written at once; more follows, each in a write of its own.
	raw  string
	more []string
	end  ending
	// early answers before the request's body was read.
	early bool
	// want lists the allowed outcomes as outcome words them.
	want string
	// reusable allows that the upstream connection is used again.
	reusable bool
	// attempts is how often the upstream may see the request; 1 when 0.
	attempts int
	// down checks the answer when it has the first status of want.
	down []func(*response) string
}

// outcome words what a client got: the status of a whole answer, "cut" for a
// part of one, "none" when the connection ended before it.
func outcome(answer *response, err error) string {
	var violation malformed
	switch {
	case errors.As(err, &violation):
		return violation.Error()
	case answer == nil:
		return "none"
	case err != nil:
		return "cut"
	}
	return strconv.Itoa(answer.status)
}

// broken is an answer that must not be passed on.
func broken(name, raw string) upstreamCase { return upstreamCase{name: name, raw: raw, want: "502"} }

// brokenBody is an answer whose body turns out to be bad, when its head may have
// been passed on already.
func brokenBody(name, raw string) upstreamCase {
	return upstreamCase{name: name, raw: raw, want: "cut|502"}
}

// fine is a good answer.
func fine(name, raw string, down ...func(*response) string) upstreamCase {
	return upstreamCase{name: name, raw: raw, want: "200", reusable: true, down: down}
}

// runUpstreamCases gives each case a tenant and an upstream of its own behind
// one gateway, and runs them in parallel.
func runUpstreamCases(t *testing.T, cases []upstreamCase) {
	t.Helper()
	g, mocks := serveUpstreamCases(t, &gateway{}, cases)
	for i, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			c.run(t, g, mocks[i])
		})
	}
}

// serveUpstreamCases starts a gateway that has a tenant for each case, and their upstreams.
func serveUpstreamCases(t *testing.T, g *gateway, cases []upstreamCase) (*gateway, []*mock) {
	t.Helper()
	config := strings.Builder{}
	fmt.Fprintf(&config, "request_limits:\n  max_body_size: %d\ntenants:\n", bodyLimit)
	mocks := make([]*mock, len(cases))
	for i, c := range cases {
		name := fmt.Sprintf("u%03d", i)
		mocks[i] = startMock(t, name, c.script)
		tenantConfig(&config, name, "domains: ["+mocks[i].host()+"]", mocks[i])
	}
	return g.start(t, config.String()), mocks
}

func (c *upstreamCase) script(r *request) reply {
	if r.probing() {
		return answerOK(r)
	}
	parts := []string{strings.ReplaceAll(c.raw, "{evil}", evil)}
	for _, part := range c.more {
		parts = append(parts, strings.ReplaceAll(part, "{evil}", evil))
	}
	return reply{parts: parts, end: c.end, early: c.early}
}

func (c *upstreamCase) run(t *testing.T, g *gateway, m *mock) {
	host, text := m.host(), c.text()
	client := dial(t, g.address)
	seen := &bytes.Buffer{}
	client.reader = bufio.NewReader(io.TeeReader(client.Conn, seen))
	client.write([]string{strings.ReplaceAll(text, "{host}", host)}, false)
	method, _, _ := strings.Cut(text, " ")
	answer, err := readResponse(client.reader, method)
	c.judge(t, answer, outcome(answer, err), err)
	if err == nil && answer.status != 101 && !answer.closes() && strings.Contains(text, "HTTP/1.1") {
		probe(t, client, host, "/again-"+host)
	} else {
		client.expectEnd(t)
	}
	client.close()
	for i := range 2 {
		probe(t, dial(t, g.address), host, fmt.Sprintf("/after-%d-%s", i, host))
	}
	if bytes.Contains(seen.Bytes(), []byte("EVIL")) {
		t.Errorf("the client saw what it must not: %.600q", seen)
	}
	c.checkUpstream(t, m)
	if t.Failed() {
		t.Logf("the upstream answered %.1000q to %.200q", c.raw+strings.Join(c.more, ""), text)
	}
}

// text is the request.
func (c *upstreamCase) text() string {
	if c.request == "" {
		return get("/u")
	}
	return c.request
}

// judge compares the outcome with what the case wants.
func (c *upstreamCase) judge(t *testing.T, answer *response, got string, err error) {
	t.Helper()
	wants := strings.Split(c.want, "|")
	if !slices.Contains(wants, got) {
		detail := ""
		if answer != nil {
			detail = fmt.Sprintf(": %q with fields %q and body %.300q", answer.start, answer.fields, answer.body)
		}
		t.Fatalf("want %s, got %s%s (%v)", c.want, got, detail, err)
	}
	if got == "cut" || got == "none" {
		return
	}
	if !answer.has("X-Request-Id") {
		t.Errorf("answer %s has no X-Request-Id", got)
	}
	if got == "502" && !answer.has("X-Gateway-Error") {
		t.Error("the gateway's own 502 has no X-Gateway-Error")
	}
	if got != wants[0] {
		return
	}
	for _, check := range c.down {
		if wrong := check(answer); wrong != "" {
			t.Errorf("answer %s: %s", got, wrong)
		}
	}
}

// checkUpstream checks how often the upstream saw the request and whether a
// connection that must not be used again was.
func (c *upstreamCase) checkUpstream(t *testing.T, m *mock) {
	t.Helper()
	for _, fault := range m.violations() {
		t.Errorf("the upstream got malformed bytes: %s", fault)
	}
	requests := m.seen()
	if len(requests) < 1 || len(requests) > max(1, c.attempts) {
		t.Errorf("the upstream saw the request %d times, want at least 1 and at most %d", len(requests), max(1, c.attempts))
	}
	if c.reusable {
		return
	}
	for _, r := range requests {
		again := m.filtered(func(p *request) bool { return p.probing() && p.conn == r.conn })
		if len(again) > 0 {
			t.Errorf("connection %d was used again, for %q", r.conn, again[0].start)
		}
	}
}

// has tells whether a field of that name is there and not empty.
func (m *message) has(name string) bool { return strings.Join(m.values(name), "") != "" }

// answer joins a status line, header lines and a body to an upstream's answer.
func answer(start, body string, lines ...string) string {
	return lined("HTTP/1.1 "+start, lines...) + body
}
