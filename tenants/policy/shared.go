package policy

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/keystone-gateway/keystone-gateway/proxy/message"
	"github.com/keystone-gateway/keystone-gateway/proxy/settings"
	"github.com/keystone-gateway/keystone-gateway/tenants/store"
)

// Where a policy counts: its setting store.
const (
	InStore   = "redis"
	InProcess = "local"
)

// What holds while the store doesn't decide: a policy's setting on_store_error.
const (
	OnErrorLocal  = "local"
	OnErrorOpen   = "open"
	OnErrorClosed = "closed"
)

// StoreUnavailable is what is answered while the store doesn't decide, and on_store_error
// is closed.
var StoreUnavailable = &Refusal{Status: 503, Code: "store_unavailable", Message: "the request can't be counted at the moment: try again later"}

// Unavailable answers with StoreUnavailable; why is what the store has failed by.
func Unavailable(why error) *Answer {
	return &Answer{Refusal: StoreUnavailable, Cause: fmt.Errorf("on_store_error is closed: %w", why), Header: message.Header{
		{Name: []byte("Retry-After"), Value: strconv.AppendInt(nil, 1, 10)},
	}}
}

var errNoStore = errors.New("store: redis is asked for, and there is none, expected the section store with redis, or store: local")

// SharedBy returns what a policy counts in by its setting store: nil is nothing but this
// process. The error is for New.
func (d *Deps) SharedBy(setting string) (store.Shared, error) {
	switch {
	case setting == InProcess:
		return nil, nil
	case setting == InStore && (d.Shared == nil || !d.WillShare):
		return nil, errNoStore
	}
	return d.Shared, nil
}

// CheckStore reports what is wrong with a policy's settings store and on_store_error.
func CheckStore(r settings.Reporter, where, onError *string) {
	if *where != "" && *where != InStore && *where != InProcess {
		r.Errorf(where, "store %.40q is unknown, expected redis or local", *where)
	}
	if *onError != OnErrorLocal && *onError != OnErrorOpen && *onError != OnErrorClosed {
		r.Errorf(onError, "on_store_error %.40q is unknown, expected local, open or closed", *onError)
	}
}

// TakeShared asks the store for what the quota costs, and waits for it. failed says why
// the store hasn't decided; err is as Waiter's.
func (r *Request) TakeShared(from store.Shared, limit string, key []byte, q store.Quota) (v store.Verdict, failed, err error) {
	err = r.Wait(func(ctx context.Context) error {
		if v, failed = from.Take(ctx, limit, key, q); failed != nil {
			return ctx.Err() //nolint:wrapcheck // Wait says why
		}
		return nil
	})
	return v, failed, err
}
