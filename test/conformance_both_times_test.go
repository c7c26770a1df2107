package test

import (
	"fmt"
	"strings"
	"testing"
)

// TestTimeoutsOverBoth: who is slow is given up in the same way.
func TestTimeoutsOverBoth(t *testing.T) {
	t.Parallel()
	runBoth(t, "", append(bothSlowClientCases(), bothSlowTargetCases()...))
}

// TestSlowHeadsOverBoth: a head that doesn't end is given up. No stream of HTTP/2 has
// begun then, so that there is nothing to answer on.
func TestSlowHeadsOverBoth(t *testing.T) {
	t.Parallel()
	runBoth(t, "server: {timeouts: {header: 3s}}\n", []bothCase{
		{name: "half a head", broken: true, fields: []string{"X-A: b"}, client: stops, want: "408|none", code: "header_timeout", saw: nothing},
	})
}

// TestAbortsOverBoth: what either side gives up is given up on the other.
func TestAbortsOverBoth(t *testing.T) {
	t.Parallel()
	runBoth(t, "", append(bothLeavingCases(), bothCutCases()...))
}

func bothSlowClientCases() []bothCase {
	slow := bothCase{tenant: []string{"client_timeouts: { body_idle: 1s }"}, client: stops, want: "408", code: "body_timeout"}
	as := func(name, length string, saw sight, content ...string) bothCase {
		c := slow
		c.name, c.length, c.content, c.saw = name, length, append([]string{}, content...), saw
		return c
	}
	after := as("nothing behind 100", "5", nothing)
	after.fields, after.awaits = []string{"Expect: 100-continue"}, true
	return []bothCase{
		as("no content of known length", "5", nothing),
		as("a part of content of known length", "5", nothing, "hel"),
		as("no content of unknown length", "", part),
		as("a part of content of unknown length", "", part, "hel"),
		as("a part of large content", "200000", part, strings.Repeat("x", 150_000)),
		after,
		{name: "a client that takes nothing", tenant: []string{"client_timeouts: { write_idle: 1s }"}, client: sleeps, want: "cut",
			target: func(*request) reply {
				const size = 32 << 20
				return reply{parts: []string{fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n", size), strings.Repeat("x", size)}, end: hang}
			}},
	}
}

func bothSlowTargetCases() []bothCase {
	silent := func(parts ...string) func(*request) reply {
		return func(*request) reply { return reply{parts: parts, end: hang} }
	}
	begun := "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n"
	late := bothCase{tenant: []string{"timeouts: { response_header: 4s, idle: 4s, total: 2m }"}, freed: true} // time enough for the probes behind
	as := func(name, want, code string, parts ...string) bothCase {
		c := late
		c.name, c.want, c.code, c.target = name, want, code, silent(parts...)
		return c
	}
	upload := as("a target that is silent about content", "504", "upstream_timeout")
	upload.content, upload.length = []string{"hello"}, "own"
	total := as("a response that takes too long in all", "cut", "", begun)
	total.tenant = []string{"timeouts: { response_header: 1m, idle: 1m, total: 4s }"}
	return []bothCase{
		as("a target that is silent", "504", "upstream_timeout"),
		as("a target that is silent behind a status line", "504", "upstream_timeout", "HTTP/1.1 200 OK\r\n"),
		as("a target that is silent behind 103", "504", "upstream_timeout", "HTTP/1.1 103 x\r\n\r\n"),
		as("a response that pauses between chunks", "cut", "", begun),
		as("a response that pauses before its length", "cut", "", "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhello"),
		as("a response that pauses before the target's end", "cut", "", "HTTP/1.1 200 OK\r\n\r\nhello"),
		upload, total,
	}
}

func bothLeavingCases() []bothCase {
	hangs := func(*request) reply { return reply{end: hang} }
	begins := func(*request) reply {
		return reply{parts: []string{"HTTP/1.1 200 OK\r\nContent-Length: 200000\r\n\r\nhello"}, end: hang}
	}
	gone := bothCase{freed: true, target: hangs}
	as := func(name string, client behaviour, saw sight, length string, content ...string) bothCase {
		c := gone
		c.name, c.client, c.saw, c.length, c.content = name, client, saw, length, content
		return c
	}
	reading := as("the client leaves in the response", leavesReading, whole, "")
	reading.target = begins
	after := as("the client leaves behind 100", leaves, nothing, "5", "")
	after.fields, after.awaits = []string{"Expect: 100-continue"}, true
	large := strings.Repeat("x", 200_000)
	return []bothCase{
		as("the client leaves while it waits", leavesWaiting, whole, ""),
		as("the client leaves while it waits, having sent content", leavesWaiting, whole, "own", "hello"),
		reading, after,
		as("the client leaves before content of known length", leaves, nothing, "10", ""),
		as("the client leaves in content of known length", leaves, nothing, "10", "hello"),
		as("the client leaves in large content of known length", leaves, part, "250000", large),
		as("the client leaves in content of unknown length", leaves, part, "", "hello"),
		as("the client leaves in large content of unknown length", leaves, part, "", large),
	}
}

func bothCutCases() []bothCase {
	does := func(end ending, parts ...string) func(*request) reply {
		return func(*request) reply { return reply{parts: parts, end: end} }
	}
	// A POST isn't sent again.
	as := func(name, want, code string, target func(*request) reply) bothCase {
		return bothCase{name: name, content: []string{"hello"}, length: "own", want: want, code: code, target: target}
	}
	half := strings.Repeat("x", 1<<19)
	return []bothCase{
		as("the target closes without a response", "502", "upstream_closed", does(fin)),
		as("the target resets without a response", "502", "upstream_closed", does(reset)),
		as("the target closes behind 103", "502", "upstream_bad_response", does(fin, "HTTP/1.1 103 x\r\n\r\n")),
		as("the target closes in the head", "502", "upstream_bad_response", does(fin, "HTTP/1.1 200 OK\r\nX-A: b\r\n")),
		as("a response that is none", "502", "upstream_bad_response", does(keep, "junk\r\n\r\n")),
		as("a response with two lengths", "502", "upstream_bad_response", does(keep, answer("200 OK", "ok", length2, "Content-Length: 3"))),
		as("a response with a bad field", "502", "upstream_bad_response", does(keep, answer("200 OK", "ok", length2, "X-A : b"))),
		as("the target closes before the content", "cut", "", does(fin, answer("200 OK", "", "Content-Length: 5"))),
		as("the target closes in the content", "cut", "", does(fin, answer("200 OK", "he", "Content-Length: 5"))),
		as("the target closes in large content", "cut", "", does(fin, answer("200 OK", half, "Content-Length: 1048576"))),
		as("the target resets in large content", "cut", "", does(reset, answer("200 OK", half, "Content-Length: 1048576"))),
		as("the target closes between chunks", "cut", "", does(fin, answer("200 OK", "2\r\nhe\r\n", chunked))),
		as("the target closes in a chunk", "cut", "", does(fin, answer("200 OK", "5\r\nhe", chunked))),
		as("the target resets what has no end", "cut", "", does(reset, answer("200 OK", "he"))),
		as("a chunk that is none", "cut", "", does(keep, answer("200 OK", "2\r\nhe\r\nzz\r\n", chunked))),
	}
}
