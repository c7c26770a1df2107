package tickets

import (
	"context"
	"sync"
	"time"
)

// Fleet has secrets that several gateways find at one place, one for each period. Until
// one was found, and while the place can't be reached, this process seals with secrets
// of its own, of which others know nothing. The zero value has found none.
type Fleet struct {
	own own

	mu      sync.Mutex
	secrets map[int64][]byte
}

// Secret returns what was found for a period.
func (f *Fleet) Secret(period, now int64) ([]byte, bool) {
	f.mu.Lock()
	secret := f.secrets[period]
	f.mu.Unlock()
	if secret != nil {
		return secret, true
	}
	return f.own.Secret(period, now)
}

// Forget has all secrets be looked for again, such as at another place.
func (f *Fleet) Forget() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.secrets = nil
}

// fetchEvery is the time between two looks for what is missing.
const fetchEvery = time.Second

// Run looks for secrets until ctx is done, while wanted says so. fetch returns that of a
// period, which it makes if there is none yet: the same for all gateways.
func (f *Fleet) Run(ctx context.Context, clock func() time.Time, wanted func() bool, fetch func(ctx context.Context, period int64) ([]byte, error)) {
	ticker := time.NewTicker(fetchEvery)
	defer ticker.Stop()
	for {
		if wanted() {
			f.find(ctx, clock().Unix()/int64(Period/time.Second), fetch)
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
	}
}

// find fetches what is missing of the periods whose tickets open, and drops the others.
func (f *Fleet) find(ctx context.Context, now int64, fetch func(ctx context.Context, period int64) ([]byte, error)) {
	f.mu.Lock()
	have := f.secrets
	f.mu.Unlock()
	fresh := map[int64][]byte{}
	for period := now + 1; period > now-keptPeriods; period-- {
		secret := have[period]
		if secret == nil {
			var err error
			if secret, err = fetch(ctx, period); err != nil || len(secret) < leastSecret {
				continue // it is looked for again
			}
		}
		fresh[period] = secret
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.secrets = fresh
}
