package test

import (
	"crypto/tls"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/net/http2/hpack"

	"github.com/keystone-gateway/keystone-gateway/test/port"
)

// bothCase is one exchange that HTTP/1.1 and HTTP/2 have alike: what the client sends,
// what the target does, and what comes of it. Each is played over both protocols, with
// TLS and without, and must end in the same way.
//
// Whatever the case says, these hold: the response is well-formed; an error of the
// gateway's has a code, and another response none; after an exchange over HTTP/2 its
// connection goes on; and a fresh client of the same tenant gets its own answer.
type bothCase struct {
	name string
	// method is GET, or POST where there is content; path is /p.
	method, path string
	// fields are further lines of the head. {host} stands for the case's own.
	fields []string
	// length is what Content-Length says: "" is nothing, "own" that of the content.
	length string
	// content is what is sent, each piece a chunk or a frame; nil is none.
	content []string
	trailer []string
	// awaits 100 before the content.
	awaits bool
	// client is what it does once that is sent.
	client behaviour
	// broken ends the head before its end.
	broken bool
	// tenant are further lines of the tenant's section.
	tenant []string
	// target answers; nil is answerOK.
	target func(*request) reply
	// want is the status; "cut" is a response that isn't whole, "none" is none. Where
	// the protocols can't be alike, both: "408|none".
	want string
	// code is that of the gateway's error, or both likewise.
	code string
	// saw is what the target has got: nothing, a part of a request, or a whole one.
	saw sight
	// freed demands that the target is let go.
	freed bool
	// up checks a request that the target has got whole, down a response.
	up   []func(request) string
	down []func(*response) string
}

// behaviour is what a client does behind the last piece of content.
type behaviour int

const (
	ends          behaviour = iota // the request, in order
	breaksOff                      // it says that nothing more comes, whether or not the request is whole
	stops                          // it sends nothing more
	sleeps                         // it doesn't even read until the target is let go
	leaves                         // it gives the exchange up at once
	leavesWaiting                  // once the target has the request
	leavesReading                  // once there is a response's head
)

// completes reports whether a client sends all of the request.
func (b behaviour) completes() bool { return b != stops && b != leaves }

// sight is how much of a request a target has got.
type sight int

const (
	whole  sight = iota
	part         // at most
	either       // a part or a whole one, whichever is quicker
	nothing
)

// speaker is one of the ways to play a case.
type speaker struct {
	name          string
	http2, secure bool
}

func speakers() []speaker {
	return []speaker{{"HTTP/1.1", false, false}, {"HTTP/1.1 over TLS", false, true}, {"h2c", true, false}, {"h2", true, true}}
}

// runBoth plays cases, each with a tenant and a target of its own for each way. settings
// are further lines of the gateway's file.
func runBoth(t *testing.T, settings string, cases []bothCase) {
	t.Helper()
	trust, lines := certified(t, t.TempDir())
	config := strings.Builder{}
	fmt.Fprintf(&config, "%s%s\nrequest_limits:\n  max_body_size: %d\n  max_header_size: %d\n  max_url_size: %d\ntenants:\n",
		lines, settings, bodyLimit, headerLimit, urlLimit)
	var mocks []*mock
	for i := range cases {
		for range speakers() {
			m := startMock(t, fmt.Sprintf("b%03d", len(mocks)), cases[i].script)
			mocks = append(mocks, m)
			tenantConfig(&config, m.name, "domains: ["+m.host()+"]", m, cases[i].tenant...)
		}
	}
	g := (&gateway{protocols: "h2c, http/1.1", secure: port.Reserve(t)}).start(t, config.String())
	for i := range cases {
		for j, s := range speakers() {
			t.Run(cases[i].name+" by "+s.name, func(t *testing.T) {
				t.Parallel()
				(&bothPlay{bothCase: &cases[i], speaker: s, trust: trust, gateway: g, mock: mocks[i*len(speakers())+j]}).run(t)
			})
		}
	}
}

func (c *bothCase) script(r *request) reply {
	if r.probing() || c.target == nil {
		return answerOK(r)
	}
	return c.target(r)
}

// bothPlay is one case, played in one way.
type bothPlay struct {
	*bothCase
	speaker
	trust   *tls.Config
	gateway *gateway
	mock    *mock
}

// wire is how an exchange goes over a protocol. What a client sends at once may be sent
// in the background, so that a gateway can refuse it before its end.
type wire interface {
	// send sends the head with all that follows it, up to what the client does then.
	send(p *bothPlay)
	// read reads the response, and words how it has ended.
	read() (*response, string)
	// readHead reads until there is the head of one.
	readHead()
	// leave gives the exchange up.
	leave()
	// goesOn checks that the connection does, where that can be.
	goesOn(host string)
}

func (p *bothPlay) run(t *testing.T) {
	w := p.open(t)
	w.send(p)
	switch p.client {
	case sleeps:
		eventually(t, patience, "the target has been asked", func() bool { return len(p.mock.seen()) > 0 })
		eventually(t, patience, "the target is let go", func() bool { return p.mock.open() == 0 })
	case leavesWaiting:
		eventually(t, patience, "the target has been asked", func() bool { return len(p.mock.seen()) > 0 })
		w.leave()
	case leavesReading:
		w.readHead()
		w.leave()
	case leaves:
		w.leave()
	}
	var answer *response
	if p.client < leaves {
		var got string
		answer, got = w.read()
		p.judge(t, answer, got)
	}
	if p.freed {
		eventually(t, patience, "the target is let go", func() bool { return p.mock.open() == 0 })
	}
	if p.client != sleeps {
		w.goesOn(p.mock.host())
	}
	probe(t, p.dial(t), p.mock.host(), "/after-"+p.mock.host())
	p.judgeTarget(t)
	if t.Failed() && answer != nil {
		t.Logf("got %d, %q, %.300q", answer.status, answer.fields, answer.body)
	}
}

// judge compares what has come with what the case wants.
func (p *bothPlay) judge(t *testing.T, answer *response, got string) {
	t.Helper()
	if !slices.Contains(strings.Split(p.want, "|"), got) {
		t.Fatalf("want %s, got %s: %+v", p.want, got, answer)
	}
	if answer == nil || got == "cut" {
		return
	}
	if code := strings.Join(answer.values("X-Gateway-Error"), ","); !slices.Contains(strings.Split(p.code, "|"), code) {
		t.Errorf("the code is %q, want %q", code, p.code)
	}
	if ids := answer.values("X-Request-Id"); len(ids) != 1 {
		t.Errorf("the response has the ids %q, want one", ids)
	}
	for _, check := range p.down {
		if wrong := check(answer); wrong != "" {
			t.Error(wrong)
		}
	}
}

// judgeTarget checks what the target has seen.
func (p *bothPlay) judgeTarget(t *testing.T) {
	t.Helper()
	for _, fault := range p.mock.violations() {
		t.Errorf("the target got malformed bytes: %s", fault)
	}
	seen, complete := p.mock.seen(), p.mock.completed()
	if wanted := map[sight]int{whole: 1}[p.saw]; p.saw != either && len(complete) != wanted {
		t.Errorf("the target got %d whole requests, want %d: %q", len(complete), wanted, starts(complete))
	}
	if p.saw != part && p.saw != either && len(seen) != len(complete) {
		t.Errorf("the target got a part of a request: %q", starts(seen))
	}
	for _, r := range complete {
		for _, check := range p.up {
			if wrong := check(r); wrong != "" {
				t.Errorf("the target got %q: %s", r.start, wrong)
			}
		}
	}
}

// dial opens a connection for requests of HTTP/1.
func (p *bothPlay) dial(t *testing.T) *client {
	t.Helper()
	if !p.secure {
		return dial(t, p.gateway.address)
	}
	c := clientOn(p.dialTLS(t, "http/1.1"))
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func (p *bothPlay) dialTLS(t *testing.T, protocol string) net.Conn {
	t.Helper()
	config := p.trust.Clone()
	config.NextProtos = []string{protocol}
	conn, err := tls.Dial("tcp", p.gateway.secure, config)
	if err != nil {
		t.Fatal(err)
	}
	if got := conn.ConnectionState().NegotiatedProtocol; got != protocol {
		t.Fatalf("%q is spoken, want %q", got, protocol)
	}
	return conn
}

// open connects for the case.
func (p *bothPlay) open(t *testing.T) wire {
	t.Helper()
	switch {
	case !p.http2:
		return &wireHTTP1{t: t, client: p.dial(t)}
	case p.secure:
		return &wireHTTP2{peerHTTP2: peerOn(t, p.dialTLS(t, "h2"))}
	}
	return &wireHTTP2{peerHTTP2: dialHTTP2(t, p.gateway.address)}
}

// asked is the case's request, with the length that it says.
func (p *bothPlay) asked() *http2Request {
	f := &http2Request{method: p.method, target: p.path, authority: p.mock.host()}
	if f.method == "" {
		f.method = map[bool]string{true: "GET", false: "POST"}[p.content == nil]
	}
	if f.target == "" {
		f.target = "/p"
	}
	f.fields = headerFields(p.fields, f.authority)
	switch p.length {
	case "":
	case "own":
		f.fields = append(f.fields, hpack.HeaderField{Name: "Content-Length", Value: strconv.Itoa(len(strings.Join(p.content, "")))})
	default:
		f.fields = append(f.fields, hpack.HeaderField{Name: "Content-Length", Value: p.length})
	}
	return f
}

// headerFields takes lines apart.
func headerFields(lines []string, host string) (fields []hpack.HeaderField) {
	for _, line := range lines {
		name, value, _ := strings.Cut(strings.ReplaceAll(line, "{host}", host), ":")
		fields = append(fields, hpack.HeaderField{Name: name, Value: strings.Trim(value, " \t")})
	}
	return fields
}
