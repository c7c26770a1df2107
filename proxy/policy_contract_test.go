package proxy_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/keystone-gateway/keystone-gateway/proxy/message"
	"github.com/keystone-gateway/keystone-gateway/tenants/policy"
)

// trying is a policy that does what a request's path says.
type trying struct {
	waiting chan struct{}
	ended   atomic.Int64
	amended atomic.Int64
}

var unlisted = &policy.Refusal{Status: 418, Code: "unlisted"}

func (p *trying) Judge(r *policy.Request) (*policy.Answer, error) {
	switch string(r.Path) {
	case "/redirect":
		return &policy.Answer{Status: 302, Header: fields("Location", "/new", "Content-Length", "7", "Connection", "X"), Body: []byte("moved")}, nil
	case "/preflight":
		return &policy.Answer{Status: 204, Header: fields("Access-Control-Allow-Origin", "*")}, nil
	case "/unlisted":
		return &policy.Answer{Refusal: unlisted}, nil
	case "/error":
		return nil, errors.New("the store is away")
	case "/judge":
		panic("judge")
	case "/wait":
		return nil, r.Wait(func(ctx context.Context) error {
			close(p.waiting)
			<-ctx.Done()
			return ctx.Err()
		})
	case "/waited":
		return nil, r.Wait(func(context.Context) error { return nil })
	}
	return nil, nil
}

func (p *trying) Amend(r *policy.Request, response *policy.Response) {
	p.amended.Add(1)
	if string(r.Path) == "/amend" {
		panic("amend")
	}
	response.Header.Add([]byte("X-Status"), fmt.Append(nil, response.Status))
}

func (p *trying) Done(r *policy.Request) {
	if p.ended.Add(1); string(r.Path) == "/done" {
		panic("done")
	}
}

func fields(list ...string) (h message.Header) {
	for i := 0; i < len(list); i += 2 {
		h.Add([]byte(list[i]), []byte(list[i+1]))
	}
	return h
}

// TestPolicyContract: answers, errors and panics of policies, and waiting.
func TestPolicyContract(t *testing.T) {
	t.Parallel()
	log := filepath.Join(t.TempDir(), "access.log")
	server := start(t, fmt.Sprintf("access_log: {output: %q}\ntenants:\n  - {name: a, domains: [example.com], services: [{url: 'http://%s'}]}\n", log, echoing(t, "")))
	p := new(trying)
	server.Police("a", p)
	for i, c := range []struct {
		request  string
		status   int
		code     string
		location string
		body     string
		goesOn   bool
	}{
		{"GET /", 200, "", "", "GET / HTTP/1.1", true},
		{"GET /waited", 200, "", "", "GET /waited HTTP/1.1", true},
		{"GET /redirect", 302, "", "/new", "moved", true},
		{"HEAD /redirect", 302, "", "/new", "", true},
		{"POST /redirect Content-Length: 4\r\n\r\nbody", 302, "", "/new", "moved", true},
		{"POST /redirect Content-Length: 4\r\nExpect: 100-continue", 302, "", "/new", "moved", false},
		{"OPTIONS /preflight", 204, "", "", "", true},
		{"GET /unlisted", 500, "internal_error", "", "", false},
		{"GET /error", 500, "policy_failed", "", "", true},
		{"GET /judge", 500, "internal_error", "", "", false},
		{"GET /amend", 500, "internal_error", "", "", false},
	} {
		before, ended := p.amended.Load(), p.ended.Load()
		conn, err := net.Dial("tcp", server.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		method, rest, _ := strings.Cut(c.request, " ")
		path, more, _ := strings.Cut(rest, " ")
		if more == "" {
			more = "X: y"
		}
		if !strings.Contains(more, "\r\n\r\n") {
			more += "\r\n\r\n"
		}
		send(t, conn, method+" "+path+" HTTP/1.1\r\nHost: example.com\r\n"+more)
		reader := bufio.NewReader(conn)
		answer, err := http.ReadResponse(reader, &http.Request{Method: method})
		if err != nil {
			t.Fatalf("%d: %s: %v", i, c.request, err)
		}
		body := make([]byte, 4096)
		n, _ := answer.Body.Read(body)
		if answer.StatusCode != c.status || answer.Header.Get("X-Gateway-Error") != c.code || answer.Header.Get("Location") != c.location ||
			c.code == "" && !strings.HasPrefix(string(body[:n]), c.body) || len(answer.Header.Values("Content-Length")) > 1 {
			t.Errorf("%s: got %d %v %q", c.request, answer.StatusCode, answer.Header, body[:n])
		}
		status := strings.Join(answer.Header.Values("X-Status"), "|")
		if path != "/amend" && status != fmt.Sprint(c.status) || path == "/amend" && status != "" {
			t.Errorf("%s: amended %q", c.request, status)
		}
		if answer.Close == c.goesOn {
			t.Errorf("%s: the connection goes on is %v, want %v", c.request, !answer.Close, c.goesOn)
		}
		eventually(t, c.request+" has ended once", func() bool { return p.ended.Load() == ended+1 })
		if got := p.amended.Load() - before; got != 1 {
			t.Errorf("%s: amended %d times", c.request, got)
		}
		_ = conn.Close()
	}
	eventually(t, "the log says why there was no decision", func() bool {
		text, _ := os.ReadFile(log) // #nosec G304 -- of this test
		return strings.Contains(string(text), `"policy":"trying","method":"GET","host":"example.com","path":"/error","status":500`) &&
			strings.Contains(string(text), `"error":"policy_failed","cause":"policy trying: the store is away"`)
	})
}

// TestPolicyWaits: what a policy waits for ends when the client goes, and when the
// request's time is over. The policies that a request began with are those that are
// told its end, whatever has been reloaded meanwhile.
func TestPolicyWaits(t *testing.T) {
	t.Parallel()
	server := start(t, "access_log: {enabled: false}\ntenants:\n"+
		"  - {name: patient, domains: [patient.example.com], services: [{url: 'http://127.0.0.1:1'}]}\n"+
		"  - {name: hasty, domains: [hasty.example.com], timeouts: {total: 100ms}, services: [{url: 'http://127.0.0.1:1'}]}\n")
	patient, hasty := &trying{waiting: make(chan struct{})}, &trying{waiting: make(chan struct{})}
	server.Police("patient", patient)
	server.Police("hasty", hasty)
	if answer, _ := askRaw(t, server.Addr().String(), "GET /wait HTTP/1.1\r\nHost: hasty.example.com\r\n\r\n"); answer.StatusCode != 504 || answer.Header.Get("X-Gateway-Error") != "request_timeout" {
		t.Errorf("got %d %v, want 504 request_timeout", answer.StatusCode, answer.Header)
	}
	conn, err := net.Dial("tcp", server.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	send(t, conn, "GET /wait HTTP/1.1\r\nHost: patient.example.com\r\n\r\n")
	<-patient.waiting
	server.Reload() // to a generation in which the tenant has no policies
	_ = conn.Close()
	eventually(t, "the request ends", func() bool { return patient.ended.Load() == 1 && server.InFlight() == 0 })
	for view := range server.Tenants() {
		if view.Name != "patient" {
			continue
		}
		gone := uint64(0)
		view.Stats.Errors(func(code string, n uint64) {
			if code == "client_gone" {
				gone = n
			}
		})
		if gone != 1 {
			t.Errorf("%d clients are counted as gone, want 1", gone)
		}
	}
}

// TestPolicyPanicsAtTheEnd: the request has been answered by then, so its connection
// ends, and nothing else does.
func TestPolicyPanicsAtTheEnd(t *testing.T) {
	t.Parallel()
	server := start(t, "access_log: {enabled: false}\ntenants:\n  - {name: a, domains: [example.com], services: [{url: 'http://"+echoing(t, "")+"'}]}\n")
	server.Police("a", new(trying))
	conn, err := net.Dial("tcp", server.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	send(t, conn, "GET /done HTTP/1.1\r\nHost: example.com\r\n\r\n")
	eventually(t, "nothing is left of the request", func() bool { return server.InFlight() == 0 && server.Open() == 0 && server.Counters().Panics == 1 })
	if answer, _ := askRaw(t, server.Addr().String(), "GET / HTTP/1.1\r\nHost: example.com\r\n\r\n"); answer.StatusCode != 200 {
		t.Errorf("got %d afterwards", answer.StatusCode)
	}
}
