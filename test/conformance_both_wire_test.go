package test

import (
	"crypto/tls"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// wireHTTP1 plays a case over HTTP/1.1: content without a length is chunked.
type wireHTTP1 struct {
	*client
	t        *testing.T
	method   string
	answer   *response
	got      string
	finished bool
}

func (w *wireHTTP1) send(p *bothPlay) {
	f := p.asked()
	w.method = f.method
	var lines []string
	for _, h := range append([]hpack.HeaderField{{Name: "Host", Value: f.authority}}, f.fields...) {
		lines = append(lines, h.Name+": "+h.Value)
	}
	// A length that isn't the content's is one that its chunks contradict.
	inChunks := p.content != nil && (p.length == "" || p.trailer != nil || p.client == ends && p.length != "own")
	if inChunks {
		lines = append(lines, chunked)
	}
	head := lined(f.method+" "+f.target+" HTTP/1.1", lines...)
	if p.broken {
		head = strings.TrimSuffix(head, "\r\n\r\n")
	}
	var writes []string
	for _, piece := range p.content {
		if inChunks && piece != "" {
			piece = fmt.Sprintf("%x\r\n%s\r\n", len(piece), piece)
		}
		writes = append(writes, piece)
	}
	if inChunks && p.client.completes() {
		writes = append(writes, lined("0", p.trailer...))
	}
	if p.awaits {
		w.client.send(w.t, head)
		w.continued()
	} else {
		writes = slices.Insert(writes, 0, head)
	}
	w.write(writes, false)
	if p.client == breaksOff {
		<-w.written
		if secure, ok := w.Conn.(*tls.Conn); ok {
			_ = secure.CloseWrite()
			return
		}
		_ = w.CloseWrite()
	}
}

func (w *wireHTTP1) continued() {
	text, err := readLine(w.reader)
	if err == nil && strings.HasPrefix(text, "HTTP/1.1 100") {
		_, err = readFields(w.reader)
	} else if err == nil {
		err = fmt.Errorf("want an interim 100, got %q", text)
	}
	if err != nil {
		w.t.Fatal(err)
	}
}

func (w *wireHTTP1) read() (*response, string) {
	answer, err := readResponse(w.reader, w.method)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		w.t.Fatalf("nothing more has come: %+v", answer)
	}
	w.answer, w.got = answer, outcome(answer, err)
	w.finished = err == nil && !answer.closes()
	return answer, w.got
}

func (w *wireHTTP1) readHead() {
	if _, err := readHead(w.reader); err != nil {
		w.t.Fatal(err)
	}
}

func (w *wireHTTP1) leave() {
	<-w.written
	if _, secure := w.Conn.(*tls.Conn); !secure {
		w.reset()
	}
	w.close()
}

// goesOn asks again, where the last response hasn't said that the connection ends.
func (w *wireHTTP1) goesOn(host string) {
	if w.finished {
		probe(w.t, w.client, host, "/again-"+host)
	}
}

// wireHTTP2 plays a case over HTTP/2.
type wireHTTP2 struct {
	*peerHTTP2
	left bool // the connection was closed
}

func (w *wireHTTP2) send(p *bothPlay) {
	f := p.asked()
	if w.leaves = p.broken; p.broken {
		w.block.Reset()
		_ = w.encode.WriteField(hpack.HeaderField{Name: ":method", Value: f.method})
		w.try(w.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: w.block.Bytes(), EndStream: true}))
		return
	}
	w.head(1, f, p.content == nil)
	if p.content == nil {
		return
	}
	s := w.stream(1)
	for p.awaits && len(s.interim) == 0 && !s.ended() {
		w.next()
	}
	if p.awaits && fmt.Sprint(s.interim) != "[100]" {
		w.t.Fatalf("want an interim 100, got %v", s.interim)
	}
	s.interim = nil
	for i, piece := range p.content {
		last := i == len(p.content)-1 && p.trailer == nil && p.client.completes()
		if (piece != "" || last) && !w.data(1, piece, last) {
			return
		}
	}
	switch {
	case !p.client.completes():
	case p.trailer != nil:
		w.fields(1, headerFields(p.trailer, f.authority), true)
	case len(p.content) == 0:
		w.data(1, "", true)
	}
}

func (w *wireHTTP2) read() (*response, string) {
	s := w.answer(1)
	r := s.response
	r.interim, r.early = s.interim, s.early
	if s.status == 0 {
		return nil, s.outcome()
	}
	return &r, s.outcome()
}

func (w *wireHTTP2) readHead() {
	for s := w.stream(1); s.status == 0 && !s.ended(); {
		w.next()
	}
}

// leave gives the stream up; with TLS, the whole connection.
func (w *wireHTTP2) leave() {
	if _, w.left = w.conn.(*tls.Conn); w.left {
		_ = w.conn.Close()
		return
	}
	w.try(w.framer.WriteRSTStream(1, http2.ErrCodeCancel))
}

func (w *wireHTTP2) goesOn(host string) {
	if w.left || w.leaves {
		return
	}
	target := "/again-" + host
	w.peerHTTP2.send(3, &http2Request{method: "GET", target: target, authority: host})
	if answer := w.peerHTTP2.answer(3).whole(); answer == nil || answer.status != 200 || string(answer.body) != "answer to GET "+target {
		w.t.Errorf("the connection doesn't go on: %+v", answer)
	}
}
