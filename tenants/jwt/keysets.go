package jwt

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/keystone-gateway/keystone-gateway/tenants/fetch"
)

const (
	maxSets     = 16        // URLs of a tenant
	maxSetBytes = 256 << 10 // of one set
	setLife     = 10 * time.Minute
	minSetLife  = time.Minute
	maxSetLife  = time.Hour
	// staleLife is how long old keys are used when no new ones can be had.
	staleLife = time.Hour
	// refetchPause is between two fetches that unknown keys cause, and between
	// two that fail while there are old keys.
	refetchPause = 30 * time.Second
	// failurePause is between two fetches that fail while there are no keys:
	// meanwhile every token is refused at once.
	failurePause = 5 * time.Second
)

var errTooManySets = fmt.Errorf("more than %d key sets are in use", maxSets)

// KeySets are the keys of one tenant: sets that were fetched, and keys that were
// given as text, parsed. The zero value is ready. All methods may be called at
// once.
type KeySets struct {
	mu     sync.Mutex // guards everything here and in the sets; never held while waiting
	sets   map[string]*keySet
	parsed map[parsedID]any
}

// keySet is what is known of one URL.
type keySet struct {
	keys      []setKey
	expires   time.Time     // of keys
	tried     time.Time     // when the last fetch began
	refetched time.Time     // when an unknown key last caused one
	err       error         // of the last fetch
	fetching  chan struct{} // closed when the fetch under way ends; nil is none
}

// Source is how key sets are fetched, and the time by which they age.
type Source struct {
	Client *fetch.Client
	Now    func() time.Time
}

// Find returns the keys that may have signed a token, and waits for them to be
// fetched where they must be. However many wait, they are fetched once.
// wait has to return when fetched is closed, and may earlier.
func (s *KeySets) Find(from Source, url string, t *Token, wait func(fetched <-chan struct{})) ([]any, error) {
	keys, fetched, err := s.look(from, url, t, true)
	if fetched == nil {
		return keys, err
	}
	wait(fetched)
	keys, _, err = s.look(from, url, t, false)
	return keys, err
}

// look returns the keys for a token, or, if mayWait, what to wait for first.
func (s *KeySets) look(from Source, url string, t *Token, mayWait bool) ([]any, <-chan struct{}, error) {
	now := from.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	set, err := s.set(url, now)
	if err != nil {
		return nil, nil, err
	}
	fresh := now.Before(set.expires)
	keys := set.fitting(t)
	if fresh && len(keys) > 0 {
		return keys, nil, nil
	}
	if mayWait && set.fetching == nil && set.mayFetch(now, fresh) {
		if fresh {
			set.refetched = now
		}
		set.tried, set.fetching = now, make(chan struct{})
		go s.fetch(from, url, set)
	}
	switch usable := now.Before(set.expires.Add(staleLife)); {
	case mayWait && set.fetching != nil:
		return nil, set.fetching, nil
	case usable && len(keys) > 0:
		return keys, nil, nil
	case usable || set.err == nil:
		return nil, nil, ErrUnknownKey
	default:
		return nil, nil, fmt.Errorf("cannot fetch the key set: %w", set.err)
	}
}

// set returns the set of a URL. One that is of no use any more makes room.
func (s *KeySets) set(url string, now time.Time) (*keySet, error) {
	if set := s.sets[url]; set != nil {
		return set, nil
	}
	if s.sets == nil {
		s.sets = map[string]*keySet{}
	}
	if len(s.sets) >= maxSets && !s.makeRoom(now) {
		return nil, errTooManySets
	}
	set := &keySet{}
	s.sets[url] = set
	return set, nil
}

func (s *KeySets) makeRoom(now time.Time) bool {
	for url, set := range s.sets {
		if set.fetching == nil && !now.Before(set.expires.Add(staleLife)) && now.Sub(set.tried) >= failurePause {
			delete(s.sets, url)
			return true
		}
	}
	return false
}

// fitting returns the keys for a token: of its kid, or those it may mean.
func (set *keySet) fitting(t *Token) []any { return fitting(set.keys, t) }

func fitting(list []setKey, t *Token) []any {
	var keys []any
	for _, key := range list {
		if (t.KeyID == "" || t.KeyID == key.kid) && key.serves(t.Algorithm) && len(keys) < maxTries {
			keys = append(keys, key.public)
		}
	}
	return keys
}

func (k *setKey) serves(algorithm string) bool {
	if k.algorithm != "" {
		return k.algorithm == algorithm
	}
	for _, a := range AlgorithmsOf(k.public) {
		if a == algorithm {
			return true
		}
	}
	return false
}

func (set *keySet) mayFetch(now time.Time, fresh bool) bool {
	switch {
	case fresh: // the key is unknown, which anybody can bring about
		return now.Sub(set.refetched) >= refetchPause
	case set.err == nil:
		return true
	case len(set.keys) > 0:
		return now.Sub(set.tried) >= refetchPause
	default:
		return now.Sub(set.tried) >= failurePause
	}
}

// fetch is a goroutine, which ends within the client's time-out. It belongs to
// no request, because several wait for it.
func (s *KeySets) fetch(from Source, url string, set *keySet) {
	var keys []setKey
	var life time.Duration
	err := errors.New("BUG: panic while fetching it")
	defer func() {
		_ = recover() // would end the process; err says it
		s.mu.Lock()
		defer s.mu.Unlock()
		if set.err = err; err == nil {
			set.keys, set.expires = keys, from.Now().Add(life)
		}
		close(set.fetching)
		set.fetching = nil
	}()
	keys, life, err = fetchSet(from.Client, url)
}

func fetchSet(client *fetch.Client, url string) ([]setKey, time.Duration, error) {
	r := client.NewRequest()
	r.MaxResponse = maxSetBytes
	if err := r.Add("Accept", "application/jwk-set+json, application/json"); err != nil {
		return nil, 0, err
	}
	if err := r.SetURL(url, ""); err != nil {
		return nil, 0, err
	}
	a, err := client.Do(context.Background(), r, nil)
	if err != nil {
		return nil, 0, err
	}
	if a.Status != http.StatusOK {
		return nil, 0, fmt.Errorf("its server answered %d", a.Status)
	}
	keys, err := parseSet([]byte(a.Body))
	return keys, lifeOf(a.Header), err
}

// lifeOf returns how long a response may be used: RFC 9111 section 5.2.2,
// within what is sensible for keys.
func lifeOf(header http.Header) time.Duration {
	life := setLife
	for directive := range strings.SplitSeq(strings.Join(header["Cache-Control"], ","), ",") {
		name, value, _ := strings.Cut(strings.ToLower(strings.TrimSpace(directive)), "=")
		switch name {
		case "no-store", "no-cache":
			return minSetLife
		case "max-age":
			if seconds, err := strconv.Atoi(strings.Trim(value, `"`)); err == nil && seconds >= 0 {
				life = time.Duration(min(seconds, int(maxSetLife.Seconds()))) * time.Second
			}
		}
	}
	return max(life, minSetLife)
}
