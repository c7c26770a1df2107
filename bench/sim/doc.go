// Package sim runs the gateway's own code on a time that it moves itself, for loads that no
// machine at hand could carry: what a policy decides, and what a gateway knows of a shared
// limit, are what runs in production; the network and the store's server are counted.
//
//	result, err := (&sim.Fleet{Gateways: 10, Offered: 1e6, Keys: 1000, Rate: 500, …}).Run()
package sim
