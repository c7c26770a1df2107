// Package upstream owns pools and their targets: where requests go, which of
// the targets are healthy, and the connections to them. It probes targets off
// the request path, and sends a request to one after the other where that can
// do no harm:
//
//	registry := upstream.NewRegistry(upstream.Options{Log: log})
//	generation, err := registry.Build(pools)
//	registry.Activate(generation)
//	err = call.Do(generation.Pool("shop")) // pick, send, read the head, perhaps retry
//
// Which target gets the next request is [balance.Picker]'s, where it is
// [discovery.Source]'s; what comes of it, Target.observe is told. Which tenant a
// request belongs to, what is sent and how an error becomes a status is left to
// others.
package upstream
