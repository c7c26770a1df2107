// Package routing finds the route of a tenant's configuration that a request takes:
// the first, in the order of the configuration, of which path, method, fields, query,
// cookies and client all match. What the route's answer is made of stands here too;
// sending it, and asking the route's policies, is left to the data plane.
//
//	table, err := routing.Build(routes)
//	route, outcome := table.Match(&request, &params)
//
// Paths are matched with the patterns of scripts' routes (lua/pattern), in the form in
// which everything that decides about paths compares them (route.Key).
package routing
