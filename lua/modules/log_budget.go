package modules

import (
	"encoding/json"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"
)

// LogBudget bounds the bytes that a tenant's lines in the gateway's log may
// have: what its scripts write, and reports of their failures. It is the output
// of the tenant's logger, so that no line gets past it. What is beyond is
// dropped and counted, and a line says so once there is room again. Its methods
// may be called at once.
type LogBudget struct {
	tenant      string
	out         io.Writer
	rate, burst float64 // bytes a second, and at once
	clock       Clock
	dropped     *atomic.Uint64 // lines, in all

	mu     sync.Mutex
	left   float64 // bytes; less than 0 after a line that was longer than what was left
	at     time.Time
	untold uint64 // lines dropped that no line tells of
}

// NewLogBudget returns a budget, full. A rate of 0 is no bound. dropped counts
// lines.
func NewLogBudget(tenant string, out io.Writer, rate, burst int64, clock Clock, dropped *atomic.Uint64) *LogBudget {
	return &LogBudget{
		tenant: tenant, out: out, rate: float64(rate), burst: float64(burst), left: float64(burst), clock: clock, dropped: dropped, at: clock.Now(),
	}
}

// Write passes a line on, or drops it.
func (b *LogBudget) Write(line []byte) (int, error) {
	if b.rate == 0 {
		return b.out.Write(line)
	}
	b.mu.Lock()
	untold := b.untold
	if !b.refill() {
		b.untold++
		b.mu.Unlock()
		b.dropped.Add(1)
		return len(line), nil
	}
	b.left -= float64(len(line))
	b.untold = 0
	b.mu.Unlock()
	if untold > 0 {
		b.tell(untold)
	}
	return b.out.Write(line)
}

// Enabled reports whether lines of a level are logged now, where the output
// decides about that.
func (b *LogBudget) Enabled(level zerolog.Level) bool {
	if b == nil {
		return true
	}
	out, ok := b.out.(interface {
		Enabled(level zerolog.Level) bool
	})
	return !ok || out.Enabled(level)
}

// Refuses reports whether a line would be dropped now, and counts it as such:
// then there is no need to make it.
func (b *LogBudget) Refuses() bool {
	if b == nil || b.rate == 0 {
		return false
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.refill() {
		return false
	}
	b.untold++
	b.dropped.Add(1)
	return true
}

// refill adds what the time since the last call gives, and reports whether a
// line may be written. Any line may while something is left, however long.
func (b *LogBudget) refill() bool {
	now := b.clock.Now()
	if since := now.Sub(b.at); since > 0 {
		b.left = min(b.burst, b.left+since.Seconds()*b.rate)
	}
	b.at = now
	return b.left > 0
}

// tell writes that lines were dropped.
func (b *LogBudget) tell(lines uint64) {
	text, err := json.Marshal(struct {
		Level   string `json:"level"`
		Time    string `json:"time"`
		Tenant  string `json:"tenant"`
		Lines   uint64 `json:"lines"`
		Message string `json:"message"`
	}{"warn", b.clock.Now().Format(time.RFC3339), b.tenant, lines, "lines of the tenant's scripts were dropped: lua.log_rate was used up"})
	if err != nil {
		return
	}
	_, _ = b.out.Write(append(text, '\n'))
}
