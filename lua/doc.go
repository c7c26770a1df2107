// Package lua runs the scripts of tenants: it loads them into VMs, one for
// each tenant and shard, composes what they declare into a chain, and runs
// that chain for each request. The budget and the lock of a VM are lua/vm's,
// the language's libraries lua/stdlib's, what scripts can require
// lua/modules', matching patterns lua/pattern's; this package owns the shim:
// the chi_ functions, request, response and next.
//
//	scripts, err := lua.Load(lua.Options{Tenant: "shop", Dir: "scripts", Scripts: []string{"shop"}, …})
//	err = scripts.Serve(exchange, hint) // for each request; chain, then exchange.Forward
//	scripts.Close()
//
// It knows nothing of sockets: a request reaches it as an Exchange.
package lua
