package http1

import "github.com/keystone-gateway/keystone-gateway/proxy/message"

// Pump writes the content of a body, gathered where the parts are small, and
// in chunks where that is asked for. What was added stays until it is flushed
// or the buffer is full, so flush before waiting for more.
type Pump struct {
	Sink
	Chunked bool
	Out     []byte // gathered; may start with a head
}

// gather is how much is gathered before it is written.
const gather = 4 << 10

var crlf = []byte("\r\n")

// Add takes one part, of at least one byte; it is not kept.
func (p *Pump) Add(span []byte) error {
	if len(p.Out)+len(span) <= gather {
		if p.Chunked {
			p.Out = AppendChunkSize(p.Out, len(span))
		}
		p.Out = append(p.Out, span...)
		if p.Chunked {
			p.Out = append(p.Out, crlf...)
		}
		return nil
	}
	var tail []byte
	if p.Chunked {
		p.Out = AppendChunkSize(p.Out, len(span))
		tail = crlf
	}
	err := p.writeVec(p.Out, span, tail)
	p.Out = p.Out[:0]
	return err
}

// Flush writes what was gathered.
func (p *Pump) Flush() error {
	if len(p.Out) == 0 {
		return nil
	}
	err := p.Write(p.Out)
	p.Out = p.Out[:0]
	return err
}

// End writes what is left, and the last chunk with the trailer section.
func (p *Pump) End(trailer message.Header) error {
	if p.Chunked {
		p.Out = AppendLastChunk(p.Out, trailer)
	}
	return p.Flush()
}
