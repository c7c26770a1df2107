package test

import (
	"bytes"
	"io"
	"net"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http2"
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
	if f.method == "POST" {
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
	switch answer := p.answer(1); {
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
	if answer := p.answer(3); answer == nil || answer.status != 200 || string(answer.body) != "answer to GET "+again {
		t.Errorf("the connection doesn't go on: %+v", answer)
	}
	probe(t, dial(t, g.address), host, "/after-"+host)
	respelled := *c
	respelled.up = nil
	for _, check := range c.up {
		respelled.up = append(respelled.up, func(r request) string { return check(sent.respell(r)) })
	}
	respelled.checkUpstream(t, m, answers)
	if t.Failed() {
		t.Logf("sent: %.1500q", c.send)
	}
}

// respell gives names, which HTTP/2 has in lower case, the spelling of the table.
func (f *http2Request) respell(r request) request {
	r.fields = slices.Clone(r.fields)
	own := slices.Clone(f.fields)
	for i := range r.fields {
		got := &r.fields[i]
		at := slices.IndexFunc(own, func(h hpack.HeaderField) bool { return strings.ToLower(h.Name) == got.name })
		if at >= 0 {
			got.name, got.line = own[at].Name, own[at].Name+got.line[len(got.name):]
			own = slices.Delete(own, at, at+1)
		}
	}
	return r
}

// peerHTTP2 is a client that writes frames by hand.
type peerHTTP2 struct {
	t      *testing.T
	framer *http2.Framer
	block  bytes.Buffer
	encode *hpack.Encoder
}

func dialHTTP2(t *testing.T, address string) *peerHTTP2 {
	t.Helper()
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(patience))
	p := &peerHTTP2{t: t, framer: http2.NewFramer(conn, conn)}
	p.framer.AllowIllegalWrites = true
	p.framer.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	p.encode = hpack.NewEncoder(&p.block)
	_, err = io.WriteString(conn, http2.ClientPreface)
	p.try(err)
	p.try(p.framer.WriteSettings())
	return p
}

func (p *peerHTTP2) try(err error) {
	p.t.Helper()
	if err != nil {
		p.t.Fatal(err)
	}
}

func (p *peerHTTP2) send(stream uint32, f *http2Request) {
	p.t.Helper()
	p.block.Reset()
	write := func(name, value string) { _ = p.encode.WriteField(hpack.HeaderField{Name: name, Value: value}) }
	write(":method", f.method)
	write(":scheme", "http")
	write(":authority", f.authority)
	write(":path", f.target)
	for _, h := range f.fields {
		write(strings.ToLower(h.Name), h.Value)
	}
	const most = 16 << 10
	block := p.block.Bytes()
	first := block[:min(most, len(block))]
	block = block[len(first):]
	p.try(p.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: stream, BlockFragment: first, EndHeaders: len(block) == 0, EndStream: f.body == ""}))
	for len(block) > 0 {
		part := block[:min(most, len(block))]
		block = block[len(part):]
		p.try(p.framer.WriteContinuation(stream, len(block) == 0, part))
	}
	if f.body != "" {
		p.try(p.framer.WriteData(stream, true, []byte(f.body)))
	}
}

// answer reads the response on a stream; nil is none.
func (p *peerHTTP2) answer(stream uint32) *response {
	p.t.Helper()
	var r *response
	for {
		f, err := p.framer.ReadFrame()
		p.try(err)
		switch f := f.(type) {
		case *http2.SettingsFrame:
			if !f.IsAck() {
				p.try(p.framer.WriteSettingsAck())
			}
		case *http2.GoAwayFrame:
			p.t.Errorf("the connection ends: %s, %s", f.ErrCode, f.DebugData())
			return r
		case *http2.RSTStreamFrame:
			if f.StreamID == stream {
				return r
			}
		case *http2.MetaHeadersFrame:
			if f.StreamID != stream {
				p.t.Fatalf("a head on stream %d", f.StreamID)
			}
			r = &response{version: "HTTP/2.0"}
			r.status, _ = strconv.Atoi(f.PseudoValue("status"))
			for _, h := range f.RegularFields() {
				r.fields = append(r.fields, field{name: h.Name, value: h.Value, line: h.Name + ": " + h.Value})
			}
			if f.StreamEnded() {
				return r
			}
		case *http2.DataFrame:
			if f.StreamID == stream && r != nil {
				if r.body = append(r.body, f.Data()...); f.StreamEnded() {
					return r
				}
			}
		}
	}
}
