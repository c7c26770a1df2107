// Package tickets seals the sessions that TLS clients resume. Keys change with each
// period and come from a Source: one that only this process knows, or a secret that
// several gateways share, which then resume each other's sessions. A ticket opens
// for nobody but whom it was sealed for: whoever has the same terms and name.
//
//	keys := tickets.New(time.Now)
//	keys.Use(tickets.Shared(secret))
//	ticket, err := keys.Seal(terms, "shop.example.com", session)
package tickets

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"sync"
	"sync/atomic"
	"time"

	"github.com/keystone-gateway/keystone-gateway/proxy/files"
)

const (
	// Period is how long a key seals.
	Period = 12 * time.Hour
	// keptPeriods is how many periods' keys open tickets: the current one's and those before.
	// One of the next period comes from a gateway whose clock is ahead.
	keptPeriods = 3
)

// Source gives the secrets of which keys are made. It is called by many goroutines
// at once.
type Source interface {
	// Secret returns that of a period, which began so many Periods after 1970; ok is
	// false where there is none. now is the current one.
	Secret(period, now int64) (secret []byte, ok bool)
}

// Keys seals and opens tickets. Its methods may be called at once.
type Keys struct {
	clock  func() time.Time
	source atomic.Pointer[Source]
}

// New returns keys that nobody else has, until Use.
func New(clock func() time.Time) *Keys {
	k := &Keys{clock: clock}
	k.Use(&own{})
	return k
}

// Use has keys come from another source, at once: tickets of the one before don't
// open any more.
func (k *Keys) Use(source Source) { k.source.Store(&source) }

func (k *Keys) now() int64 { return k.clock().Unix() / int64(Period/time.Second) }

// header is what a ticket begins with: the period, and the nonce.
const header = 4 + 12

// Seal returns the ticket of a session.
func (k *Keys) Seal(terms [sha256.Size]byte, name string, session []byte) ([]byte, error) {
	now := k.now()
	secret, ok := (*k.source.Load()).Secret(now, now)
	if !ok {
		return nil, errNone
	}
	aead, err := aeadOf(secret, now, &terms, name)
	if err != nil {
		return nil, err
	}
	ticket := make([]byte, header, header+len(session)+aead.Overhead())
	binary.BigEndian.PutUint32(ticket, uint32(now)) //nolint:gosec // G115: it lasts for some million years
	if _, err := rand.Read(ticket[4:header]); err != nil {
		return nil, err
	}
	return aead.Seal(ticket, ticket[4:header], session, nil), nil
}

// Open returns the session of a ticket; nil where it isn't one of these keys, or too
// old.
func (k *Keys) Open(terms [sha256.Size]byte, name string, ticket []byte) []byte {
	if len(ticket) < header {
		return nil
	}
	now, period := k.now(), int64(binary.BigEndian.Uint32(ticket))
	if period > now+1 || period <= now-keptPeriods {
		return nil
	}
	source := *k.source.Load()
	if secret, ok := source.Secret(period, now); ok {
		if session := open(secret, period, &terms, name, ticket); session != nil {
			return session
		}
	}
	if earlier, ok := source.(interface{ Before(period int64) [][]byte }); ok {
		for _, secret := range earlier.Before(period) {
			if session := open(secret, period, &terms, name, ticket); session != nil {
				return session
			}
		}
	}
	return nil
}

func open(secret []byte, period int64, terms *[sha256.Size]byte, name string, ticket []byte) []byte {
	aead, err := aeadOf(secret, period, terms, name)
	if err != nil {
		return nil
	}
	session, err := aead.Open(nil, ticket[4:header], ticket[header:], nil)
	if err != nil {
		return nil
	}
	return session
}

var errNone = errors.New("there is no key for session tickets")

// aeadOf makes the key of a period for some terms and one name, which takes a
// hundredth of what a handshake does.
func aeadOf(secret []byte, period int64, terms *[sha256.Size]byte, name string) (cipher.AEAD, error) {
	info := fmt.Sprintf("keystone session ticket 1 %d %x %s", period, terms[:], name)
	key, err := hkdf.Key(sha256.New, secret, nil, info, 32)
	if err != nil {
		return nil, err
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(block)
}

// own makes secrets that only this process knows, and forgets them.
type own struct {
	mu      sync.Mutex
	secrets map[int64][]byte
}

// Secret returns that of a period that the process has seen.
func (o *own) Secret(period, now int64) ([]byte, bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if secret := o.secrets[period]; secret != nil || period != now {
		return secret, secret != nil
	}
	kept := map[int64][]byte{now: make([]byte, 32)}
	if _, err := rand.Read(kept[now]); err != nil {
		return nil, false
	}
	for at, secret := range o.secrets {
		if at > now-keptPeriods {
			kept[at] = secret
		}
	}
	o.secrets = kept
	return kept[now], true
}

// known returns the secret of a period, if there is one.
func (o *own) known(period int64) []byte {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.secrets[period]
}

// Own returns the secrets that only this process knows, by their periods, for one
// that goes on in its place; nil where they are shared.
func (k *Keys) Own() map[int64][]byte {
	o, ok := (*k.source.Load()).(*own)
	if !ok {
		return nil
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	return maps.Clone(o.secrets)
}

// Inherited goes on with secrets that Own has returned.
func Inherited(secrets map[int64][]byte) Source { return &own{secrets: secrets} }

// Shared is a secret that several gateways have; what has it can read what it has
// sealed, and make sessions up.
type Shared []byte

// Secret is the same in every period: keys differ by what is mixed into them.
func (s Shared) Secret(_, _ int64) ([]byte, bool) { return s, true }

const (
	// leastSecret and mostSecret bound a file with a secret, in bytes.
	leastSecret = 32
	mostSecret  = 64 << 10
)

// Read reads a secret from a file.
func Read(path string) (Shared, error) {
	secret, err := files.Read(path, mostSecret)
	if err != nil {
		return nil, err
	}
	if len(secret) < leastSecret {
		return nil, fmt.Errorf("it has %d bytes, expected at least %d, as of openssl rand -out FILE 48", len(secret), leastSecret)
	}
	return secret, nil
}
