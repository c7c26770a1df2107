//go:build linux

package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestUpstream demands one answer for each request on a kept connection, also
// where requests come in pieces.
func TestUpstream(t *testing.T) {
	t.Parallel()
	l := testLab(t)
	u, err := l.startUpstream(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	echo := "GET /echo HTTP/1.1\r\nHost: x\r\nX-A: b\r\n\r\n"
	for _, address := range u.addresses {
		conn, err := net.DialTimeout("tcp4", address.String(), patience)
		if err != nil {
			t.Fatal(err)
		}
		_ = conn.SetDeadline(time.Now().Add(patience))
		reader := bufio.NewReader(conn)
		for _, test := range []struct {
			pieces []string
			status int
			body   string
		}{
			{[]string{"GET / HTTP/1.1\r\nHost: x\r\n\r\n"}, 200, strings.Repeat("0123456789abcdef", 8)},
			{[]string{"GET /10", "k HTTP/1.1\r\nHost: x\r\n\r", "\n"}, 200, strings.Repeat("0123456789abcdef", middleBody/16)},
			{[]string{"GET /1m HTTP/1.1\r\nHost: x\r\n\r\n"}, 200, strings.Repeat("0123456789abcdef", largeBody/16)},
			{[]string{echo}, 200, echo},
			{[]string{upload100k, strings.Repeat("x", 50_000), strings.Repeat("x", 50_000)}, 200, strings.Repeat("0123456789abcdef", 8)},
			{[]string{upload100k + strings.Repeat("x", 100_000)}, 200, strings.Repeat("0123456789abcdef", 8)},
			{[]string{"GET /slow HTTP/1.1\r\nHost: x\r\n\r\n"}, 200, strings.Repeat("0123456789abcdef", 8)},
			{[]string{"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"}, 411, ""},
		} {
			for _, piece := range test.pieces {
				if _, err := io.WriteString(conn, piece); err != nil {
					t.Fatal(err)
				}
			}
			response, err := http.ReadResponse(reader, nil)
			if err != nil {
				t.Fatalf("%.40q: %v", test.pieces[0], err)
			}
			body, err := io.ReadAll(response.Body)
			if err != nil || response.StatusCode != test.status || string(body) != test.body {
				t.Errorf("%.40q: status %d, %d bytes, %v; want status %d, %d bytes", test.pieces[0], response.StatusCode, len(body), err, test.status, len(test.body))
			}
		}
		_ = conn.Close()
	}
}

var upload100k = fmt.Sprintf("POST /upload HTTP/1.1\r\nHost: x\r\ncontent-length: %d\r\n\r\n", 100_000)

// TestUpstreamWaits demands the whole of an answer that a socket doesn't take
// at once, as TCP's on the loopback interface do.
func TestUpstreamWaits(t *testing.T) {
	t.Parallel()
	server, err := openUpstream([]string{"127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.SetNonblock(pair[0], true); err != nil {
		t.Fatal(err)
	}
	server.adopt(pair[0])
	go func() { _ = server.run() }() // until the tests end: it has no other end
	file := os.NewFile(uintptr(pair[1]), "client")
	client, err := net.FileConn(file)
	if err = errors.Join(err, file.Close()); err != nil {
		t.Fatal(err)
	}
	_ = client.SetDeadline(time.Now().Add(patience))
	reader := bufio.NewReader(client)
	for range 2 {
		if _, err := io.WriteString(client, "GET /1m HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		response, err := http.ReadResponse(reader, nil)
		if err != nil {
			t.Fatal(err)
		}
		if n, err := io.Copy(io.Discard, response.Body); n != largeBody || err != nil {
			t.Fatalf("got %d bytes, %v, want %d", n, err, largeBody)
		}
	}
	_ = client.Close()
}
