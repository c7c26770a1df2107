// Package route decides which entry of a table a request belongs to, by its
// host and path. It imports nothing of ours, so that policies and scripts can
// judge paths as the gateway does.
//
//	host, err := route.CanonicalHost(nil, field)     // "Shop.Example.com:80" is shop.example.com
//	path, query, _, err := route.Canonical(nil, target) // "/a/../%61dmin?x" is /admin and x
//	tenant, ok := table.Match(host, route.Key(nil, path))
//
// A [Table] is built once ([Build]) and never changes. [Key] is the form by
// which paths are compared; [Spell] is what a target is sent. [Arrange] says who
// gets what of several generations of a configuration.
//
// The rules are explained for users in docs/paths.md, whose table of spellings
// is executed by this package's tests.
package route
