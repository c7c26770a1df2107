package store

import (
	"context"
	"errors"
	"time"
)

// Store is what one tenant's scripts and policies remember, in memory or
// elsewhere, with the same meaning wherever it is. Its methods may be called at
// once by many goroutines, may block until ctx is done, and take effect as a
// whole or not at all. A value is a string, a float64 or a bool; a ttl of 0 is
// none. All arguments are values, so that they can be sent.
//
// A store whose methods never wait, or don't for now, also has a method Instant that
// returns true.
type Store interface {
	Get(ctx context.Context, key string) (value any, ok bool, err error)
	Set(ctx context.Context, key string, value any, ttl time.Duration) error
	// Add sets only a key that is absent; added says whether it did.
	Add(ctx context.Context, key string, value any, ttl time.Duration) (added bool, err error)
	// Incr adds to a number; an absent key counts as start, and gets ttl.
	Incr(ctx context.Context, key string, by, start float64, ttl time.Duration) (value float64, err error)
	Delete(ctx context.Context, key string) (deleted bool, err error)
	// TTL returns what is left of a key's life; 0 with ok is without end.
	TTL(ctx context.Context, key string) (ttl time.Duration, ok bool, err error)
	// Take asks the limit of a key for what the quota costs. The key is the
	// limit's alone, and ends when its bucket is full again.
	Take(ctx context.Context, key string, q Quota) (Verdict, error)
}

// Shared is what several gateways count together, of one tenant: a limit is what all of
// them let pass. Its methods may be called at once by many goroutines.
type Shared interface {
	// Configured says whether there is such a store now; where it is away, there is.
	Configured() bool
	// Try decides where this gateway has taken enough of the limit before, or knows that
	// nothing is left (Ahead); ok is false where it has to be asked. It neither waits nor
	// allocates.
	Try(limit string, key []byte, q Quota) (v Verdict, ok bool)
	// Take asks the limit of that name for what the quota costs, for a key, of which only
	// a hash is sent and kept. It waits shortly; an error says that nobody has decided.
	Take(ctx context.Context, limit string, key []byte, q Quota) (Verdict, error)
	// Enter takes one of the most places that the limit of that name has for a key; nil
	// says that others have all of them. It waits shortly, as Take does.
	Enter(ctx context.Context, limit string, key []byte, most int) (Place, error)
}

// Place is something in flight that several gateways count together, until Leave. It
// ends by itself, after a while, where the gateway does.
type Place interface {
	// Leave is called once, and doesn't wait. told, unless it is nil, is called once
	// the others can have the place; it must not wait.
	Leave(told func())
}

// The errors of stores. What is refused leaves the store as it was.
var (
	ErrTooLarge  = errors.New("the entry is too large for the store")
	ErrNotNumber = errors.New("the value is not a number")
	ErrNotFinite = errors.New("the result is not a finite number")
	ErrValue     = errors.New("the store holds only strings, numbers and booleans")
	ErrTTL       = errors.New("a ttl must not be negative")
	ErrLimit     = errors.New("the store holds a limit under this key")
	ErrNotLimit  = errors.New("the store holds something else than a limit under this key")
	ErrQuota     = errors.New("a quota must be made by NewQuota")
)
