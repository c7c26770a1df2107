package http1_test

import (
	"io"
	"strings"
	"testing"

	"github.com/keystone-gateway/keystone-gateway/proxy/http1"
)

// bodyAfterHead returns the body of a message, and its reader.
func bodyAfterHead(t *testing.T, text string) (*http1.Body, *http1.Reader) {
	t.Helper()
	reader := &http1.Reader{}
	reader.Reset(strings.NewReader(text))
	head, err := reader.ReadHead(nil, 1000)
	if err != nil {
		t.Fatal(err)
	}
	var r http1.Response
	if err := r.Parse(head, false); err != nil {
		t.Fatal(err)
	}
	body := &http1.Body{}
	body.Reset(reader, r.Framing, r.Length)
	return body, reader
}

func TestSpliceable(t *testing.T) {
	for name, want := range map[string]struct {
		message string
		ok      bool
	}{
		"length":      {"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc", true},
		"chunked":     {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nabc", false},
		"until close": {"HTTP/1.1 200 OK\r\n\r\nabc", false},
		"none":        {"HTTP/1.1 204 OK\r\n\r\n", false},
	} {
		body, reader := bodyAfterHead(t, want.message)
		if _, ok := body.Spliceable(); ok && reader.Buffered() > 0 {
			t.Errorf("%s: a body is spliceable while some of it is buffered", name)
		}
		if _, err := body.Next(); err != nil && err != io.EOF {
			t.Fatal(err)
		}
		n, ok := body.Spliceable()
		if ok != want.ok || ok && n != 6 {
			t.Errorf("%s: %d bytes, %v", name, n, ok)
		}
	}
}

func TestSpliced(t *testing.T) {
	const message = "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc"
	body, _ := bodyAfterHead(t, message)
	_, _ = body.Next()
	if err := body.Spliced(4, nil); err != nil || body.Read() != 7 || body.Left() != 2 || body.Done() {
		t.Errorf("%v, %d read, %d left, done %v", err, body.Read(), body.Left(), body.Done())
	}
	if err := body.Spliced(2, nil); err != nil || body.Read() != 9 || !body.Done() || !body.Ready() {
		t.Errorf("%v, %d read, done %v", err, body.Read(), body.Done())
	}
	if _, err := body.Next(); err != io.EOF {
		t.Errorf("at the end: %v", err)
	}
	short, _ := bodyAfterHead(t, message)
	_, _ = short.Next()
	if err := short.Spliced(0, io.EOF); err != io.ErrUnexpectedEOF || short.Done() {
		t.Errorf("a short source: %v, done %v", err, short.Done())
	}
	if _, err := short.Next(); err != io.ErrUnexpectedEOF {
		t.Errorf("the error doesn't stay: %v", err)
	}
	if _, ok := short.Spliceable(); ok {
		t.Error("a body is spliceable after an error")
	}
}
