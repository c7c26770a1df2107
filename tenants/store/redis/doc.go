// Package redis is the store that several gateways share: Redis or Valkey, alone, behind
// Sentinels or as a cluster. No call takes longer than the configured time-out, and none
// is waited for while the server is away; what holds then is for the caller to say.
//
//	var shared redis.Shared                        // of the process; the configuration changes it
//	go shared.Run(ctx)
//	shared.Use(config)                             // nil is no store
//	limits := shared.Tenant("shop")                // keys of its own
//	verdict, err := limits.Take(ctx, "rate_limit:…", key, quota)
//	if err != nil { … }                            // the store is away, slow, or lies
//	entries := limits.Dictionary(16 << 20)         // a store.Store, for the tenant's scripts
//
// It knows tenants by name only, and neither policies nor scripts.
package redis
