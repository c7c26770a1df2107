package proxy

import (
	"os"
	"runtime"
	"strconv"
	"sync"
)

// spare is a processor that Go gets on top while a configuration is read, or
// scripts run for long. That is work without a break, a few tenths of a second
// for thousands of tenants, and a goroutine that is always ready keeps Go's
// scheduler from looking at the network: on one processor, requests would wait
// for the end of it. With a thread more, the system shares out the time.
var spare struct {
	mu    sync.Mutex
	users int
}

// AcquireProcessor gives Go the spare processor, until as many have released it
// as have acquired it. Both stop the world for some microseconds.
func AcquireProcessor() {
	spare.mu.Lock()
	defer spare.mu.Unlock()
	if spare.users++; spare.users == 1 {
		runtime.GOMAXPROCS(runtime.GOMAXPROCS(0) + 1)
	}
}

// ReleaseProcessor gives it back.
func ReleaseProcessor() {
	spare.mu.Lock()
	defer spare.mu.Unlock()
	if spare.users--; spare.users > 0 {
		return
	}
	if n, err := strconv.Atoi(os.Getenv("GOMAXPROCS")); err == nil && n > 0 { // somebody's choice, rather than what Go follows
		runtime.GOMAXPROCS(runtime.GOMAXPROCS(0) - 1)
		return
	}
	runtime.SetDefaultGOMAXPROCS()
}

// processors is how many there are without the spare one.
func processors() int {
	spare.mu.Lock()
	defer spare.mu.Unlock()
	return runtime.GOMAXPROCS(0) - min(spare.users, 1)
}
