package main

import (
	"math"
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"sync"

	"github.com/KimMachineGun/automemlimit/memlimit"
	"github.com/rs/zerolog"

	"github.com/keystone-gateway/keystone-gateway/proxy/cause"
)

// tuneMemory sets what the garbage collector needs to know. What the
// environment says in GOMEMLIMIT and GOGC stands. It returns how many bytes the
// process may use: GOMEMLIMIT, or what the control group or the machine allows;
// 0 is not known.
func (c *collections) tuneMemory(log zerolog.Logger) int64 {
	if os.Getenv("GOMEMLIMIT") == "" {
		limit, err := memlimit.Set(memlimit.WithRatio(memoryShare))
		switch {
		case err != nil: // outside of containers there may be no control groups
			log.Debug().Str("error", cause.Text(err)).Msg("the memory limit of the control group can't be read")
		case limit > 0 && limit < 1<<62:
			log.Info().Int64("bytes", limit).Msg("memory is limited by the control group")
		}
	}
	limit := debug.SetMemoryLimit(-1)
	if limit == math.MaxInt64 {
		limit = 0
		if system, err := memlimit.FromSystem(); err == nil && system < 1<<62 {
			limit = int64(memoryShare * float64(system))
		}
	}
	if os.Getenv("GOGC") == "" {
		c.begin(busyHeadroom(limit))
	}
	return limit
}

const (
	// memoryShare of a control group's memory is for Go's heap and stacks; the
	// rest is for what Go doesn't count.
	memoryShare = 0.9
	// usualPercent is Go's default of GOGC.
	usualPercent = 100
	// leastHeadroom is what can be allocated between two collections at least.
	// A gateway's own heap is small, and Go would collect it every few
	// megabytes once a script makes garbage, each time with some milliseconds
	// of both processors.
	leastHeadroom = 32 << 20
	// mostHeadroom is as much where scripts run for long, which mostly is to make
	// garbage, and memory allows it.
	mostHeadroom = 128 << 20
)

// busyHeadroom is what can be allocated between two collections while scripts run
// for long: a quarter of the memory that there is.
func busyHeadroom(limit int64) uint64 {
	return uint64(min(max(limit/4, leastHeadroom), mostHeadroom))
}

// collections is how often the heap is collected. The zero value leaves it to Go.
type collections struct {
	mu      sync.Mutex
	percent int    // guarded by mu: as set last; 0 where it is left to Go
	usual   bool   // guarded by mu: nothing runs for long
	busy    uint64 // headroom while something does
}

// begin keeps the headroom from now on.
func (c *collections) begin(busy uint64) {
	c.percent, c.usual, c.busy = usualPercent, true, busy
	follow(&notice{of: c})
}

// notice is told of each collection, as the finalizer of itself: the only notice
// that Go gives.
type notice struct {
	of *collections
	// Go puts smaller things without pointers into one block with others, and
	// then never finalizes those whose neighbour lives on.
	_ [64]byte
}

func follow(n *notice) {
	n.of.adjust()
	runtime.SetFinalizer(n, follow)
}

// setBusy says whether scripts run for long.
func (c *collections) setBusy(busy bool) {
	c.mu.Lock()
	c.usual = !busy
	c.mu.Unlock()
	c.adjust()
}

// adjust sets GOGC for what is alive. Setting it stops the world for some
// microseconds, so small changes are left.
func (c *collections) adjust() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.percent == 0 {
		return
	}
	least := c.busy
	if c.usual {
		least = leastHeadroom
	}
	percent := percentFor(liveHeap(), least)
	if percent*4 >= c.percent*3 && percent*3 <= c.percent*4 {
		return
	}
	c.percent = percent
	debug.SetGCPercent(percent)
}

// percentFor is the GOGC that leaves least, or as much as is alive. Go collects no
// heap below 4 MB × GOGC / 100, which bounds it.
func percentFor(live, least uint64) int {
	return max(usualPercent, int(least*100/max(live, leastHeap))) //nolint:gosec // G115: at most 3200
}

// leastHeap is what Go takes a heap for at least.
const leastHeap = 4 << 20

// liveHeap is what the last collection left, in bytes.
func liveHeap() uint64 {
	sample := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	metrics.Read(sample)
	return sample[0].Value.Uint64()
}
