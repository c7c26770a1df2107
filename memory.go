package main

import (
	"math"
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"

	"github.com/KimMachineGun/automemlimit/memlimit"
	"github.com/rs/zerolog"

	"github.com/keystone-gateway/keystone-gateway/proxy/cause"
)

// tuneMemory sets what the garbage collector needs to know. What the
// environment says in GOMEMLIMIT and GOGC stands. It returns how many bytes the
// process may use: GOMEMLIMIT, or what the control group or the machine allows;
// 0 is not known.
func tuneMemory(log zerolog.Logger) int64 {
	if os.Getenv("GOMEMLIMIT") == "" {
		limit, err := memlimit.Set(memlimit.WithRatio(memoryShare))
		switch {
		case err != nil: // outside of containers there may be no control groups
			log.Debug().Str("error", cause.Text(err)).Msg("the memory limit of the control group can't be read")
		case limit > 0 && limit < 1<<62:
			log.Info().Int64("bytes", limit).Msg("memory is limited by the control group")
		}
	}
	if os.Getenv("GOGC") == "" {
		keepHeadroom(&headroom{percent: usualPercent})
	}
	if limit := debug.SetMemoryLimit(-1); limit < math.MaxInt64 {
		return limit
	}
	if system, err := memlimit.FromSystem(); err == nil && system < 1<<62 {
		return int64(memoryShare * float64(system))
	}
	return 0
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
)

// headroom is called after each collection, as the finalizer of itself: the
// only notice that Go gives.
type headroom struct {
	percent int // as set last

	// Go puts smaller things without pointers into one block with others, and
	// then never finalizes those whose neighbour lives on.
	_ [64]byte
}

func keepHeadroom(h *headroom) {
	h.adjust(liveHeap())
	runtime.SetFinalizer(h, keepHeadroom)
}

// adjust sets GOGC for a heap of live bytes. Setting it stops the world for
// some microseconds, so small changes are left.
func (h *headroom) adjust(live uint64) {
	percent := percentFor(live)
	if percent*4 >= h.percent*3 && percent*3 <= h.percent*4 {
		return
	}
	h.percent = percent
	debug.SetGCPercent(percent)
}

// percentFor is the GOGC that leaves leastHeadroom, or as much as is alive. Go
// collects no heap below 4 MB × GOGC / 100, which bounds it.
func percentFor(live uint64) int {
	live = max(live, leastHeap)
	return max(usualPercent, int(leastHeadroom*100/live)) //nolint:gosec // G115: at most 800
}

// leastHeap is what Go takes a heap for at least.
const leastHeap = 4 << 20

// liveHeap is what the last collection left, in bytes.
func liveHeap() uint64 {
	sample := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	metrics.Read(sample)
	return sample[0].Value.Uint64()
}
