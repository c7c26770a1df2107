package streams

import (
	"sync/atomic"

	"github.com/keystone-gateway/keystone-gateway/proxy/http2"
	"github.com/keystone-gateway/keystone-gateway/proxy/http3"
	"github.com/keystone-gateway/keystone-gateway/proxy/socket"
)

// Kind is what a client may do only so often, since it costs the client less than the
// gateway.
type Kind int

// The kinds.
const (
	Resets Kind = iota
	EmptyFrames
	TinyFrames
	Priorities
	Others
	Late
	Instructions
	Kinds // how many there are
)

var kinds = [Kinds]struct {
	name, words string
	allowance   http2.Allowance
}{
	// Streams that the client has given up, or that the gateway had to: by whatever means
	// a stream is given up early, its exchange has begun.
	Resets:       {"resets", "too many streams are given up", http2.Allowance{Burst: 400, PerSecond: 40}},
	EmptyFrames:  {"empty_frames", "too many frames without content", http2.Allowance{Burst: 100, PerSecond: 10}},
	TinyFrames:   {"tiny_frames", "too many frames with hardly any content", http2.Allowance{Burst: 20_000, PerSecond: 10_000}},
	Priorities:   {"priorities", "too many frames of priorities", http2.Allowance{Burst: 1000, PerSecond: 100}},
	Others:       {"others", "too many frames or streams of unknown types", http2.Allowance{Burst: 200, PerSecond: 20}},
	Late:         {"late_streams", "too many streams after GOAWAY", http2.Allowance{Burst: 400, PerSecond: 40}},
	Instructions: {"instructions", "too many instructions of tables that aren't used", http2.Allowance{Burst: 1000, PerSecond: 100}},
}

func (k Kind) String() string { return kinds[k].name }

const (
	// tiny is content that is hardly more than its frame.
	tiny = 8
	// maxUnknown is how long a frame may be of which nothing is known, and maxControl one
	// on a control stream of which all has to be there (bytes).
	maxUnknown, maxControl = 64 << 10, 4 << 10
)

// Counters count what connections do.
type Counters struct {
	Streams atomic.Uint64 // that were opened
	Refused atomic.Uint64 // because they came after GOAWAY
	Given   atomic.Uint64 // up by clients
	Calmed  [Kinds]atomic.Uint64
}

// calm counts something that may not happen too often.
func (c *Conn) calm(kind Kind) *http3.ConnError {
	c.mu.Lock()
	ok := c.budgets[kind].Take(socket.Nanotime(), kinds[kind].allowance)
	c.mu.Unlock()
	if ok {
		return nil
	}
	c.server.Counters.Calmed[kind].Add(1)
	return &http3.ConnError{Code: http3.ExcessiveLoad, Why: kinds[kind].words}
}
