package http1

import "github.com/keystone-gateway/keystone-gateway/proxy/socket"

// MinSplice is how much must be still to come for a body to be spliced. For
// responses of 20 KiB that costs as much CPU as copying (31 µs), for 48 KiB 30
// instead of 34, for 64 KiB 34 instead of 36, for 96 KiB 37 instead of 49.
const MinSplice = 64 << 10

// Splices reports whether the rest of the body is worth moving on from socket to
// socket, and may be: neither chunks, a buffer nor TLS are between.
func (b *Body) Splices() bool {
	left, ok := b.Spliceable()
	if !ok || left <= MinSplice {
		return false
	}
	_, plain := b.r.src.(*socket.Conn)
	return plain
}

// ReadPipe is Next for a body that Splices: the next part is in a pipe, which is
// the caller's. Where there is no pipe, the error is socket.ErrNoSplice, and the
// rest can be had from Next.
func (b *Body) ReadPipe() (*socket.Pipe, error) {
	pipe, err := b.r.src.(*socket.Conn).ReadPipe(b.left) //nolint:forcetypeassert // Splices has looked
	if err == socket.ErrNoSplice {
		return nil, err
	}
	return pipe, b.Spliced(pipe.Len(), err)
}

// Splices reports whether content may be moved on to here from another socket:
// neither TLS nor chunks are between.
func (p *Pump) Splices() bool { return !p.Chunked && p.Plain() }

// WritePipe flushes, and writes what the pipe holds, and takes it back.
func (p *Pump) WritePipe(pipe *socket.Pipe) error {
	if err := p.Flush(); err != nil {
		pipe.Discard()
		return err
	}
	return p.Splice(pipe)
}

// Spliceable returns how many bytes the source has still to send, if they may
// be moved on from there without going through the reader: ok is false unless
// the length is known and nothing is buffered.
func (b *Body) Spliceable() (n int64, ok bool) {
	return b.left, b.err == nil && b.framing == Length && b.r.Buffered() == 0
}

// Spliced says that n bytes, at most what Spliceable has returned, were taken
// from the source, or how that failed. It returns the error as Next would have.
func (b *Body) Spliced(n int, err error) error {
	b.r.Release() // an empty buffer
	b.left -= int64(n)
	b.read += int64(n)
	if err != nil {
		b.err = unexpected(err)
	}
	return b.err
}
