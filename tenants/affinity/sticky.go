package affinity

import (
	"encoding/binary"
	"net/http"
	"time"

	"github.com/keystone-gateway/keystone-gateway/proxy/message"
	"github.com/keystone-gateway/keystone-gateway/tenants/cache"
	"github.com/keystone-gateway/keystone-gateway/tenants/cookie"
)

// Cookie is how the cookie looks by which clients come back to their target.
type Cookie struct {
	Name, Path string
	Domain     string
	MaxAge     time.Duration // 0: until the browser is closed
	Secure     bool
	HTTPOnly   bool
	SameSite   http.SameSite
}

// Sticky knows by a signed cookie which target a client has been at. Its methods may be
// called at once.
type Sticky struct {
	cookie  Cookie
	returns bool
	keys    *cookie.Keys
	known   *cache.Cache[Home]
}

// Home is what a cookie says.
type Home struct {
	First   uint64 // the key of the target that the client was sent to first
	Current uint64 // of that at which it is
	Given   int64  // when, in seconds since 1970
}

// knownCookies is how many cookies of a pool are known to be good without another look.
const knownCookies = 4096

// longestSession is how long a cookie without max_age is good for.
const longestSession = 90 * 24 * time.Hour

// NewSticky returns what gives such cookies. With returns, clients whose target was away
// go back to it. The error is about the secrets, which are to have 32 bytes at least;
// the first one signs.
func NewSticky(c Cookie, returns bool, secrets ...[]byte) (*Sticky, error) {
	keys, err := cookie.NewKeys(secrets...)
	if err != nil {
		return nil, err
	}
	return &Sticky{c, returns, keys, cache.New[Home](knownCookies)}, nil
}

// Returns reports whether clients go back to the target at which they were first.
func (s *Sticky) Returns() bool { return s.returns }

// mostCookies is how many cookies of the name are looked at in a request.
const mostCookies = 8

// Read returns what the request's cookie says, the first one that is good of several;
// zero without any. It allocates only for cookies that it hasn't seen lately. Scratch is
// memory for it.
func (s *Sticky) Read(h message.Header, scratch []byte, now time.Time) (home Home, used []byte) {
	looked := 0
	for text := range cookie.All(h, s.cookie.Name) {
		if looked++; looked > mostCookies {
			break
		}
		if home, scratch = s.read(text, scratch, now); home != (Home{}) {
			break
		}
	}
	return home, scratch
}

func (s *Sticky) read(text, scratch []byte, now time.Time) (home Home, used []byte) {
	if len(text) > 256 {
		return Home{}, scratch
	}
	scratch = s.known.AppendKey(scratch[:0], text)
	if known := s.known.Get(scratch, now.Unix()); known != nil {
		return *known, scratch
	}
	value, err := s.keys.Verify(s.cookie.Name, string(text), now)
	if err != nil || len(value) != 24 {
		return Home{}, scratch
	}
	kept := &Home{binary.BigEndian.Uint64(value), binary.BigEndian.Uint64(value[8:]), int64(binary.BigEndian.Uint64(value[16:]))} //nolint:gosec // G115: signed by ourselves
	s.known.Put(scratch, kept, now.Unix(), kept.Given+int64(s.life()/time.Second))
	return *kept, scratch
}

func (s *Sticky) life() time.Duration {
	if s.cookie.MaxAge > 0 {
		return s.cookie.MaxAge
	}
	return longestSession
}

// Wants reports whether a client that came with what home says, and was sent to the
// target of a key, is to get another cookie: another target, or a cookie half of whose
// time has passed.
func (s *Sticky) Wants(home Home, target uint64, now time.Time) bool {
	return home.Current != target || now.Unix()-home.Given > int64(s.life()/time.Second/2)
}

// Line returns the value of the Set-Cookie field for a client that came with what home
// says and was sent to the target of a key.
func (s *Sticky) Line(home Home, target uint64, now time.Time) (string, error) {
	first := target
	if s.returns && home.First != 0 {
		first = home.First
	}
	var value [24]byte
	binary.BigEndian.PutUint64(value[:], first)
	binary.BigEndian.PutUint64(value[8:], target)
	binary.BigEndian.PutUint64(value[16:], uint64(now.Unix())) //nolint:gosec // G115: positive
	c := &s.cookie
	return cookie.Line(&http.Cookie{ //nolint:gosec // G124: as the configuration has it
		Name: c.Name, Value: s.keys.Sign(c.Name, value[:], now.Add(s.life())), Path: c.Path, Domain: c.Domain, MaxAge: int(c.MaxAge / time.Second),
		Secure: c.Secure, HttpOnly: c.HTTPOnly, SameSite: c.SameSite,
	})
}
