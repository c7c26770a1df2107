// Package store keeps a tenant's shared entries: what its scripts and policies
// remember from request to request, on every shard and across reloads. It
// knows neither Lua nor tenants: who gets which store is the caller's affair.
//
//	var s store.Store = store.NewMemory(16<<20, time.Now)
//	quota, err := store.NewQuota(10, 1, 20, 1) // 10 a second, bursts of 20; a request costs 1
//	verdict, err := s.Take(ctx, "\x00limit:"+client, quota)
//	if !verdict.Allowed { … verdict.RetryAfter … }
//
// Keys that begin with NUL are the gateway's own: scripts can't name them.
package store
