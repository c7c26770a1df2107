package test

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// victimHost belongs to a tenant that no case may reach.
const victimHost = "victim.example"

// The limits of the gateway that the tables run against, in bytes.
const (
	bodyLimit   = 256 << 10
	headerLimit = 16 << 10
	urlLimit    = 4 << 10
)

// clientCase is what one client sends and what may come of it. In send and
// pieces, {host} stands for the case's own host ({HOST} in capitals), {canary} for a whole request
// whose arrival at an upstream proves smuggling, {len} and {hex} for its length
// and {victim} for the host of another tenant.
//
// Whatever the case says, these hold: each answer is well-formed; each error of
// the gateway's own has an X-Gateway-Error; after a 400 the connection closes,
// otherwise it stays in step as long as no answer announced its end; upstreams
// see as many whole requests as answers came from them, in strict syntax; and a
// fresh client of the same tenant gets its own answer afterwards.
type clientCase struct {
	name string
	send string
	// pieces follow send, each in a write of its own.
	pieces []string
	// bytewise sends each byte in a write of its own.
	bytewise bool
	// want lists the allowed statuses of each answer, "200 400|501"; "-" allows
	// that the connection closes without one.
	want string
	// methods of the requests that are answered, when not all GET or POST.
	methods string
	// closed demands the end of the connection after the last answer.
	closed bool
	// alive demands that it doesn't end.
	alive bool
	// halfClose ends the client's sending side after the last byte.
	halfClose bool
	// partial allows that a part of a request reaches the upstream and is cut.
	partial bool
	// canary allows that canaries reach the upstream as the requests they are.
	canary bool
	// up checks each whole request that reached the upstream, down each answer;
	// they return what is wrong.
	up   []func(request) string
	down []func(*response) string
}

// ok is a request that must be answered by the upstream on a connection that
// lives on.
func ok(name, send string, up ...func(request) string) clientCase {
	return clientCase{name: name, send: send, want: "200", alive: true, up: up}
}

// okOrBad is a request that RFC 9112 lets a server refuse or repair.
func okOrBad(name, send string, up ...func(request) string) clientCase {
	return clientCase{name: name, send: send, want: "200|400", up: up}
}

// bad is a request that must be refused with 400 before anything of it, or of
// the canary behind it, reaches an upstream.
func bad(name, send string) clientCase { return refused("400", name, send) }

// refused is like bad, with other statuses.
func refused(want, name, send string) clientCase {
	if !strings.Contains(send, "{canary}") {
		send += "{canary}"
	}
	return clientCase{name: name, send: send, want: want, closed: true}
}

// badBody is like bad for a request whose body goes wrong, of which the
// upstream may have seen the beginning.
func badBody(name, send string) clientCase {
	c := bad(name, send)
	c.partial = true
	return c
}

// get is a GET request for path with the case's Host and further header lines.
func get(path string, lines ...string) string {
	return lined("GET "+path+" HTTP/1.1", append([]string{"Host: {host}"}, lines...)...)
}

// post is the head of a POST request.
func post(lines ...string) string {
	return lined("POST /p HTTP/1.1", append([]string{"Host: {host}"}, lines...)...)
}

// lined joins a start line and header lines to a head.
func lined(start string, lines ...string) string {
	return strings.Join(append([]string{start}, lines...), "\r\n") + "\r\n\r\n"
}

// runClientCases gives each case a tenant and an upstream of its own behind one
// gateway, and runs them in parallel.
func runClientCases(t *testing.T, cases []clientCase) {
	t.Helper()
	g, mocks := serveCases(t, &gateway{}, cases)
	for i, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			c.run(t, g, mocks[i])
		})
	}
}

// serveCases starts a gateway that has a tenant for each case, and their upstreams.
func serveCases(t *testing.T, g *gateway, cases []clientCase) (*gateway, []*mock) {
	t.Helper()
	stray := startMock(t, "stray", nil)
	config := strings.Builder{}
	fmt.Fprintf(&config, "request_limits:\n  max_body_size: %d\n  max_header_size: %d\n  max_url_size: %d\ntenants:\n",
		bodyLimit, headerLimit, urlLimit)
	tenantConfig(&config, "victim", "domains: ["+victimHost+"]", stray)
	tenantConfig(&config, "canary", "path_prefix: /canary", stray)
	mocks := make([]*mock, len(cases))
	for i := range cases {
		name := fmt.Sprintf("c%03d", i)
		mocks[i] = startMock(t, name, nil)
		tenantConfig(&config, name, "domains: ["+mocks[i].host()+"]", mocks[i])
	}
	g.start(t, config.String())
	t.Cleanup(func() {
		for _, r := range stray.seen() {
			t.Errorf("another tenant's upstream saw %q with fields %q", r.start, r.fields)
		}
	})
	return g, mocks
}

// host is the host of the tenant that the mock serves in the tables.
func (m *mock) host() string { return m.name + ".example" }

// tenantConfig appends a tenant with one service, and further lines of its
// section.
func tenantConfig(config *strings.Builder, name, match string, m *mock, lines ...string) {
	fmt.Fprintf(config, "  - name: %s\n    %s\n", name, match)
	for _, line := range lines {
		fmt.Fprintf(config, "    %s\n", line)
	}
	fmt.Fprintf(config, "    services:\n      - name: main\n        url: http://%s\n", m.address)
}

func (c *clientCase) run(t *testing.T, g *gateway, m *mock) {
	host := m.host()
	canary := "GET /canary-" + host + " HTTP/1.1\r\nHost: " + host + "\r\n\r\n"
	expand := strings.NewReplacer("{host}", host, "{HOST}", strings.ToUpper(host), "{canary}", canary, "{victim}", victimHost,
		"{len}", strconv.Itoa(len(canary)), "{hex}", strconv.FormatInt(int64(len(canary)), 16))
	client := dial(t, g.address)
	client.write(c.writes(expand), c.halfClose)
	answers := c.readAnswers(t, client)
	c.checkConnection(t, client, host, answers)
	client.close()
	probe(t, dial(t, g.address), host, "/after-"+host)
	c.checkUpstream(t, m, answers)
	if t.Failed() {
		t.Logf("sent: %.1500q", expand.Replace(c.send)+strings.Join(c.pieces, ""))
	}
}

// writes returns the bytes to send, cut into writes.
func (c *clientCase) writes(expand *strings.Replacer) (writes []string) {
	for _, piece := range append([]string{c.send}, c.pieces...) {
		writes = append(writes, expand.Replace(piece))
	}
	if c.bytewise {
		return strings.Split(strings.Join(writes, ""), "")
	}
	return writes
}

// readAnswers reads the answers that want lists and checks each.
func (c *clientCase) readAnswers(t *testing.T, client *client) (answers []*response) {
	t.Helper()
	methods := strings.Fields(c.methods)
	for i, want := range strings.Fields(c.want) {
		method := "GET"
		if i < len(methods) {
			method = methods[i]
		}
		allowed := strings.Split(want, "|")
		answer, err := readResponse(client.reader, method)
		var violation malformed
		if errors.As(err, &violation) {
			t.Fatalf("answer %d: %v", i+1, violation)
		}
		if answer == nil {
			if !slices.Contains(allowed, "-") || errors.Is(err, os.ErrDeadlineExceeded) {
				t.Fatalf("answer %d: want %s, got none: %v", i+1, want, err)
			}
			return answers
		}
		if err != nil {
			t.Fatalf("answer %d: %d is incomplete: %v", i+1, answer.status, err)
		}
		answers = append(answers, answer)
		if !slices.Contains(allowed, strconv.Itoa(answer.status)) {
			t.Fatalf("answer %d: want %s, got %d with body %.300q", i+1, want, answer.status, answer.body)
		}
		c.checkAnswer(t, answer)
	}
	return answers
}

// checkAnswer checks what holds for every answer, and the case's own checks.
func (c *clientCase) checkAnswer(t *testing.T, answer *response) {
	t.Helper()
	if len(answer.values("X-Request-Id")) != 1 {
		t.Errorf("answer %d has the X-Request-Id fields %q, want one", answer.status, answer.values("X-Request-Id"))
	}
	if answer.fromUpstream() {
		for _, name := range []string{"Server", "Date", "Content-Type", "X-Gateway-Error"} {
			if values := answer.values(name); values != nil {
				t.Errorf("the gateway added %s: %q to the upstream's answer", name, values)
			}
		}
	} else if answer.status >= 400 && strings.Join(answer.values("X-Gateway-Error"), "") == "" {
		t.Errorf("the gateway's own %d has no X-Gateway-Error", answer.status)
	}
	for _, check := range c.down {
		if wrong := check(answer); wrong != "" {
			t.Errorf("answer %d: %s", answer.status, wrong)
		}
	}
}

// checkConnection checks whether the connection ended or lives on in step.
func (c *clientCase) checkConnection(t *testing.T, client *client, host string, answers []*response) {
	t.Helper()
	if c.halfClose {
		return
	}
	closes := c.closed || len(answers) == 0
	if len(answers) > 0 {
		last := answers[len(answers)-1]
		closes = closes || last.status == 400 || last.closes()
	}
	if closes && c.alive {
		t.Error("the connection ends, want it kept alive")
	}
	if closes {
		client.expectEnd(t)
		return
	}
	probe(t, client, host, "/again-"+host)
}

// checkUpstream checks what reached the upstream.
func (c *clientCase) checkUpstream(t *testing.T, m *mock, answers []*response) {
	t.Helper()
	for _, fault := range m.violations() {
		t.Errorf("the upstream got malformed bytes: %s", fault)
	}
	if smuggled := m.smuggled(); !c.canary && len(smuggled) > 0 {
		t.Errorf("smuggled: the upstream saw %q", smuggled[0].start)
	}
	whole, proxied := m.completed(), 0
	for _, answer := range answers {
		if answer.fromUpstream() {
			proxied++
		}
	}
	if len(whole) != proxied {
		t.Errorf("%d whole requests reached the upstream for %d answers from it: %q", len(whole), proxied, starts(whole))
	}
	if seen := m.seen(); !c.partial && len(seen) != len(whole) {
		t.Errorf("a request that isn't whole reached the upstream: %q", starts(seen))
	}
	for _, r := range whole {
		for _, name := range []string{"X-Forwarded-For", "X-Forwarded-Proto", "X-Forwarded-Host", "X-Request-Id"} {
			if len(r.values(name)) != 1 {
				t.Errorf("%q reached the upstream with the %s fields %q, want one", r.start, name, r.values(name))
			}
		}
		for _, check := range c.up {
			if wrong := check(r); wrong != "" {
				t.Errorf("the upstream got %q: %s", r.start, wrong)
			}
		}
	}
}

func starts(requests []request) (lines []string) {
	for _, r := range requests {
		lines = append(lines, r.start)
	}
	return lines
}
