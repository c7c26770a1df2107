package redis

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"strconv"
	"sync/atomic"
)

// guard is a connection to a server that may say anything. The library panics, on
// goroutines of its own, at a reply that nobody has asked for, and at lengths that no
// value has; so what is read is looked at first, and what isn't a reply of RESP, within
// bounds, to a command that was sent, ends the connection before the library sees it.
type guard struct {
	net.Conn
	sent     values // what the library writes
	received values
	asked    atomic.Int64 // commands that were sent as a whole
	closed   func(*guard)
}

// bounds are what one whole value may have, with all that is within it.
type bounds struct{ bytes, elements int64 }

var (
	aloneBounds   = bounds{MostValue + 16<<10, 1 << 10} // what entries take, limits, secrets, and a handshake
	clusterBounds = bounds{8 << 20, 1 << 18}            // a cluster's 2^14 slots, each with some nodes
	sentBounds    = bounds{64 << 20, 1 << 18}           // commands are the gateway's own
)

const mostNested = 8 // arrays within arrays

// errReply is what all that is wrong with replies is.
var errReply = errors.New("the server's reply is none")

func newGuard(conn net.Conn, cluster bool, closed func(*guard)) *guard {
	received := aloneBounds
	if cluster {
		received = clusterBounds
	}
	return &guard{Conn: conn, sent: values{most: sentBounds}, received: values{most: received}, closed: closed}
}

// Write counts the commands before they are sent: their replies may come at once.
func (g *guard) Write(p []byte) (int, error) {
	if err := g.sent.feed(p, 1<<62); err != nil {
		return 0, err
	}
	g.asked.Store(g.sent.ended)
	return g.Conn.Write(p) //nolint:wrapcheck // the library's
}

// Read passes on what is part of a reply.
func (g *guard) Read(p []byte) (int, error) {
	n, err := g.Conn.Read(p)
	if n > 0 {
		if wrong := g.received.feed(p[:n], g.asked.Load()); wrong != nil {
			_ = g.Close()
			return 0, wrong
		}
	}
	return n, err //nolint:wrapcheck // the library's
}

// Close closes the connection.
func (g *guard) Close() error {
	if g.closed != nil {
		g.closed(g)
	}
	return g.Conn.Close() //nolint:wrapcheck // the library's
}

// values reads along a sequence of RESP's values, and keeps none of them.
type values struct {
	most   bounds
	size   bounds // of the value that is being read, so far
	kind   byte   // of the line that is being read; 0: a value begins
	line   [24]byte
	length int               // of that line, of which line has the beginning
	last   byte              // of that line, so far
	skip   int64             // what is left of a string, with its end
	open   [mostNested]int64 // elements that are left of each array around
	depth  int
	begun  int64 // values that aren't elements
	ended  int64
}

// feed reads what comes next; most values may have begun.
func (v *values) feed(p []byte, most int64) error {
	for len(p) > 0 {
		switch {
		case v.skip > 0:
			n := min(v.skip, int64(len(p)))
			p, v.skip = p[n:], v.skip-n
			if v.skip == 0 {
				v.end()
			}
		case v.kind == 0:
			if v.depth == 0 {
				v.size = bounds{}
				if v.begun++; v.begun > most {
					return fmt.Errorf("%w that was asked for", errReply)
				}
			}
			if bytes.IndexByte([]byte("$=!*~%:,(#_+-"), p[0]) < 0 {
				return fmt.Errorf("%w: it begins with %q", errReply, p[0])
			}
			v.kind, v.length, v.last = p[0], 0, 0
			p = p[1:]
			if err := v.grow(1, 0); err != nil {
				return err
			}
		default:
			n := bytes.IndexByte(p, '\n')
			part := p
			if n >= 0 {
				part = p[:n]
			}
			if err := v.add(part); err != nil {
				return err
			}
			if p = p[len(part):]; n < 0 {
				continue
			}
			p = p[1:]
			if err := v.endLine(); err != nil {
				return err
			}
		}
	}
	return nil
}

// add takes a part of a line.
func (v *values) add(part []byte) error {
	if len(part) == 0 {
		return nil
	}
	if v.length < len(v.line) {
		copy(v.line[v.length:], part)
	}
	v.length += len(part)
	v.last = part[len(part)-1]
	return v.grow(int64(len(part)), 0)
}

// grow counts what belongs to the value, before it is read where that is known.
func (v *values) grow(bytes, elements int64) error {
	v.size.bytes += bytes
	v.size.elements += elements
	if v.size.bytes > v.most.bytes {
		return fmt.Errorf("%w: it has more than %d bytes", errReply, v.most.bytes)
	}
	if v.size.elements > v.most.elements {
		return fmt.Errorf("%w: it has more than %d elements", errReply, v.most.elements)
	}
	return nil
}

// endLine says what a whole line means.
func (v *values) endLine() error {
	kind := v.kind
	v.kind = 0
	if v.last != '\r' {
		return fmt.Errorf("%w: a line doesn't end with CR LF", errReply)
	}
	text := v.line[:min(v.length-1, len(v.line))]
	switch kind {
	case '+', '-', ',', '(':
		v.end()
		return nil
	case '_', '#': // of which the library skips so many bytes
		if kind == '_' && len(text) != 0 || kind == '#' && string(text) != "t" && string(text) != "f" {
			return fmt.Errorf("%w: %q is no value of %q", errReply, text, kind)
		}
		v.end()
		return nil
	}
	n, err := strconv.ParseInt(string(text), 10, 64)
	if err != nil || v.length-1 > len(v.line) || text[0] == '+' {
		return fmt.Errorf("%w: %q is no number", errReply, text)
	}
	if kind == ':' {
		v.end()
		return nil
	}
	return v.enter(kind, n)
}

// enter begins a value of a length.
func (v *values) enter(kind byte, n int64) error {
	bulk := kind == '$' || kind == '=' || kind == '!'
	most := v.most.elements
	if bulk {
		most = v.most.bytes
	}
	switch {
	case n == -1 && (kind == '$' || kind == '*'):
		v.end()
		return nil
	case n < 0 || n > most:
		return fmt.Errorf("%w: %q has the length %d, expected at most %d", errReply, kind, n, most)
	case bulk:
		v.skip = n + 2
		return v.grow(n, 0)
	case kind == '%':
		n *= 2
	}
	if err := v.grow(0, n); err != nil {
		return err
	}
	if n == 0 {
		v.end()
		return nil
	}
	if v.depth == mostNested {
		return fmt.Errorf("%w: arrays are nested deeper than %d", errReply, mostNested)
	}
	v.open[v.depth] = n
	v.depth++
	return nil
}

// end ends a value, and the arrays whose last element it was.
func (v *values) end() {
	for v.depth > 0 {
		if v.open[v.depth-1]--; v.open[v.depth-1] > 0 {
			return
		}
		v.depth--
	}
	v.ended++
}
