//go:build linux

package main

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// What the upstream answers: 128 bytes of text, or more.
var (
	canned       = upstreamAnswer(strings.Repeat("0123456789abcdef", 8))
	cannedMiddle = upstreamAnswer(strings.Repeat("0123456789abcdef", middleBody/16))
	cannedLarge  = upstreamAnswer(strings.Repeat("0123456789abcdef", largeBody/16))
	noLength     = []byte("HTTP/1.1 411 Length Required\r\nContent-Length: 0\r\n\r\n")
)

// Sizes of bodies, in bytes, and the paths that lead to them.
const (
	middleBody = 10 << 10
	largeBody  = 1 << 20
	middlePath = "/10k"
	largePath  = "/1m"
	slowPath   = "/slow"
	echoPath   = "/echo"
)

func upstreamAnswer(body string) []byte {
	return fmt.Appendf(nil, "HTTP/1.1 200 OK\r\nServer: upstream\r\nDate: Mon, 23 Nov 2026 00:00:00 GMT\r\n"+
		"Content-Type: text/plain\r\nContent-Length: %d\r\nConnection: keep-alive\r\n\r\n%s", len(body), body)
}

// upstreamConn is a connection from a proxy.
type upstreamConn struct {
	fd     int
	head   []byte // of a request, as far as it has come
	body   int    // bytes of the request's body that are still to be dropped
	reply  []byte // for when the body is there
	out    []byte // still to be sent
	closed bool
}

// mostHead bounds what is kept of a request, in bytes.
const mostHead = 64 << 10

// serve does what can be done without waiting.
func (s *upstreamServer) serve(c *upstreamConn) {
	if len(c.out) > 0 {
		s.send(c, c.out)
		return
	}
	if c.body > 0 {
		s.drop(c)
		return
	}
	n, err := unix.Read(c.fd, s.buffer)
	switch {
	case err == unix.EAGAIN:
		return
	case err != nil || n == 0 || len(c.head)+n > mostHead+largeBody:
		s.shut(c)
		return
	}
	data := s.buffer[:n]
	if len(c.head) > 0 {
		c.head = append(c.head, data...)
		data = c.head
	}
	end := bytes.Index(data, []byte("\r\n\r\n"))
	if end < 0 {
		if len(c.head) == 0 {
			c.head = append(c.head, data...)
		}
		if len(c.head) > mostHead {
			s.shut(c)
		}
		return
	}
	end += 4
	s.request(c, data[:end], len(data)-end)
	c.head = c.head[:0]
}

// request answers one; had is how many bytes of its body have come with it.
// Proxies don't send the next before they have the answer.
func (s *upstreamServer) request(c *upstreamConn, head []byte, had int) {
	c.reply = replyTo(head)
	switch {
	case head[0] == 'P': // POST, PUT
		length, ok := contentLength(head)
		if !ok {
			c.reply, length = noLength, had
		}
		if c.body = max(length-had, 0); c.body > 0 {
			s.drop(c)
			return
		}
	case bytes.HasPrefix(head, []byte("GET "+slowPath+" ")):
		s.slow = append(s.slow, slowAnswer{c, time.Now().Add(slowness)})
		return
	}
	s.send(c, c.reply)
}

func replyTo(head []byte) []byte {
	_, target, _ := bytes.Cut(head[:min(len(head), 64)], []byte(" "))
	switch {
	case bytes.HasPrefix(target, []byte(middlePath+" ")):
		return cannedMiddle
	case bytes.HasPrefix(target, []byte(largePath+" ")):
		return cannedLarge
	case bytes.HasPrefix(target, []byte(echoPath+" ")):
		return upstreamAnswer(string(head))
	}
	return canned
}

// contentLength is false for a body whose length isn't said.
func contentLength(head []byte) (int, bool) {
	for line := range bytes.Lines(head) {
		name, value, _ := bytes.Cut(line, []byte(":"))
		if bytes.EqualFold(name, []byte("Content-Length")) {
			n, err := strconv.Atoi(string(bytes.TrimSpace(value)))
			return n, err == nil && n >= 0
		}
	}
	return 0, false
}

// drop takes a body from the socket without copying it (tcp(7), MSG_TRUNC).
func (s *upstreamServer) drop(c *upstreamConn) {
	for c.body > 0 {
		n, _, err := unix.Recvfrom(c.fd, s.buffer[:min(c.body, len(s.buffer))], unix.MSG_TRUNC)
		switch {
		case err == unix.EAGAIN:
			return
		case err != nil || n == 0:
			s.shut(c)
			return
		}
		c.body -= n
	}
	s.send(c, c.reply)
}

// send writes what the socket takes, and waits for room for the rest.
func (s *upstreamServer) send(c *upstreamConn, data []byte) {
	waiting := len(c.out) > 0
	for len(data) > 0 {
		n, err := unix.Write(c.fd, data)
		if err == unix.EAGAIN {
			break
		}
		if err != nil {
			s.shut(c)
			return
		}
		data = data[n:]
	}
	c.out = data
	if waiting == (len(data) > 0) {
		return
	}
	var events uint32 = unix.EPOLLIN
	if len(data) > 0 {
		events = unix.EPOLLOUT
	}
	if s.watch(unix.EPOLL_CTL_MOD, c.fd, events) != nil {
		s.shut(c)
	}
}
