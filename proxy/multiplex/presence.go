// Package multiplex is what the streams of HTTP/2 and those of HTTP/3 have in common, for
// the packages that serve connections with many of them: whether a stream's client is
// still there (Presence), what has come of its request (Arrival), what it holds (Held),
// and how far a connection is on its way to its end (Leaving). Frames, windows and how
// often a client may do what are theirs.
package multiplex

import (
	"sync"

	"github.com/keystone-gateway/keystone-gateway/proxy/exchange"
)

// Presence is whether a stream's client still wants its answer: an exchange.Presence. The
// zero value is a client that does. Any goroutine may call its methods, but for Reset.
type Presence struct {
	mu     sync.Mutex
	call   exchange.Aborter // to abort when the client has gone; guarded by mu, as all below
	cancel func()
	gone   error // nobody wants the answer
}

// BeginWait has call aborted when the client has given the stream up.
func (p *Presence) BeginWait(call exchange.Aborter, _ int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.call = call
	if p.gone != nil {
		call.Abort(p.gone)
	}
}

// EndWait ends that.
func (p *Presence) EndWait() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.call = nil
}

// Watch has cancel called then, until end is.
func (p *Presence) Watch(cancel func()) (end func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cancel = cancel
	if p.gone != nil {
		cancel()
	}
	return p.endWatch
}

func (p *Presence) endWatch() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cancel = nil
}

// GiveUp ends whatever the stream's exchange waits for. The first cause is the one that
// stays.
func (p *Presence) GiveUp(cause error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.gone == nil {
		p.gone = cause
	}
	if p.call != nil {
		p.call.Abort(cause)
	}
	if p.cancel != nil {
		p.cancel()
	}
}

// Gone is why nobody wants the answer; nil: the client does.
func (p *Presence) Gone() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.gone
}

// Reset makes p one of another client. Nobody else may use it meanwhile.
func (p *Presence) Reset() { p.call, p.cancel, p.gone = nil, nil, nil }

var _ exchange.Presence = (*Presence)(nil)
