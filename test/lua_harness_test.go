package test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// luaCase is a tenant with one script, and a conversation with it on one
// connection.
type luaCase struct {
	name string
	// script is the tenant's script; {host} is the tenant's host, {pool} the
	// address of its upstream.
	script string
	// tenant are further lines of the tenant's section, a line each.
	tenant string
	// pool replies in place of answerOK.
	pool func(*request) reply
	// alone gives the tenant no services.
	alone bool
	// talk is said in order on one connection, which must stay in step.
	talk []said
}

// said is one request and what must come of it.
type said struct {
	// send is "GET /path", then a line for each header field; an empty line
	// begins a body, for which Content-Length is added unless its framing stands
	// there.
	// What has "\r\n" in its head is sent as it stands.
	send string
	// want is the status of the answer; 0 leaves it to the checks.
	want int
	// body is that of the answer; "*" is any.
	body string
	// checks are of the answer (func(*response) string), of the one request
	// that reached the upstream (func(request) string), or unsent.
	checks []any
}

// unsent demands that no request reached the upstream.
type unsent struct{}

// say makes a said.
func say(send string, want int, body string, checks ...any) said {
	return said{send: send, want: want, body: body, checks: checks}
}

// fails demands the gateway's answer to a script that failed, and that nothing
// has reached the upstream.
func fails(send string) said {
	return say(send, 500, "*", answerLine("X-Gateway-Error: script_error"), unsent{})
}

// relayed is the body of answerOK.
func relayed(method, target string) string { return "answer to " + method + " " + target }

// plainHost is the host of a tenant without scripts, by which the suite sees
// whether a connection is still in step.
const plainHost = "plain.example"

// runLuaCases gives each case a tenant and an upstream of its own behind one
// gateway, and runs them in parallel.
func runLuaCases(t *testing.T, cases []luaCase) {
	t.Helper()
	g, mocks := startLuaCases(t, cases)
	for i := range cases {
		t.Run(cases[i].name, func(t *testing.T) {
			t.Parallel()
			cases[i].run(t, g, mocks[i])
		})
	}
}

// startLuaCases starts the gateway for cases, which it doesn't run.
func startLuaCases(t *testing.T, cases []luaCase) (*gateway, []*mock) {
	t.Helper()
	directory := t.TempDir()
	plain := startMock(t, "plain", nil)
	config := strings.Builder{}
	fmt.Fprintf(&config, "lua_routing: {enabled: true, scripts_dir: %s}\ntenants:\n", directory)
	tenantConfig(&config, "plain", "domains: ["+plainHost+"]", plain)
	mocks := make([]*mock, len(cases))
	for i := range cases {
		mocks[i] = startMock(t, fmt.Sprintf("c%03d", i), cases[i].pool)
		cases[i].configure(t, &config, directory, mocks[i])
	}
	return startGateway(t, config.String()), mocks
}

// configure writes the case's script and its tenant's section.
func (c *luaCase) configure(t *testing.T, config *strings.Builder, directory string, m *mock) {
	t.Helper()
	script := strings.NewReplacer("{host}", m.host(), "{pool}", m.address).Replace(c.script)
	if err := os.WriteFile(filepath.Join(directory, m.name+".lua"), []byte(script), 0o600); err != nil {
		t.Fatal(err)
	}
	fmt.Fprintf(config, "  - name: %s\n    domains: [%s]\n    lua_routes: [%s.lua]\n", m.name, m.host(), m.name)
	tenant := c.tenant
	if strings.Contains(c.script, "http_") && tenant == "" {
		tenant = "lua: {http: {allow: [\"{pool}\"]}}"
	}
	for line := range strings.Lines(strings.ReplaceAll(patient(tenant), "{pool}", m.address)) {
		fmt.Fprintf(config, "    %s\n", strings.TrimRight(line, "\n"))
	}
	if !c.alone {
		fmt.Fprintf(config, "    services: [{name: main, url: \"http://%s\"}]\n", m.address)
	}
}

// patientLua are settings of a tenant's section lua by which no script runs out
// of time because the machine is slow or busy.
const patientLua = "load_timeout: 1m, timeout: 20s, total_timeout: 5m"

// patient adds patientLua to the lines of a tenant's section, unless they set a
// time-out themselves.
func patient(tenant string) string {
	switch {
	case !strings.Contains(tenant, "lua: {"):
		return "lua: {" + patientLua + "}\n" + tenant
	case strings.Contains(tenant, "timeout: "):
		return tenant
	}
	tenant = strings.Replace(tenant, "lua: {", "lua: {"+patientLua+", ", 1)
	return strings.Replace(tenant, "http: {", "http: {timeout: 1m, ", 1)
}

func (c *luaCase) run(t *testing.T, g *gateway, m *mock) {
	client := dial(t, g.address)
	closed := false
	for i := range c.talk {
		s := &c.talk[i]
		if closed {
			client.expectEnd(t)
			client.close()
			client = dial(t, g.address)
		}
		before := len(m.seen())
		raw := s.raw(m.host())
		client.write([]string{raw}, false)
		answer := s.answer(t, client, raw)
		if answer == nil {
			return
		}
		s.judge(t, strings.NewReplacer("{host}", m.host(), "{tenant}", m.name), answer, m.seen()[before:])
		closed = answer.closes() || answer.status == 101
	}
	if closed {
		client.expectEnd(t)
	} else {
		probe(t, client, plainHost, "/again-"+m.name)
	}
	client.close()
	for _, fault := range m.violations() {
		t.Errorf("the upstream got malformed bytes: %s", fault)
	}
}

// raw returns the bytes of the request.
func (s *said) raw(host string) string {
	send := strings.ReplaceAll(s.send, "{host}", host)
	head, body, withBody := strings.Cut(send, "\n\n")
	if strings.Contains(head, "\r\n") {
		return send
	}
	lines := strings.Split(head, "\n")
	if !strings.HasSuffix(lines[0], " HTTP/1.0") {
		lines[0] += " HTTP/1.1"
	}
	if !strings.Contains(strings.ToLower(head), "\nhost:") {
		lines = append(lines, "Host: "+host)
	}
	if withBody && !strings.Contains(head, "\nTransfer-Encoding:") && !strings.Contains(head, "\nContent-Length:") {
		lines = append(lines, "Content-Length: "+strconv.Itoa(len(body)))
	}
	return strings.Join(lines, "\r\n") + "\r\n\r\n" + body
}

// answer reads the answer; nil when there is none, which fails the test.
func (s *said) answer(t *testing.T, client *client, raw string) *response {
	t.Helper()
	method, _, _ := strings.Cut(raw, " ")
	answer, err := readResponse(client.reader, method)
	if err != nil {
		t.Errorf("%q: no whole answer: %v (so far %+v)", s.send, err, answer)
		return nil
	}
	return answer
}

// judge checks the answer and what reached the upstream for it.
func (s *said) judge(t *testing.T, expand *strings.Replacer, answer *response, seen []request) {
	t.Helper()
	want := expand.Replace(s.body)
	if s.want != 0 && answer.status != s.want || s.body != "*" && string(answer.body) != want {
		t.Errorf("%.200q: got %d with body %.500q, want %d with %.500q", s.send, answer.status, answer.body, s.want, want)
	}
	for _, check := range s.checks {
		if wrong := judgeOne(check, answer, seen); wrong != "" {
			t.Errorf("%.200q: %s", s.send, wrong)
		}
	}
}

func judgeOne(check any, answer *response, seen []request) string {
	switch check := check.(type) {
	case func(*response) string:
		return check(answer)
	case func(request) string:
		if len(seen) != 1 {
			return fmt.Sprintf("%d requests reached the upstream, want 1: %q", len(seen), starts(seen))
		}
		return check(seen[0])
	case unsent:
		if len(seen) != 0 {
			return fmt.Sprintf("%q reached the upstream, want nothing", starts(seen))
		}
	default:
		panic(errors.New("BUG: no check of luaCase"))
	}
	return ""
}

// answerValues demands the values of all the answer's lines of a name, in
// order.
func answerValues(name string, want ...string) func(*response) string {
	return func(r *response) string {
		return differs(name, fmt.Sprintf("%q", r.values(name)), fmt.Sprintf("%q", want))
	}
}

// bodyHas demands a part of the answer's body.
func bodyHas(wants ...string) func(*response) string {
	return func(r *response) string {
		for _, want := range wants {
			if !strings.Contains(string(r.body), want) {
				return fmt.Sprintf("body %.1000q lacks %.300q", r.body, want)
			}
		}
		return ""
	}
}

// bodyLacks demands that the answer's body doesn't contain a text.
func bodyLacks(texts ...string) func(*response) string {
	return func(r *response) string {
		for _, text := range texts {
			if strings.Contains(string(r.body), text) {
				return fmt.Sprintf("body %.1000q holds %.300q", r.body, text)
			}
		}
		return ""
	}
}

// framed demands how the answer's body was delimited.
func framed(want string) func(*response) string {
	return func(r *response) string { return differs("framing", r.framing, want) }
}

// answerWithoutValue demands that no line of a name has the value.
func answerWithoutValue(name, value string) func(*response) string {
	return func(r *response) string {
		if slices.Contains(r.values(name), value) {
			return name + " is " + value
		}
		return ""
	}
}

// hasMember demands a member of a comma-separated field.
func hasMember(r *response, name, member string) string {
	for _, value := range r.values(name) {
		for _, have := range strings.Split(value, ",") {
			if strings.TrimSpace(have) == member {
				return ""
			}
		}
	}
	return fmt.Sprintf("%s is %q and lacks %s", name, r.values(name), member)
}
