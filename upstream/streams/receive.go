package streams

import (
	"sync"

	"github.com/keystone-gateway/keystone-gateway/proxy/http2"
	"github.com/keystone-gateway/keystone-gateway/proxy/memory"
	"github.com/keystone-gateway/keystone-gateway/proxy/message"
)

// What the reading goroutine does to a stream, with the connection's lock held.

var blocks = sync.Pool{New: func() any { return new(http2.Block) }}

func acquireBlock() *http2.Block {
	b := blocks.Get().(*http2.Block) //nolint:forcetypeassert // the pool holds nothing else
	b.Reset(maxHead)
	return b
}

func releaseBlock(b *http2.Block) {
	b.Reset(maxHead)
	blocks.Put(b)
}

// takeHead takes a header section: interim responses, the final one, and the
// trailer section. Whether they are well-formed, who reads them finds out; only
// what decides about the frames that follow is looked at here.
func (s *Stream) takeHead(b *http2.Block, end bool) {
	if s.final {
		s.takeTrailer(b, end)
		return
	}
	s.begun = true
	s.heads = append(s.heads, b)
	interim := isInterim(b)
	granted := s.holdHead(b)
	switch {
	case !granted:
		s.failLocked(memory.ErrNoMemory)
		s.resetByUs(http2.Cancel)
		return
	case interim && s.unread > maxHead:
		s.refuseLocked(http2.EnhanceYourCalm, "informational responses of more than 64 KiB that wait to be passed on")
		return
	case s.ended || interim && end:
		s.refuseLocked(http2.ProtocolError, "the response ended with an interim head")
		return
	case interim && len(s.heads) > maxInterim:
		s.refuseLocked(http2.EnhanceYourCalm, "too many informational responses")
		return
	}
	if !interim {
		s.final = true
		s.length = s.expected(b)
	}
	if end {
		s.endLocked()
	}
	notify(s.wake)
}

func (s *Stream) takeTrailer(b *http2.Block, end bool) {
	if !end || s.ended || s.tail != nil {
		releaseBlock(b)
		s.refuseLocked(http2.ProtocolError, "a header section amid the content of a response")
		return
	}
	s.tail = b
	if !s.holdHead(b) {
		s.failLocked(memory.ErrNoMemory)
		s.resetByUs(http2.Cancel)
		return
	}
	s.endLocked()
}

// freeHeads is what unread heads may take before they are charged: what a stream
// mostly has.
const freeHeads = 8 << 10

func headSize(b *http2.Block) int { return min(b.Size(), maxHead) }

// holdHead charges a head, which waits to be read. It reports whether there is memory.
func (s *Stream) holdHead(b *http2.Block) bool {
	s.unread += headSize(b)
	more := int64(s.unread) - s.headCharge
	if s.unread <= freeHeads || more <= 0 || s.allowance == nil {
		return true
	}
	if !s.allowance.Acquire(more) {
		return false
	}
	s.headCharge += more
	return true
}

func isInterim(b *http2.Block) bool {
	return b.Len() > 0 && string(b.Name(0)) == ":status" && len(b.Value(0)) == 3 && b.Value(0)[0] == '1'
}

// expected is how much content is to come after a final head, or Unsized.
func (s *Stream) expected(b *http2.Block) int64 {
	if s.toHEAD {
		return 0
	}
	for i := range b.Len() {
		switch name := b.Name(i); {
		case i == 0 && (string(b.Value(0)) == "204" || string(b.Value(0)) == "304"):
			return 0
		case string(name) == "content-length":
			if n, ok := parseLength(b.Value(i)); ok {
				return n
			}
		}
	}
	return message.Unsized
}

func parseLength(value []byte) (n int64, ok bool) {
	if len(value) == 0 || len(value) > 18 {
		return 0, false
	}
	for _, c := range value {
		if c < '0' || c > '9' {
			return 0, false
		}
		n = n*10 + int64(c-'0')
	}
	return n, true
}

// takeData takes content.
func (s *Stream) takeData(f *http2.Frame, end bool) {
	n := int64(len(f.Payload))
	if s.in.left -= f.Length; s.in.left < 0 {
		s.refuseLocked(http2.FlowControlError, "more DATA than the stream's window allows")
		return
	}
	switch {
	case !s.final || s.ended:
		s.refuseLocked(http2.ProtocolError, "DATA outside of a response")
		return
	case s.length >= 0 && n > s.length:
		s.refuseLocked(http2.ProtocolError, "more content than the response's Content-Length says")
		return
	}
	if s.length >= 0 {
		s.length -= n
	}
	s.in.put(f.Payload)
	if end {
		s.endLocked()
	}
	if n > 0 || end {
		notify(s.wake)
	}
}

// endLocked ends the response, which must be whole.
func (s *Stream) endLocked() {
	if s.length > 0 {
		s.refuseLocked(http2.ProtocolError, "less content than the response's Content-Length says")
		return
	}
	s.ended = true
	notify(s.wake)
}

// refuseLocked ends the stream since the target has broken a rule.
func (s *Stream) refuseLocked(code http2.Code, why string) {
	if s.err != nil {
		return
	}
	s.failLocked(&http2.StreamError{Stream: s.id, Code: code, Why: why})
	s.resetByUs(code)
}

func (s *Stream) resetByUs(code http2.Code) {
	if s.gone {
		return
	}
	s.gone = true // the target knows
	s.closed = true
	s.c.out.buf = http2.AppendReset(s.c.out.buf, s.id, code)
}
