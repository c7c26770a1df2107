package http1_test

import (
	"bytes"
	"errors"
	"io"
	"testing"
	"testing/iotest"

	"github.com/keystone-gateway/keystone-gateway/proxy/http1"
	"github.com/keystone-gateway/keystone-gateway/proxy/memory"
	"github.com/keystone-gateway/keystone-gateway/proxy/message"
)

// FuzzRequestHead holds what is accepted to what RFC 9112 says, by an
// independent look at the bytes, and to be the same however it arrives.
func FuzzRequestHead(f *testing.F) {
	f.Add([]byte("GET / HTTP/1.1\r\nHost: a\r\n\r\nrest"))
	f.Add([]byte("POST http://a/?b HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nConnection: close, x\r\nX: y\r\n\r\nabc"))
	f.Add([]byte("PUT /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nExpect: 100-continue\r\n\r\n0\r\n\r\n"))
	f.Add([]byte("\r\n\r\n0\r\n\r\n")) // once accepted byte by byte only
	f.Fuzz(func(t *testing.T, data []byte) {
		head, rest, err := readHead(bytes.NewReader(data), 4096)
		again, _, againErr := readHead(iotest.OneByteReader(bytes.NewReader(data)), 4096)
		if (err == nil) != (againErr == nil) || err == nil && !bytes.Equal(head, again) {
			t.Fatalf("%v and %v: depends on how the bytes arrive", err, againErr)
		}
		if err != nil {
			return
		}
		if !bytes.HasSuffix(data, append(append([]byte{}, head...), rest...)) && len(data) < memory.SmallBuffer {
			t.Fatal("bytes were lost between head and rest")
		}
		var r http1.Request
		if r.Parse(head, 1024) != nil {
			return
		}
		checkAccepted(t, head)
	})
}

func FuzzResponseHead(f *testing.F) {
	f.Add([]byte("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc"), false)
	f.Add([]byte("HTTP/1.1 700 Odd\r\nContent-Length: 0\r\n\r\n"), false)
	f.Add([]byte("HTTP/1.0 304 \r\nConnection: keep-alive\r\n\r\n"), true)
	f.Fuzz(func(t *testing.T, data []byte, toHEAD bool) {
		head, _, err := readHead(bytes.NewReader(data), 4096)
		if err != nil {
			return
		}
		var r http1.Response
		if r.Parse(head, toHEAD) != nil {
			return
		}
		if r.Status < 100 || r.Status > 999 { // docs/http.md says why not 599
			t.Fatalf("status %d", r.Status)
		}
		checkAccepted(t, head)
	})
}

func checkAccepted(t *testing.T, head []byte) {
	t.Helper()
	lengths, codings := 0, 0
	for i, line := range bytes.Split(bytes.TrimSuffix(head, []byte("\r\n\r\n")), []byte("\r\n")) {
		if bytes.ContainsAny(line, "\r\n\x00") {
			t.Fatalf("line %d has a control byte: %q", i, line)
		}
		if i == 0 {
			continue
		}
		name, _, found := bytes.Cut(line, []byte(":"))
		if !found || len(name) == 0 || bytes.ContainsAny(name, " \t") {
			t.Fatalf("line %d is no field: %q", i, line)
		}
		switch {
		case bytes.EqualFold(name, []byte("content-length")):
			lengths++
		case bytes.EqualFold(name, []byte("transfer-encoding")):
			codings++
		}
	}
	if lengths+codings > 1 {
		t.Fatalf("%d lengths and %d codings", lengths, codings)
	}
}

// FuzzChunkedBody checks that content survives re-encoding, that the end is
// found at the same byte however the bytes arrive, and that nothing cut is
// complete.
func FuzzChunkedBody(f *testing.F) {
	f.Add([]byte("3\r\nabc\r\n0\r\n\r\n"))
	f.Add([]byte("1;a=b\r\nx\r\n0\r\nT: v\r\n\r\nGET / HTTP/1.1\r\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		content, b, err := readBody(bytes.NewReader(data), http1.Chunked, 0)
		again, _, againErr := readBody(iotest.OneByteReader(bytes.NewReader(data)), http1.Chunked, 0)
		if (err == io.EOF) != (againErr == io.EOF) || err == io.EOF && !bytes.Equal(content, again) {
			t.Fatalf("%v and %v: depends on how the bytes arrive", err, againErr)
		}
		if err != io.EOF {
			if err != io.ErrUnexpectedEOF && !errors.As(err, new(message.Violation)) {
				t.Fatalf("unexpected error %v", err)
			}
			return
		}
		var coded []byte
		if len(content) > 0 {
			coded = append(append(http1.AppendChunkSize(nil, len(content)), content...), '\r', '\n')
		}
		coded = http1.AppendLastChunk(coded, b.Trailer())
		if back, _, err := readBody(bytes.NewReader(coded), http1.Chunked, 0); err != io.EOF || !bytes.Equal(back, content) {
			t.Fatalf("%q became %q: %v", content, back, err)
		}
	})
}
