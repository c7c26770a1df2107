// Package tenants is the tenants: section of the configuration: one tenant's
// match, traffic, scripts and services, with their defaults and checks
// ([Config]). Which tenant a request belongs to is tenants/route's.
//
//	tenants.CheckAll(list, document, within)           // each and, together, their matches
//	chain, err := list[0].BuildPolicies(deps, counter) // what a generation has of its policies
package tenants
