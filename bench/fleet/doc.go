// Package fleet drives gateways' decisions without HTTP: the policy rate_limit, as a
// request meets it, of several gateways that have a store of Redis in common, each with
// connections of its own. It measures how long each decision takes, and holds what passes
// against what one limit would let pass that is asked about all requests.
//
//	result, err := fleet.Run(ctx, fleet.Options{Address: "127.0.0.1:6379", Gateways: 10, …})
package fleet
