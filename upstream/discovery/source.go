// Package discovery finds out where targets are, off the request path. A Source
// is a type in a file here, which whoever makes targets chooses:
//
//	source := names.Acquire("app.example") // or discovery.Static{ip}
//	defer source.Close()
//	addresses := source.Addresses()
//
// What becomes of a target that is nowhere is left to others.
package discovery

import "net/netip"

// Source gives a target its addresses, again and again; one that fails, or
// answers with none, keeps its last good answer. It belongs to one target.
type Source interface {
	// Addresses returns the last good answer, which nobody may change, or nil
	// while there is none. It doesn't block and doesn't allocate.
	Addresses() []netip.Addr
	// Tried is closed once there was an answer or an error.
	Tried() <-chan struct{}
	// Subscribe has tell called with what is known so far, and then with each
	// error until there are addresses, and with nil once there are. Source calls
	// tell with a lock of its own held, so that things are told in order. Call it
	// once at most.
	Subscribe(tell func(error))
	// Close ends it. Addresses stay as they are.
	Close()
}

// Static is addresses that are known for good.
type Static []netip.Addr

var closed = func() chan struct{} {
	c := make(chan struct{})
	close(c)
	return c
}()

// Addresses returns s.
func (s Static) Addresses() []netip.Addr { return s }

// Tried returns a closed channel.
func (Static) Tried() <-chan struct{} { return closed }

// Subscribe tells that there are addresses.
func (Static) Subscribe(tell func(error)) { tell(nil) }

// Close does nothing.
func (Static) Close() {}
