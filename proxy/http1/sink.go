package http1

import (
	"io"
	"sync/atomic"
	"time"

	"github.com/keystone-gateway/keystone-gateway/proxy/socket"
)

// Sink is where a message is written to, within time-outs.
type Sink struct {
	Conn  io.Writer     // TLS or plain
	Sock  *socket.Conn  // beneath Conn
	Idle  time.Duration // longest time without progress
	Total int64         // expiry of the whole request (socket.Nanotime), 0 = none
	// MinRate, in bytes a second, is what the peer must take over Idle; 0 is no
	// bound.
	MinRate int64
	Busy    *atomic.Bool // true during a write; may be nil
	Err     error        // of the first write that failed
}

// Plain reports whether there is no TLS, so that what is written may be spliced.
func (s *Sink) Plain() bool { return s.Conn == io.Writer(s.Sock) }

func (s *Sink) Write(p []byte) error {
	s.begin()
	_, s.Err = s.Conn.Write(p)
	s.end()
	return s.Err
}

// begin bounds a write: by Idle from any progress, and by the least rate.
func (s *Sink) begin() {
	if s.Busy != nil {
		s.Busy.Store(true)
	}
	s.Sock.SetWriteLimits(int64(s.Idle), s.MinRate, s.Total)
}

// writeVec writes three slices, with one system call where there is no TLS.
func (s *Sink) writeVec(a, b, c []byte) error {
	if !s.Plain() {
		for _, p := range [...][]byte{a, b, c} {
			if len(p) > 0 {
				if err := s.Write(p); err != nil {
					return err
				}
			}
		}
		return nil
	}
	s.begin()
	_, s.Err = s.Sock.WriteVec(a, b, c)
	s.end()
	return s.Err
}

// Splice writes what the pipe holds, and takes it back.
func (s *Sink) Splice(pipe *socket.Pipe) error {
	s.begin()
	_, s.Err = s.Sock.WritePipe(pipe)
	s.end()
	return s.Err
}

func (s *Sink) end() {
	s.Sock.SetWriteExpiry(0)
	if s.Busy != nil {
		s.Busy.Store(false)
	}
}
