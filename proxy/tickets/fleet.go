package tickets

import (
	"bytes"
	"context"
	"crypto/rand"
	"slices"
	"sync"
	"time"
)

// Fleet has secrets that several gateways find at one place, one for each period. Until
// one was found, and while the place can't be reached, this process seals with secrets
// of its own, of which others know nothing. The zero value has found none.
type Fleet struct {
	own own

	mu       sync.Mutex
	secrets  map[int64]found
	compared time.Time // when all of them were; the zero Time: they are to be now
	places   int       // how many there were: what was found at one isn't another's
}

// found is what was found for a period.
type found struct {
	secret []byte
	before [][]byte // by which tickets were sealed until the place had another one; the last is the latest
}

// mostBefore bounds the secrets of one period beside the one that seals.
const mostBefore = 4

// Secret returns what was found for a period.
func (f *Fleet) Secret(period, now int64) ([]byte, bool) {
	f.mu.Lock()
	secret := f.secrets[period].secret
	f.mu.Unlock()
	if secret != nil {
		return secret, true
	}
	return f.own.Secret(period, now)
}

// Before returns by what tickets of a period were sealed before the place had the one of
// now: those still open.
func (f *Fleet) Before(period int64) [][]byte {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.secrets[period].before // which nobody changes
}

// Forget has all secrets be looked for again, such as at another place.
func (f *Fleet) Forget() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.secrets, f.compared = nil, time.Time{}
	f.places++
}

const (
	// fetchEvery is the time between two looks for what is missing.
	fetchEvery = time.Second
	// compareEvery is the time between two looks at what was found: a place that has lost
	// it may have been given another secret since, by a gateway that knew none.
	compareEvery = 10 * time.Second
)

// Place is where gateways find the same secrets. Its functions are called one at a time.
type Place struct {
	// Wanted says whether secrets are to be found there now.
	Wanted func() bool
	// Fetch returns the secret of a period, which is the offered one if there is none yet;
	// where nothing is offered, it is nil then.
	Fetch func(ctx context.Context, period int64, offered []byte) ([]byte, error)
	// Tell is told once why what is there can't be used, and, with nil, that it can again.
	Tell func(err error)
	// Spoilt says whether an error of Fetch is about what is there; others aren't told.
	Spoilt func(err error) bool
}

// Run looks for secrets until ctx is done.
func (f *Fleet) Run(ctx context.Context, clock func() time.Time, at Place) {
	ticker := time.NewTicker(fetchEvery)
	defer ticker.Stop()
	spoilt := false
	for {
		if at.Wanted() {
			whole, wrong := f.find(ctx, clock().Unix()/int64(Period/time.Second), &at)
			if is := wrong != nil; is != spoilt && (is || whole) {
				spoilt = is
				at.Tell(wrong)
			}
		} else {
			f.compareSoon() // what was there may be lost once it is back
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
	}
}

func (f *Fleet) compareSoon() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.compared = time.Time{}
}

// find fetches what is missing of the periods whose tickets open, or all of them, and
// drops the others. What was found is kept where the place doesn't answer, or has what
// can't be used, which wrong is then; whole says that all were asked for, and answered.
func (f *Fleet) find(ctx context.Context, now int64, at *Place) (whole bool, wrong error) {
	f.mu.Lock()
	have, place, began := f.secrets, f.places, time.Now()
	all := began.Sub(f.compared) >= compareEvery
	f.mu.Unlock()
	fresh, failed := map[int64]found{}, false
	for period := now + 1; period > now-keptPeriods; period-- {
		one := have[period]
		if all || one.secret == nil && period >= now {
			secret, err := at.Fetch(ctx, period, f.offer(one, period, now))
			switch {
			case err == nil && len(secret) >= leastSecret:
				one = one.replaced(secret, f.own.known(period))
			case err != nil && at.Spoilt(err):
				wrong = err
			case err != nil:
				failed = true
			}
		}
		if one.secret != nil {
			fresh[period] = one
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.places != place {
		return false, nil
	}
	f.secrets = fresh
	if all && !failed {
		f.compared = began
	}
	return all && !failed, wrong
}

// offer is what the place is to have for a period if it has nothing: what this gateway
// seals with, so that what it has sealed opens everywhere. For periods that have passed
// it makes nothing up, since others may know what was used.
func (f *Fleet) offer(one found, period, now int64) []byte {
	if one.secret != nil {
		return one.secret
	}
	if secret, ok := f.own.Secret(period, now); ok || period < now {
		return secret
	}
	made := make([]byte, leastSecret)
	if _, err := rand.Read(made); err != nil {
		return nil
	}
	return made
}

// replaced has another secret in the place of the one of before, or of the process's own.
func (one found) replaced(secret, own []byte) found {
	before := one.secret
	if before == nil {
		before = own
	}
	if before == nil || bytes.Equal(before, secret) {
		return found{secret, one.before}
	}
	kept := append(slices.Clone(one.before), before)
	return found{secret, kept[max(0, len(kept)-mostBefore):]}
}
