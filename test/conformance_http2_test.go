package test

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/net/http2/hpack"
)

// TestOverHTTP2 runs the tables of TestFields and TestTarget over HTTP/2: what is
// refused over one protocol is refused over the other (RFC 9113 §8.2, §8.3), what
// passes reaches the upstream as the same request, and the connection goes on.
func TestOverHTTP2(t *testing.T) {
	t.Parallel()
	var cases []clientCase
	for _, table := range [][]clientCase{passingFieldCases(), brokenFieldCases(), fieldSizeCases(), pathCases(), refusedPathCases()} {
		for _, c := range table {
			if _, ok := overHTTP2(&c, strings.NewReplacer()); ok && c.name != "cookies untouched" { // they are joined (RFC 9113 §8.2.3)
				cases = append(cases, c)
			}
		}
	}
	if len(cases) < 200 {
		t.Fatalf("%d cases have a form in HTTP/2", len(cases))
	}
	g, mocks := serveCases(t, &gateway{protocols: "h2c, http/1.1"}, cases)
	for i, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			c.runHTTP2(t, g, mocks[i])
		})
	}
}

// http2Request is a request as HTTP/2 has it.
type http2Request struct {
	method, target, authority string
	fields                    []hpack.HeaderField // as they are spelled in the table
	body                      string
}

// overHTTP2 is the request of a case; false where it is no single one, or has no form in
// HTTP/2. What HTTP/1 would take for lines of their own stands in the value before them.
func overHTTP2(c *clientCase, expand *strings.Replacer) (f http2Request, ok bool) {
	head, body, found := strings.Cut(c.send, "\r\n\r\n")
	if !found || c.pieces != nil || c.bytewise || c.halfClose || strings.Contains(c.want, " ") {
		return f, false
	}
	start, rest, _ := strings.Cut(head, "\r\n")
	var version bool
	f.method, start, _ = strings.Cut(start, " ")
	if f.target, version = strings.CutSuffix(start, " HTTP/1.1"); !version {
		return f, false
	}
	f.target = expand.Replace(f.target)
	for i, line := range strings.Split(rest, "\r\n") {
		name, value, colon := strings.Cut(line, ":")
		switch last := len(f.fields) - 1; {
		case i == 0 && !strings.HasPrefix(line, "Host: "):
			return f, false
		case i == 0:
			f.authority = expand.Replace(strings.Trim(value, " \t"))
		case colon && strings.Trim(line[:1], " \t") != "":
			f.fields = append(f.fields, hpack.HeaderField{Name: name, Value: expand.Replace(strings.Trim(value, " \t"))})
		case last < 0:
			f.authority += "\r\n" + expand.Replace(line)
		default:
			f.fields[last].Value += "\r\n" + expand.Replace(line)
		}
	}
	if f.method == "POST" || f.method == "PATCH" {
		f.body = expand.Replace(body)
	}
	return f, true
}

func (c *clientCase) runHTTP2(t *testing.T, g *gateway, m *mock) {
	host := m.host()
	canary := "GET /canary-" + host + " HTTP/1.1\r\nHost: " + host + "\r\n\r\n"
	sent, _ := overHTTP2(c, strings.NewReplacer("{host}", host, "{canary}", canary, "{victim}", victimHost, "{len}", strconv.Itoa(len(canary))))
	p := dialHTTP2(t, g.address)
	p.send(1, &sent)
	var answers []*response
	switch answer := p.answer(1).whole(); {
	case answer != nil:
		answers = append(answers, answer)
		if !slices.Contains(strings.Split(c.want, "|"), strconv.Itoa(answer.status)) {
			t.Errorf("want %s, got %d with body %.300q", c.want, answer.status, answer.body)
		}
		c.checkAnswer(t, answer)
	case !slices.Contains(strings.Split(c.want, "|"), "-"):
		t.Errorf("want %s, got none", c.want)
	}
	again := "/again-" + host
	p.send(3, &http2Request{method: "GET", target: again, authority: host})
	if answer := p.answer(3).whole(); answer == nil || answer.status != 200 || string(answer.body) != "answer to GET "+again {
		t.Errorf("the connection doesn't go on: %+v", answer)
	}
	probe(t, dial(t, g.address), host, "/after-"+host)
	respelled := *c
	respelled.up = nil
	for _, check := range c.up {
		respelled.up = append(respelled.up, func(r request) string {
			r.fields = respell(r.fields, sent.fields)
			return check(r)
		})
	}
	respelled.checkUpstream(t, m, answers)
	if t.Failed() {
		t.Logf("sent: %.1500q", c.send)
	}
}

// respell gives names, which HTTP/2 has in lower case, the spelling of the table.
func respell(fields []field, as []hpack.HeaderField) []field {
	fields, as = slices.Clone(fields), slices.Clone(as)
	for i := range fields {
		got := &fields[i]
		at := slices.IndexFunc(as, func(h hpack.HeaderField) bool { return strings.ToLower(h.Name) == got.name })
		if at >= 0 {
			got.name, got.line = as[at].Name, as[at].Name+got.line[len(got.name):]
			as = slices.Delete(as, at, at+1)
		}
	}
	return fields
}

// TestUpstreamsOverHTTP2 runs the tables of TestResponses and TestSmugglingFromUpstreams
// for clients of HTTP/2: what is passed on over one protocol is over the other, and what
// isn't ends its stream alone.
func TestUpstreamsOverHTTP2(t *testing.T) {
	t.Parallel()
	var cases []upstreamCase
	for _, table := range [][]upstreamCase{plainAnswerCases(), answerFieldCases(), bodilessCases(), interimCases(), cutAnswerCases(),
		badStatusLineCases(), badAnswerFieldCases(), badAnswerLengthCases(), badAnswerChunkCases()} {
		for _, c := range table {
			_, ok := overHTTP2(&clientCase{send: c.text()}, strings.NewReplacer())
			if ok && !strings.Contains(c.request, "Transfer-Encoding") {
				cases = append(cases, c)
			}
		}
	}
	if len(cases) < 200 {
		t.Fatalf("%d cases have a form in HTTP/2", len(cases))
	}
	g, mocks := serveUpstreamCases(t, &gateway{protocols: "h2c, http/1.1"}, cases)
	for i, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			c.runHTTP2(t, g, mocks[i])
		})
	}
}

func (c *upstreamCase) runHTTP2(t *testing.T, g *gateway, m *mock) {
	host := m.host()
	sent, _ := overHTTP2(&clientCase{send: c.text()}, strings.NewReplacer("{host}", host))
	p := dialHTTP2(t, g.address)
	p.send(1, &sent)
	s := p.answer(1)
	var answer *response
	if s.status > 0 {
		answered := s.response
		answered.interim, answered.early = s.interim, s.early
		head, _, _ := strings.Cut(strings.ReplaceAll(c.raw, "{evil}", evil), "\r\n\r\n")
		answered.fields = respell(answered.fields, headerFields(strings.Split(head, "\r\n"), host))
		answer = &answered
	}
	c.judge(t, answer, s.outcome(), nil)
	if seen := fmt.Sprintf("%q %q %q %s", s.fields, s.early, s.trailers, s.body); strings.Contains(seen, "EVIL") {
		t.Errorf("the client saw what it must not: %.600s", seen)
	}
	again := "/again-" + host
	p.send(3, &http2Request{method: "GET", target: again, authority: host})
	if answer := p.answer(3).whole(); answer == nil || answer.status != 200 || string(answer.body) != "answer to GET "+again {
		t.Errorf("the connection doesn't go on: %+v", answer)
	}
	for i := range 2 {
		probe(t, dial(t, g.address), host, fmt.Sprintf("/after-%d-%s", i, host))
	}
	c.checkUpstream(t, m)
	if t.Failed() {
		t.Logf("the upstream answered %.1000q to %.200q", c.raw+strings.Join(c.more, ""), c.text())
	}
}
