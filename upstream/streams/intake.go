package streams

import (
	"github.com/keystone-gateway/keystone-gateway/proxy/http2"
	"github.com/keystone-gateway/keystone-gateway/proxy/memory"
)

const (
	// narrow is the window that a stream begins with, wide the one that it gets
	// once more is to come and memory allows it; from there it follows its reader
	// (http2.Window).
	narrow = memory.MediumBuffer
	wide   = memory.LargeBuffer
	// fewPieces hold a wide window: one piece is being read, one being filled. So
	// many are kept.
	fewPieces = wide/memory.MediumBuffer + 2
)

// Allowance grants memory; it is a *memory.Charge.
type Allowance interface {
	Acquire(bytes int64) bool
	http2.Lender
}

// intake is the content that has come and isn't read yet, in pieces. It is
// guarded by the connection's lock, but for the span that is lent out, which
// nothing is written to.
type intake struct {
	pieces []piece // a ring
	first  int     // index of the one that is read
	count  int
	held   int // bytes that aren't taken yet, the lent ones included
	lent   int // of the first piece
	left   int // of the window: what the peer may still send
	window http2.Window
}

type piece struct {
	buf  []byte
	r, w int
}

func (in *intake) reset() {
	for in.count > 0 {
		in.drop()
	}
	kept := in.pieces
	if len(kept) > fewPieces {
		kept = nil
	}
	*in = intake{pieces: kept}
}

func (in *intake) drop() {
	p := &in.pieces[in.first]
	memory.ReleaseBuffer(p.buf)
	*p = piece{}
	in.first = (in.first + 1) % len(in.pieces)
	in.count--
}

// put takes content, which the window allows.
func (in *intake) put(content []byte) {
	in.held += len(content)
	for len(content) > 0 {
		var last *piece
		if in.count > 0 {
			last = &in.pieces[(in.first+in.count-1)%len(in.pieces)]
		}
		if last == nil || last.w == len(last.buf) {
			last = in.next()
			*last = piece{buf: memory.AcquireMedium()}
			in.count++
		}
		n := copy(last.buf[last.w:], content)
		last.w += n
		content = content[n:]
	}
}

// next is the place of one more piece.
func (in *intake) next() *piece {
	if in.count == len(in.pieces) {
		more := make([]piece, max(fewPieces, 2*len(in.pieces)))
		n := copy(more, in.pieces[in.first:])
		copy(more[n:], in.pieces[:in.first])
		in.pieces, in.first = more, 0
	}
	return &in.pieces[(in.first+in.count)%len(in.pieces)]
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
	in.window.Take(in.lent)
	in.lent = 0
	if p.r == p.w && (p.w == len(p.buf) || in.count == 1) {
		in.drop()
	}
}

// flow is how things stand; left is how much content is to come.
func (in *intake) flow(left int64) http2.Flow {
	return http2.Flow{Granted: int32(in.left), Unread: int32(in.held), Left: left} //nolint:gosec // G115: both are within the window
}

// unread is how much could be taken at once.
func (in *intake) unread() int { return in.held - in.lent }
