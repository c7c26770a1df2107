// Package upstream owns pools and their targets: where requests go, which
// target gets the next one, which of them are healthy, and the connections to
// them. It probes targets, resolves their names and balances between them, all
// off the request path.
//
// Which tenant a request belongs to, what is sent and how an error becomes a
// status is left to others.
package upstream
