//go:build linux

package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"
	"time"
)

// upstreamCommand makes bench the server behind the proxies, in a process of
// its own so that nobody is charged for it.
const upstreamCommand = "upstream"

// slowness is how long the upstream takes to answer /slow.
const slowness = 2 * time.Second

// upstream is a running one.
type upstream struct {
	addresses [2]netip.AddrPort
}

// startUpstream starts a server on two ports.
func (l *lab) startUpstream(ctx context.Context) (u *upstream, err error) {
	u = &upstream{}
	for i := range u.addresses {
		if u.addresses[i], err = freeAddress(); err != nil {
			return nil, err
		}
	}
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	p, err := l.start("the upstream", nil, self, upstreamCommand, u.addresses[0].String(), u.addresses[1].String())
	if err != nil {
		return nil, err
	}
	return u, p.answers(ctx, u.addresses[1], "x", "/", 5*time.Second)
}

// runUpstream serves until ctx is done.
func runUpstream(ctx context.Context, addresses []string) error {
	ended := make(chan error, len(addresses))
	for _, address := range addresses {
		listener, err := net.Listen("tcp4", address)
		if err != nil {
			return err
		}
		go func() {
			for {
				conn, err := listener.Accept()
				if err != nil {
					ended <- err
					return
				}
				go serveUpstream(conn)
			}
		}()
	}
	if len(addresses) == 0 {
		return errors.New("expected addresses")
	}
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
		return nil
	}
}

// canned is the usual answer: 128 bytes of text.
var canned = upstreamAnswer(strings.Repeat("0123456789abcdef", 8))

func upstreamAnswer(body string) []byte {
	return fmt.Appendf(nil, "HTTP/1.1 200 OK\r\nServer: upstream\r\nDate: Mon, 23 Nov 2026 00:00:00 GMT\r\n"+
		"Content-Type: text/plain\r\nContent-Length: %d\r\nConnection: keep-alive\r\n\r\n%s", len(body), body)
}

// serveUpstream answers requests without a body: /echo with the request's
// head, /slow after a while, all others at once.
func serveUpstream(conn net.Conn) {
	defer func() { _ = conn.Close() }()
	reader := bufio.NewReaderSize(conn, 2<<10)
	var head []byte
	for {
		head = head[:0]
		for !bytes.HasSuffix(head, []byte("\r\n\r\n")) {
			line, err := reader.ReadSlice('\n')
			if err != nil {
				return
			}
			head = append(head, line...)
		}
		reply := canned
		switch {
		case bytes.HasPrefix(head, []byte("GET /echo ")):
			reply = upstreamAnswer(string(head))
		case bytes.HasPrefix(head, []byte("GET /slow ")):
			time.Sleep(slowness)
		}
		if _, err := conn.Write(reply); err != nil {
			return
		}
	}
}
