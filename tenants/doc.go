// Package tenants decides which tenant a request belongs to.
//
// It owns the canonical form of hosts and paths ([CanonicalHost], [Canonical]),
// the comparison form by which paths are judged ([Key]), the immutable table
// that maps both to a tenant ([Table]), and the `tenants:` section of the
// configuration ([Config]). It knows nothing of connections, headers, pools or
// scripts: what a match means is an opaque value of the caller's.
//
// The rules are explained for users in docs/paths.md, whose table of spellings
// is executed by this package's tests.
package tenants
