package exchange

import (
	"fmt"
)

// What connections and requests hold besides buffers that grow, in bytes, as
// measured. Whatever else depends on a client, a target or a script is charged
// where it is allocated: see exchange.hold.
const (
	// exchangeSize is a request: its exchange with scratch memory, a growing
	// stack, small and medium buffers. scriptSize is what scripts add to that: a
	// Lua thread, a deeper stack, and a response of at most keepBody.
	exchangeSize = 16 << 10
	scriptSize   = 24 << 10
	keepBody     = 16 << 10
	// uploadSize and tunnelSize are another goroutine with its buffer.
	uploadSize = 12 << 10
	tunnelSize = 16 << 10
	// largeHead is from where a head is charged by its length, with what is made
	// of it: a copy, its fields, the path in another form, the head to send on.
	largeHead  = 4 << 10
	headCopies = 5
)

// encoderSizes are those of encoders at the level that takes most.
var encoderSizes = [codingCount]int64{gzipCoding: 1440 << 10, brotliCoding: 2800 << 10, zstdCoding: 2100 << 10}

// enter charges the request to its tenant.
func (x *exchange) enter() error {
	account := &x.Tenant.Stats.Memory
	size := exchangeSize + x.web.size()
	if x.Tenant.Scripts != nil {
		size += scriptSize
	}
	if account.Shedding() && (x.Tenant.Scripts != nil || x.Message.Length != 0) || !x.memory.Move(account, size) {
		return x.outOfMemory()
	}
	return nil
}

// hold charges what the request is about to allocate; it has gone when the
// request ends, or by release before.
func (x *exchange) hold(bytes int64) error {
	if !x.memory.Acquire(bytes) {
		return x.outOfMemory()
	}
	return nil
}

// outOfMemory refuses what would take the tenant beyond what it may hold.
func (x *exchange) outOfMemory() error {
	if x.Tenant == nil {
		return OutOfMemory
	}
	account := &x.Tenant.Stats.Memory
	var why error
	switch {
	case account.Shedding():
		why = fmt.Errorf("the gateway has too little memory, and tenant %q holds most of it", x.Tenant.Name)
	case !account.Allows(exchangeSize):
		why = fmt.Errorf("the requests of tenant %q hold max_client_memory, %d bytes", x.Tenant.Name, account.Limit())
	default:
		why = fmt.Errorf("requests hold server.max_memory, %d bytes, and tenant %q has no more than its part", x.plane.Memory.Ceiling(), x.Tenant.Name)
	}
	return &caused{OutOfMemory, why}
}

// holdHead charges a large head with what is made of it.
func (x *exchange) holdHead(length int) error {
	if length <= largeHead {
		return nil
	}
	return x.hold(int64(headCopies * length))
}

// holdResponse charges what scripts have left to be sent: until now it was
// charged to their run.
func (x *exchange) holdResponse() error {
	x.dropBody()
	size := int64(cap(x.response.Body))
	if size <= keepBody {
		size = 0
	}
	charged := x.script.charged
	x.script.charged = size
	if size <= charged {
		x.memory.Release(charged - size)
	} else if err := x.hold(size - charged); err != nil {
		return err
	}
	return x.holdFields()
}

// holdFields charges the head that is made of the fields.
func (x *exchange) holdFields() error {
	h, length := *x.response.Header, 0
	for i := range h {
		length += len(h[i].Name) + len(h[i].Value)
	}
	if length <= largeHead {
		return nil
	}
	return x.hold(int64(2 * length))
}

// holdPage charges a body of the configuration's that is about to become the response's.
func (x *exchange) holdPage(body []byte) error {
	s := &x.script
	x.memory.Release(s.charged)
	s.charged = 0
	if len(body) <= keepBody {
		return nil
	}
	if err := x.hold(int64(len(body))); err != nil {
		return err
	}
	s.charged = int64(len(body))
	return nil
}

// dropBody forgets the request's body, once nobody can ask for it any more.
func (x *exchange) dropBody() {
	s := &x.script
	if s.took > 0 {
		x.memory.Release(s.took)
	}
	s.body, s.read, s.took, s.request.Body, x.call.Payload = nil, false, 0, nil, nil
	x.content.release(x.memory)
}
