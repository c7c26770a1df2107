package streams_test

import (
	"io"
	"net/http"
	"testing"

	"golang.org/x/net/http2"
)

// TestDrain: who is told of the end may still ask until it knows, and what was asked
// is answered; then the connection ends in order.
func TestDrain(t *testing.T) {
	t.Parallel()
	release, arrived := make(chan struct{}), make(chan struct{}, 10)
	server, stop := stoppable(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		arrived <- struct{}{}
		if r.URL.Path == "/slow" {
			<-release
		}
		echo(w, r)
	}))
	p := connect(t, server)
	p.ask(1, "GET", "/slow", true)
	<-arrived
	stop()
	idle := func() *http2.PingFrame {
		for {
			f, err := p.framer.ReadFrame()
			if err != nil {
				t.Fatal(err)
			}
			switch f := f.(type) {
			case *http2.GoAwayFrame:
				if f.LastStreamID != 1<<31-1 || f.ErrCode != http2.ErrCodeNo {
					t.Fatalf("the first GOAWAY is %v", f)
				}
			case *http2.PingFrame:
				return f
			}
		}
	}
	ping := idle()
	p.ask(3, "GET", "/on-its-way", true)
	p.try(p.framer.WritePing(true, ping.Data))
	r := p.read(false, func(r *reading) bool { return r.ended(3) && len(r.goaways) > 0 })
	if a := r.answers[3]; a == nil || a.status != "200" || r.goaways[0].LastStreamID != 3 {
		t.Fatalf("got %+v, %v, %v", a, r.goaways, r.err)
	}
	p.ask(5, "GET", "/late", true)
	close(release)
	r = p.read(false, func(*reading) bool { return false })
	if a := r.answers[1]; a == nil || a.status != "200" || r.answers[5] != nil || r.err != io.EOF {
		t.Errorf("got %+v, %+v, %v", a, r.answers[5], r.err)
	}
}

// TestMostRequests: max_requests_per_connection ends a connection in the same way.
func TestMostRequests(t *testing.T) {
	t.Parallel()
	server := serveOn(t, "[{address: '127.0.0.1:0', protocols: [h2c], max_requests_per_connection: 3}]", "", echo)
	p := connect(t, server)
	for i := range 3 {
		p.ask(uint32(2*i+1), "GET", "/", true)
	}
	r := p.read(false, func(*reading) bool { return false })
	if len(r.goaways) != 2 || r.goaways[0].LastStreamID != 1<<31-1 || r.goaways[1].LastStreamID != 5 || r.err != io.EOF || len(r.answers) != 3 {
		t.Errorf("got %v, %v, %d answers", r.goaways, r.err, len(r.answers))
	}
}
