// Package cache remembers what was found out about texts that are secret and costly
// to verify: passwords, tokens. It is bounded, looking something up takes no lock and
// no memory, and it holds nothing of the texts: what they are found by is the value
// of a keyed hash, whose key nobody knows, so that neither two texts of an attacker's
// choice have the same, nor tells the time of a look-up anything of what is there.
//
//	verdicts := cache.New[verdict](1024)
//	key := verdicts.AppendKey(nil, token)
//	if v := verdicts.Get(key, now); v != nil { … }
//	verdicts.Put(key, &verdict{…}, now, now+life)
package cache

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"math"
	"sync"
	"sync/atomic"
)

// KeySize is the length of a key.
const KeySize = 16

// Forever is the end of what doesn't end by time.
const Forever = math.MaxInt64

// ways are how many entries a key has to choose from.
const ways = 4

// Cache holds values of type T. Its methods may be called at once.
type Cache[T any] struct {
	hash  cipher.AEAD
	nonce [12]byte
	size  int // of sets
	first sync.Once
	sets  atomic.Pointer[[]set[T]] // made when something is put first: most tenants are asleep
}

type set[T any] struct {
	entries [ways]atomic.Pointer[entry[T]]
	next    atomic.Uint32 // which one makes room
}

type entry[T any] struct {
	key   [KeySize]byte
	until int64
	value *T
}

// New returns a cache of at least so many entries.
func New[T any](entries int) *Cache[T] {
	sets := 1
	for sets*ways < entries {
		sets *= 2
	}
	var secret [16]byte
	_, _ = rand.Read(secret[:]) // which never fails
	block, err := aes.NewCipher(secret[:])
	if err != nil {
		panic(fmt.Sprintf("BUG: no cipher: %v", err))
	}
	hash, err := cipher.NewGCM(block)
	if err != nil {
		panic(fmt.Sprintf("BUG: no hash: %v", err))
	}
	return &Cache[T]{hash: hash, size: sets}
}

// AppendKey appends the key of a text, KeySize bytes, which is GHASH of it (NIST SP
// 800-38D) under a key of this cache's, encrypted: who doesn't know that key, and
// never sees a value, finds no two texts with the same but by chance, however much is
// computed. That one nonce serves for all is no harm where no value is shown.
func (c *Cache[T]) AppendKey(dst, text []byte) []byte {
	return c.hash.Seal(dst, c.nonce[:], nil, text)
}

// Get returns the value of a key that hasn't ended at now; nil: there is none. Nobody
// may change it.
func (c *Cache[T]) Get(key []byte, now int64) *T {
	sets := c.sets.Load()
	if sets == nil {
		return nil
	}
	k := [KeySize]byte(key)
	s := setOf(*sets, &k)
	for i := range s.entries {
		if e := s.entries[i].Load(); e != nil && e.key == k && now < e.until {
			return e.value
		}
	}
	return nil
}

// Put keeps a value until a time, in the clock of Get's now; others make room for it.
func (c *Cache[T]) Put(key []byte, value *T, now, until int64) {
	c.first.Do(func() {
		sets := make([]set[T], c.size)
		c.sets.Store(&sets)
	})
	fresh := &entry[T]{[KeySize]byte(key), until, value}
	s := setOf(*c.sets.Load(), &fresh.key)
	at := -1
	for i := range s.entries {
		e := s.entries[i].Load()
		if e != nil && e.key == fresh.key {
			at = i
			break
		}
		if at < 0 && (e == nil || now >= e.until) {
			at = i
		}
	}
	if at < 0 {
		at = int(s.next.Add(1) % ways)
	}
	s.entries[at].Store(fresh)
}

// setOf is where a key is looked for. The number of sets is a power of two.
func setOf[T any](sets []set[T], key *[KeySize]byte) *set[T] {
	return &sets[binary.LittleEndian.Uint64(key[:])&uint64(len(sets)-1)] //nolint:gosec // G115: positive
}
