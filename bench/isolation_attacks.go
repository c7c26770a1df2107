//go:build linux

package main

import (
	"fmt"
	"slices"
	"strings"
)

// attack is what does harm to whoever lets it: a script's route, by requests to
// it, or by clients that send or take slowly.
type attack struct {
	name string
	// body is that of the route.
	body string
	// answered says that it does its harm by succeeding.
	answered bool
	// clients, if not nil, attack in place of requests at a rate.
	clients *siege
}

// attacks are tried one after the other, on one gateway: what one leaves behind
// is the next one's.
var attacks = []attack{
	{name: "endless loop", body: `while true do end`},
	{name: "string.rep", body: `local s = string.rep("x", 2^30) response:write(#s)`},
	{name: "doubling", body: `local s = "x" while true do s = s .. s end`},
	{name: "growing table", body: `local t = {} for i = 1, 1e9 do t[i] = { i } end`},
	{name: "many strings", body: `local t = {} for i = 1, 1e9 do t[i] = "string " .. i end`},
	{name: "pattern", body: `string.find(string.rep("a", 50000), string.rep("a-", 30) .. "b")`},
	{name: "recursion", body: `local function f() return 1 + f() end f()`},
	{name: "coroutines", body: `local t = {} for i = 1, 10000 do t[i] = coroutine.create(function() coroutine.yield() end) coroutine.resume(t[i]) end`},
	{name: "table index", body: `local t = {} t[2^26] = 1 for i = 1, 1e9 do t[2^26 + i * 1000] = i end`},
	{name: "errors", body: `error("no")`},

	// Memory that isn't what it seems, and stays.
	{name: "emptied slots", answered: true, body: `KEEP = KEEP or {} local t = {} t[150000] = 1 t[150000] = nil KEEP[#KEEP + 1] = t`},
	{name: "dead keys", answered: true, body: `KEEP = KEEP or {} local t = {} local k = string.rep("k", 3000000) .. #KEEP t[k] = 1 t[k] = nil KEEP[#KEEP + 1] = t`},
	{name: "popped strings", answered: true, body: `KEEP = KEEP or {} local t = {} for i = 1, 10 do t[i] = string.rep("x", 300000) .. i end for i = 1, 10 do table.remove(t) end KEEP[#KEEP + 1] = t`},
	{name: "kept requests", body: `KEEP = KEEP or {} KEEP[#KEEP + 1] = request request:set("x", string.rep("x", 3000000)) error("keep")`},

	// Single steps that take long.
	{name: "length of holes", answered: true, body: `local t = {} for i = 1, 1e6 do t[i] = 1 end for i = 1e6, 2, -1 do t[i] = nil end local n = 0 for i = 1, 40 do n = n + #t end`},
	{name: "comparing strings", answered: true, body: `local a, b = string.rep("x", 2e7) .. "a", string.rep("x", 2e7) .. "b" local n = 0 for i = 1, 100 do if a < b then n = n + 1 end end`},
	{name: "sparse json", answered: true, body: `local t = {} for i = 1, 1e6 do t[i] = 1 end for i = 1, 1e6 - 1 do t[i] = nil end require("keystone.json").encode(t)`},
	{name: "next over holes", answered: true, body: `local t = {} for i = 1, 1e6 do t[i] = 1 end for i = 1, 1e6 do t[i] = nil end for i = 1, 100 do next(t) end`},

	// Clients.
	{name: "slow bodies", clients: &siege{connections: 2000, method: "POST", path: "/echo", announced: 1_000_000, sent: 999_990, drip: true}},
	{name: "slow small bodies", clients: &siege{connections: 2000, method: "POST", path: "/echo", announced: 65_000, sent: 60_000, drip: true}},
	{name: "announced bodies", clients: &siege{connections: 2000, method: "POST", path: "/echo", announced: 1_000_000, sent: 1, drip: true}},
	{name: "slow readers", clients: &siege{connections: 3000, method: "GET", path: "/big", sip: true}},
}

// attackNames reads a list of some.
func attackNames(asked string) (names []string, err error) {
	for name := range strings.SplitSeq(asked, ",") {
		name = strings.TrimSpace(name)
		if !slices.ContainsFunc(attacks, func(a attack) bool { return a.name == name }) {
			var all []string
			for _, a := range attacks {
				all = append(all, a.name)
			}
			return nil, fmt.Errorf("unknown attack %q, expected some of %s", name, strings.Join(all, ", "))
		}
		names = append(names, name)
	}
	return names, nil
}

// chosenAttacks are those that were asked for.
func chosenAttacks(o *options) (chosen []*attack) {
	for i := range attacks {
		if o.attacks == nil || slices.Contains(o.attacks, attacks[i].name) {
			chosen = append(chosen, &attacks[i])
		}
	}
	return chosen
}

// sieged are the routes that clients attack.
const sieged = `
chi_route("POST", "/echo", function(request, response) response:write(request.body) end)
chi_route("GET", "/big", function(request, response) response:write(string.rep("x", 1000000)) end)
`
