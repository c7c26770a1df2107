// Package store keeps a tenant's shared entries: what its scripts and policies
// remember from request to request, on every shard and across reloads. It
// knows neither Lua nor tenants: who gets which store is the caller's affair.
package store
