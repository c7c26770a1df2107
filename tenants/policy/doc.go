// Package policy is the contract between the gateway and its policies: built-in
// decisions about requests, each configured in a line or two.
//
// A policy is a folder below this one and a line in the list of [tenants.Policy].
// Its folder has a section of the configuration ([Section]: type, defaults, check,
// and the user's documentation in the fields' comments) and a [Policy], which is
// built of it once and then asked for each request, before any script. What it
// refuses with ([About]) is in the table of codes by that. A section that names
// files is a [Loader]: they are bounded, and watched. Counters, the log's member,
// what a trace tells of each policy ([Step]; in its own words, if it is an
// [Explainer]), the admin view, the reference and the JSON Schema come from here:
//
//	chain, err := policy.Build(entries, policy.Deps{Tenant: "shop"}, counters)
//	refused, err := chain.Judge(&request)   // nil, nil: it passes
//	chain.Amend(&request, &policy.Response{Status: 200, Header: &header})
//	chain.Done(&request)
//
// The package knows no socket and no connection: how an answer is sent, and what
// is done about an error, is left to the proxy.
package policy
