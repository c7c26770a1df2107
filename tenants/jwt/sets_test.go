package jwt

import (
	"crypto/ed25519"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"sync/atomic"
	"testing"
	"time"

	"github.com/keystone-gateway/keystone-gateway/tenants/fetch"
)

// TestLife: how long a set is used, by what its server says.
func TestLife(t *testing.T) {
	t.Parallel()
	for value, want := range map[string]time.Duration{
		"": setLife, "public": setLife, "max-age=120": 2 * time.Minute, "public, Max-Age=\"120\"": 2 * time.Minute, "max-age=0": minSetLife, "max-age=59": minSetLife,
		"max-age=3599": 3599 * time.Second, "max-age=3601": maxSetLife, "max-age=99999999999": maxSetLife, "max-age=-1": setLife, "max-age=x": setLife,
		"max-age=99999999999999999999": setLife, "no-store": minSetLife, "max-age=300, no-cache": minSetLife,
	} {
		if got := lifeOf(http.Header{"Cache-Control": {value}}); got != want {
			t.Errorf("%q: got %v, want %v", value, got, want)
		}
	}
}

// issuer is a server of key sets, by the clock of a test.
type issuer struct {
	*httptest.Server
	fetches atomic.Int32
	kid     atomic.Pointer[string] // nil is that it fails
	now     time.Time
	sets    KeySets
	from    Source
}

func newIssuer(t *testing.T) *issuer {
	t.Helper()
	s := &issuer{now: time.Unix(1_000_000, 0)}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		s.fetches.Add(1)
		kid := s.kid.Load()
		if kid == nil {
			w.WriteHeader(http.StatusInternalServerError)
			return
		}
		w.Header().Set("Cache-Control", "max-age=600")
		_ = json.NewEncoder(w).Encode(map[string]any{"keys": []any{map[string]any{"kty": "OKP", "crv": "Ed25519", "kid": *kid, "x": base64url(make([]byte, ed25519.PublicKeySize))}}})
	}))
	t.Cleanup(s.Close)
	client := fetch.New(fetch.Config{Allow: []fetch.Permission{{Network: netip.MustParsePrefix("127.0.0.0/8")}}, Timeout: time.Minute})
	t.Cleanup(client.Close)
	s.from = Source{Client: client, Now: func() time.Time { return s.now }}
	return s
}

// find says what becomes of a token with that kid: "found", "unknown", "failed",
// and how often the set was fetched for it.
func (s *issuer) find(t *testing.T, path, kid string) string {
	t.Helper()
	before := s.fetches.Load()
	token := &Token{Algorithm: "EdDSA", KeyID: kid}
	keys, err := s.sets.Find(s.from, s.URL+path, token, func(fetched <-chan struct{}) { <-fetched })
	word := "found"
	switch {
	case err == ErrUnknownKey:
		word = "unknown"
	case err == errTooManySets:
		word = "too many"
	case err != nil:
		word = "failed"
	case len(keys) != 1:
		t.Errorf("%d keys were found", len(keys))
	}
	return fmt.Sprintf("%s %d", word, s.fetches.Load()-before)
}

// TestSetsAge follows a set through its life: what is fetched when, and what
// its keys are good for.
func TestSetsAge(t *testing.T) {
	t.Parallel()
	s := newIssuer(t)
	good, newer := "a", "b"
	for i, step := range []struct {
		serves *string
		passes time.Duration
		kid    string
		want   string
	}{
		{nil, 0, "a", "failed 1"},                           // nothing is known
		{&good, failurePause - 1, "a", "failed 0"},          // and isn't asked for again at once
		{&good, 1, "a", "found 1"},                          // but then
		{&good, 0, "a", "found 0"},                          // it is kept
		{&good, 0, "x", "unknown 1"},                        // anybody can ask for what isn't there
		{&newer, refetchPause - 1, "b", "unknown 0"},        // so that isn't believed often
		{&newer, 1, "b", "found 1"},                         //
		{&newer, 0, "a", "unknown 0"},                       //
		{&newer, 10*time.Minute - 1, "b", "found 0"},        // for as long as its server says
		{nil, 1, "b", "found 1"},                            // then it is fetched; the old keys go on
		{nil, refetchPause - 1, "b", "found 0"},             //
		{nil, 1, "b", "found 1"},                            // with a pause between failures
		{nil, 0, "x", "unknown 0"},                          //
		{nil, staleLife - refetchPause - 1, "b", "found 1"}, // for an hour
		{nil, 1, "b", "failed 0"},                           // and no longer
		{&good, refetchPause, "a", "found 1"},               //
		{&good, 10 * time.Minute, "a", "found 1"},           // a set that is old is fetched without a pause
	} {
		s.kid.Store(step.serves)
		s.now = s.now.Add(step.passes)
		if got := s.find(t, "/", step.kid); got != step.want {
			t.Errorf("step %d, %v later, kid %s: got %s, want %s", i, step.passes, step.kid, got, step.want)
		}
	}
}

// TestSetsAreBounded: a tenant has so many, until one is of no use any more.
func TestSetsAreBounded(t *testing.T) {
	t.Parallel()
	s := newIssuer(t)
	kid := "a"
	s.kid.Store(&kid)
	for i := range maxSets {
		if got := s.find(t, fmt.Sprint("/", i), "a"); got != "found 1" {
			t.Fatalf("set %d: %s", i, got)
		}
	}
	for _, step := range []struct {
		passes time.Duration
		path   string
		want   string
	}{
		{0, "/more", "too many 0"}, {0, "/0", "found 0"},
		{10*time.Minute + staleLife - 1, "/more", "too many 0"},
		{1, "/more", "found 1"},  // one has made room
		{0, "/more", "found 0"},  // and is kept
		{0, "/more2", "found 1"}, // the others are as old
	} {
		s.now = s.now.Add(step.passes)
		if got := s.find(t, step.path, "a"); got != step.want {
			t.Errorf("%s %v later: got %s, want %s", step.path, step.passes, got, step.want)
		}
	}
	if n := len(s.sets.sets); n > maxSets {
		t.Errorf("%d sets are kept, want %d at most", n, maxSets)
	}
}
