package proxy

import (
	"io"
	"net"
	"sync/atomic"
	"time"

	"github.com/keystone-gateway/keystone-gateway/proxy/http1"
	"github.com/keystone-gateway/keystone-gateway/proxy/message"
	"github.com/keystone-gateway/keystone-gateway/proxy/socket"
)

// sink is where a message is written to, within time-outs.
type sink struct {
	conn  io.Writer     // TLS or plain
	sock  *socket.Conn  // beneath conn
	idle  time.Duration // longest time without progress
	total int64         // expiry of the whole request, 0 = none
	// minRate, in bytes a second, is what the peer must take over idle; 0 is no
	// bound.
	minRate int64
	busy    *atomic.Bool // true during a write; may be nil
	err     error        // of the first write that failed
}

func (s *sink) write(p []byte) error {
	s.begin()
	_, s.err = s.conn.Write(p)
	s.end()
	return s.err
}

// begin bounds a write: by idle from any progress, and by the least rate.
func (s *sink) begin() {
	if s.busy != nil {
		s.busy.Store(true)
	}
	s.sock.SetWriteLimits(int64(s.idle), s.minRate, s.total)
}

// writeVec writes three slices, with one system call where there is no TLS.
func (s *sink) writeVec(a, b, c []byte) error {
	if s.conn != io.Writer(s.sock) {
		for _, p := range [...][]byte{a, b, c} {
			if len(p) > 0 {
				if err := s.write(p); err != nil {
					return err
				}
			}
		}
		return nil
	}
	s.begin()
	_, s.err = s.sock.WriteVec(a, b, c)
	s.end()
	return s.err
}

// splice writes what the pipe holds, and takes it back.
func (s *sink) splice(pipe *socket.Pipe) error {
	s.begin()
	_, s.err = s.sock.WritePipe(pipe)
	s.end()
	return s.err
}

func (s *sink) end() {
	s.sock.SetWriteExpiry(0)
	if s.busy != nil {
		s.busy.Store(false)
	}
}

// pump writes the content of a body, gathered where the parts are small, and
// in chunks where that is asked for. What was added stays until it is flushed
// or the buffer is full, so flush before waiting for more.
type pump struct {
	to      *sink
	chunked bool
	out     []byte // gathered; may start with a head
}

// gather is how much is gathered before it is written.
const gather = 4 << 10

var crlf = []byte("\r\n")

// add takes one part, of at least one byte; it is not kept.
func (p *pump) add(span []byte) error {
	if len(p.out)+len(span) <= gather {
		if p.chunked {
			p.out = http1.AppendChunkSize(p.out, len(span))
		}
		p.out = append(p.out, span...)
		if p.chunked {
			p.out = append(p.out, crlf...)
		}
		return nil
	}
	var tail []byte
	if p.chunked {
		p.out = http1.AppendChunkSize(p.out, len(span))
		tail = crlf
	}
	err := p.to.writeVec(p.out, span, tail)
	p.out = p.out[:0]
	return err
}

func (p *pump) flush() error {
	if len(p.out) == 0 {
		return nil
	}
	err := p.to.write(p.out)
	p.out = p.out[:0]
	return err
}

// minSplice is how much must be still to come for a body to be spliced. For
// responses of 20 KiB that costs as much CPU as copying (31 µs), for 48 KiB 30
// instead of 34, for 64 KiB 34 instead of 36, for 96 KiB 37 instead of 49.
const minSplice = 64 << 10

// splices reports whether the rest of body is worth moving on from socket to
// socket, and may be: neither TLS nor chunks are between.
func (p *pump) splices(body *http1.Body, from net.Conn, sock *socket.Conn) bool {
	left, ok := body.Spliceable()
	return ok && left > minSplice && !p.chunked && from == net.Conn(sock) && p.to.conn == io.Writer(p.to.sock)
}

// end writes what is left, and the last chunk with the trailer section.
func (p *pump) end(trailer message.Header) error {
	if p.chunked {
		p.out = http1.AppendLastChunk(p.out, trailer)
	}
	return p.flush()
}
