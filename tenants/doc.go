// Package tenants is the tenants: section of the configuration: one tenant's
// match, traffic, scripts and services, with their defaults and checks
// ([Config]). Which tenant a request belongs to is tenants/route's.
package tenants
