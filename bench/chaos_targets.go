//go:build linux

package main

import (
	"bufio"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// chaosMode is how a target of the chaos scenario behaves.
type chaosMode int32

// The modes; after good come those that something is wrong in.
const (
	chaosGood  chaosMode = iota
	chaosSlow            // takes ten times as long
	chaosReset           // resets connections in the place of an answer
	chaosHang            // takes requests, and says nothing
	chaosDead            // refuses connections
	chaosModes
)

// chaosTarget is a server that can be made to fail. Its methods are for one goroutine.
type chaosTarget struct {
	address string
	takes   time.Duration // for a request, when it is good
	mode    atomic.Int32

	mu       sync.Mutex
	listener net.Listener          // nil while it is dead
	conns    map[net.Conn]struct{} // open ones
}

func newChaosTarget(takes time.Duration) (*chaosTarget, error) {
	t := &chaosTarget{takes: takes, address: "127.0.0.1:0", conns: map[net.Conn]struct{}{}}
	return t, t.open()
}

func (t *chaosTarget) open() error {
	l, err := net.Listen("tcp", t.address) //nolint:noctx // it ends with close
	if err != nil {
		return fmt.Errorf("cannot open a target: %w", err)
	}
	t.address = l.Addr().String()
	t.mu.Lock()
	t.listener = l
	t.mu.Unlock()
	go t.accept(l)
	return nil
}

func (t *chaosTarget) accept(l net.Listener) {
	for {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		t.mu.Lock()
		t.conns[conn] = struct{}{}
		t.mu.Unlock()
		go t.serve(conn)
	}
}

func (t *chaosTarget) serve(conn net.Conn) {
	defer func() {
		_ = conn.Close()
		t.mu.Lock()
		delete(t.conns, conn)
		t.mu.Unlock()
	}()
	for in := bufio.NewReader(conn); ; {
		r, err := http.ReadRequest(in)
		if err != nil {
			return
		}
		_ = r.Body.Close()
		switch chaosMode(t.mode.Load()) {
		case chaosReset:
			if tcp, ok := conn.(*net.TCPConn); ok {
				_ = tcp.SetLinger(0)
			}
			return
		case chaosHang:
			_, _ = io.Copy(io.Discard, in)
			return
		case chaosSlow:
			time.Sleep(10 * t.takes)
		default:
			time.Sleep(t.takes)
		}
		if _, err := io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"); err != nil {
			return
		}
	}
}

// become changes the mode; what hangs ends with the mode.
func (t *chaosTarget) become(mode chaosMode) error {
	was := chaosMode(t.mode.Swap(int32(mode)))
	if was == mode {
		return nil
	}
	if was == chaosHang || mode == chaosDead {
		t.close(mode == chaosDead)
	}
	if was == chaosDead {
		return t.open()
	}
	return nil
}

// close ends all connections, and the listener with them if so.
func (t *chaosTarget) close(listener bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if listener && t.listener != nil {
		_ = t.listener.Close()
		t.listener = nil
	}
	for conn := range t.conns {
		_ = conn.Close()
	}
}

// upset has two of the targets fail, each in a way of its own, and the others be good.
func upset(targets []*chaosTarget) error {
	for i, at := range rand.Perm(len(targets)) { //nolint:gosec // G404: an order is no secret
		mode := chaosGood
		if i < 2 {
			mode = 1 + chaosMode(rand.N(int32(chaosModes)-1)) //nolint:gosec // G404: no secret
		}
		if err := targets[at].become(mode); err != nil {
			return err
		}
	}
	return nil
}
