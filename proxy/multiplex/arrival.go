package multiplex

import (
	"errors"

	"github.com/keystone-gateway/keystone-gateway/proxy/http2"
	"github.com/keystone-gateway/keystone-gateway/proxy/message"
)

// Arrival is the head of a request, and what was found out about it. It is its stream's,
// which fills in Block before its exchange begins; from then on it is the exchange's
// goroutine's.
type Arrival struct {
	// Block is the head as it was decoded.
	Block http2.Block
	// Request is what Judge has made of it: views into Block.
	Request http2.Request
	// Malformed says that what the client has sent is no request.
	Malformed bool

	judged bool // before
	waits  bool // the client, for 100 Continue
}

// Judge judges the head, each time anew. first is whether none was good before: then the
// stream learns what content there is to be. The error is a message.Violation.
func (a *Arrival) Judge(asked http2.Asked) (first bool, err error) {
	if err := a.Request.Parse(&a.Block, asked); err != nil {
		violation, _ := errors.AsType[message.Violation](err)
		a.Malformed = violation <= message.WrongLength && violation != message.BadExpect
		return false, err
	}
	if a.judged {
		return false, nil
	}
	a.judged, a.waits = true, a.Request.Continue
	return true, nil
}

// Expects says whether the client waits for 100 Continue.
func (a *Arrival) Expects() bool { return a.waits }

// Proceed reports whether the client is to be told to send the content, which it is once.
func (a *Arrival) Proceed() bool {
	waits := a.waits
	a.waits = false
	return waits
}

// Priority is what the request says of its response's (RFC 9218 §5); ok is false where it
// says nothing.
func (a *Arrival) Priority() (urgency uint8, incremental, ok bool) {
	value := a.Request.Header.Value(priorityName)
	if value == nil {
		return 0, false, false
	}
	urgency, incremental = http2.PriorityOf(value)
	return urgency, incremental, true
}

var priorityName = []byte("priority")

// Reset forgets the request, and keeps its memory.
func (a *Arrival) Reset() {
	a.Block.Reset(0)
	a.Request.Reset()
	a.Malformed, a.judged, a.waits = false, false, false
}
