package policy

import (
	"context"

	"github.com/keystone-gateway/keystone-gateway/tenants/store"
)

// Take asks the limit of a key for what the quota costs, and waits where the store
// has to.
func (r *Request) Take(from store.Store, key string, q store.Quota) (v store.Verdict, err error) {
	if s, ok := from.(interface{ Instant() bool }); ok && s.Instant() {
		return from.Take(context.Background(), key, q)
	}
	err = r.Wait(func(ctx context.Context) (err error) {
		v, err = from.Take(ctx, key, q)
		return err
	})
	return v, err
}
