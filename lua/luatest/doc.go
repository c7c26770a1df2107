// Package luatest runs the tests that authors of scripts write in Lua: files
// named *_test.lua, each against a gateway of its own in this process, with
// real sockets before and behind it. Upstreams are mocks that the tests
// answer for, time is a clock that they move.
//
//	test("greets", function()
//		local answer = request("GET", "/hello")
//		expect(answer.status):equals(200)
//	end)
//
// Each file is run in a VM of its own, outside of the gateway's; each test
// gets a fresh gateway, so that nothing of one test is left for the next.
// docs/testing-scripts.md is the users' documentation.
//
// Read it in the order of a run: run (the files), file (one of them, its
// tests), functions (what declares tests), request and wire (asking the
// gateway), gateway and config (starting it), mock (the upstreams), expect and
// compare (judging), then report, console, junit and cover (telling).
package luatest
