package clients

import (
	"testing"
	"time"

	"github.com/keystone-gateway/keystone-gateway/proxy/memory"
)

// TestScriptsWaitWithinCalls: what a script waits for is a wait of its own only
// where no target is waited for; then it leaves what is known of the client as it
// was.
func TestScriptsWaitWithinCalls(t *testing.T) {
	t.Parallel()
	for _, silent := range []bool{true, false} {
		c := new(client)
		c.asked = true // in an earlier request
		c.finished.Store(1)
		c.nextLook.Store(1)
		end := c.beginScriptWait(func() {}, silent)
		if c.waiting.Load() == 0 || c.lastWrite.Load() != c.waiting.Load() || c.silent != silent || c.asked || c.finished.Load() != 0 || c.nextLook.Load() != 0 {
			t.Errorf("silent %v: a script's wait doesn't begin anew", silent)
		}
		if c.pauseAnswer(); !c.silent {
			t.Error("after an interim answer a client that a script waits for can't be asked")
		}
		end()
		if c.waiting.Load() != 0 || c.silent || c.cancel != nil {
			t.Errorf("silent %v: it doesn't end", silent)
		}
	}
	c := new(client)
	c.beginWait(grant{}, 5)
	c.asked = true
	c.finished.Store(3)
	c.nextLook.Store(4)
	end := c.beginScriptWait(func() {}, false)
	for _, when := range []string{"within it", "after it"} {
		if c.waiting.Load() != 5 || c.lastWrite.Load() != 5 || !c.silent || !c.asked || c.finished.Load() != 3 || c.nextLook.Load() != 4 {
			t.Errorf("%s, a script's wait has changed that for a target", when)
		}
		if (c.cancel != nil) != (when == "within it") {
			t.Errorf("%s, it can be given up: %v", when, c.cancel != nil)
		}
		end()
	}
	if c.pauseAnswer(); !c.silent {
		t.Error("after an interim answer a client that waits can't be asked")
	}
	if c.beginAnswer(); c.silent || !c.wrote.Load() {
		t.Error("within an answer a client can be asked")
	}
	c.endWait()
	if c.pauseAnswer(); c.silent || c.waiting.Load() != 0 || c.call != nil {
		t.Error("the wait for a target doesn't end")
	}
}

// TestShortSleeps: after a sleep that wasn't worth its cost, the next one begins
// after twice the time.
func TestShortSleeps(t *testing.T) {
	t.Parallel()
	for idle, stay := range map[int64]int64{1: 2, shortSleep - 1: 2 * (shortSleep - 1), shortSleep: 0, shortSleep + 1: 0} {
		c := &client{woken: true, stay: 7, headAt: int64(time.Hour) + idle}
		c.idleSince.Store(int64(time.Hour))
		if c.noteSleep(); c.woken || c.stay != stay {
			t.Errorf("after %d ns: stays awake for %d ns, want %d", idle, c.stay, stay)
		}
	}
}

// TestSmallHeadsAreKept: the memory of a small head is for the next one's.
func TestSmallHeadsAreKept(t *testing.T) {
	t.Parallel()
	for size, kept := range map[int]bool{memory.SmallBuffer: true, memory.SmallBuffer + 1: false} {
		c := &client{head: make([]byte, size)}
		if c.markIdle(1); (c.head != nil) != kept {
			t.Errorf("a head of %d bytes is kept: %v", size, c.head != nil)
		}
	}
}

// TestRefusals: what a client is told of whom no request is read.
func TestRefusals(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		code, body, want string
	}{
		{"full", "", "HTTP/1.1 503 Service Unavailable\r\nX-Gateway-Error: full\r\nRetry-After: 1\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"},
		{"bad", "no\n", "HTTP/1.1 503 Service Unavailable\r\nContent-Type: text/plain; charset=utf-8\r\nX-Gateway-Error: bad\r\nContent-Length: 3\r\nConnection: close\r\n\r\nno\n"},
	} {
		if got := string(Refusal(503, c.code, c.body)); got != c.want {
			t.Errorf("got %q, want %q", got, c.want)
		}
	}
	if got := string(expectsTLS[:len("HTTP/1.1 400 ")]); got != "HTTP/1.1 400 " {
		t.Errorf("who speaks HTTP where TLS is expected gets %q", got)
	}
}
