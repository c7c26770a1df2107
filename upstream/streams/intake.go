package streams

import "github.com/keystone-gateway/keystone-gateway/proxy/memory"

const (
	// narrow is the window that a stream begins with, wide the one that it gets
	// once more is to come and memory allows it.
	narrow = memory.MediumBuffer
	wide   = memory.LargeBuffer
	// mostPieces holds a wide window: one piece is being read, one being filled.
	mostPieces = wide/memory.MediumBuffer + 2
)

// Allowance grants memory; it is http1's.
type Allowance interface {
	Acquire(bytes int64) bool
	Release(bytes int64)
}

// intake is the content that has come and isn't read yet, in pieces. It is
// guarded by the connection's lock, but for the span that is lent out, which
// nothing is written to.
type intake struct {
	pieces [mostPieces]piece
	first  int // index of the one that is read
	count  int
	held   int // bytes that aren't taken yet, the lent ones included
	lent   int // of the first piece
	credit int // bytes that were read and not given back to the peer yet
	left   int // of the window: what the peer may still send
	window int
}

type piece struct {
	buf  []byte
	r, w int
}

func (in *intake) reset() {
	for in.count > 0 {
		in.drop()
	}
	*in = intake{}
}

func (in *intake) drop() {
	p := &in.pieces[in.first]
	memory.ReleaseBuffer(p.buf)
	*p = piece{}
	in.first = (in.first + 1) % mostPieces
	in.count--
}

// put takes content, which the window allows.
func (in *intake) put(content []byte) {
	in.held += len(content)
	for len(content) > 0 {
		var last *piece
		if in.count > 0 {
			last = &in.pieces[(in.first+in.count-1)%mostPieces]
		}
		if last == nil || last.w == len(last.buf) {
			last = &in.pieces[(in.first+in.count)%mostPieces]
			*last = piece{buf: memory.AcquireMedium()}
			in.count++
		}
		n := copy(last.buf[last.w:], content)
		last.w += n
		content = content[n:]
	}
}

// take lends what the first piece has, until it is called again; empty where
// there is nothing.
func (in *intake) take() []byte {
	in.settle()
	if in.held == 0 {
		return nil
	}
	p := &in.pieces[in.first]
	span := p.buf[p.r:p.w]
	in.lent = len(span)
	return span
}

// settle takes back what was lent. A piece that has been read is given up:
// nobody who waits holds one.
func (in *intake) settle() {
	if in.lent == 0 {
		return
	}
	p := &in.pieces[in.first]
	p.r += in.lent
	in.held -= in.lent
	in.credit += in.lent
	in.lent = 0
	if p.r == p.w && (p.w == len(p.buf) || in.count == 1) {
		in.drop()
	}
}

// unread is how much could be taken at once.
func (in *intake) unread() int { return in.held - in.lent }
