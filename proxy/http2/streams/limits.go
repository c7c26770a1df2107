package streams

import (
	"sync/atomic"

	"github.com/keystone-gateway/keystone-gateway/proxy/http2"
	"github.com/keystone-gateway/keystone-gateway/proxy/socket"
)

// What a client may do that costs it less than it costs the gateway: so often at
// once, and so often a second over time. Nobody who uses a connection comes near;
// who does more is told to calm down, and the connection ends (RFC 9113 §10.5).
var (
	// resets are streams that the client has given up, or that the gateway had to:
	// by whatever means a stream is given up early, its exchange has begun.
	resets         = http2.Allowance{Burst: 400, PerSecond: 40}
	settingsFrames = http2.Allowance{Burst: 32, PerSecond: 1}
	pings          = http2.Allowance{Burst: 1000, PerSecond: 100}
	emptyFrames    = http2.Allowance{Burst: 100, PerSecond: 10}
	tinyFrames     = http2.Allowance{Burst: 20_000, PerSecond: 10_000}
	windowUpdates  = http2.Allowance{Burst: 2000, PerSecond: 200}
	priorityFrames = http2.Allowance{Burst: 1000, PerSecond: 100}
	otherFrames    = http2.Allowance{Burst: 200, PerSecond: 20}
	// What comes on streams that have ended was on its way then, or is what a client
	// says at the end of each of its requests: a stream that is opened allows one
	// RST_STREAM more.
	lateHeads       = http2.Allowance{Burst: 400, PerSecond: 40}
	lateResets      = http2.Allowance{Burst: 1000, PerSecond: 100}
	continuationsOf = 32 // CONTINUATION frames of one block
)

const (
	// tiny is content that is hardly more than its frame.
	tiny = 8
	// updatesPerData is how many WINDOW_UPDATE frames a DATA frame may have for it.
	updatesPerData = 8
	// maxEarned is how many of them may be due: those of some thousand frames that are
	// on their way.
	maxEarned = 64 << 10
	// maxControl bounds what waits to be written that no window bounds: answers to
	// what the client sends, of which it reads none.
	maxControl = 256 << 10
)

// budgets are what a connection has used of that.
type budgets struct {
	resets, settings, pings, empty, tiny, priority, other, lateHeads, lateResets http2.Budget
}

// Kind is what a client has done too often.
type Kind int

// The kinds.
const (
	Resets Kind = iota
	SettingsFrames
	Pings
	EmptyFrames
	TinyFrames
	WindowUpdates
	Priorities
	Continuations
	Others
	Unread
	Late
	Kinds // how many there are
)

var kindTexts = [Kinds]string{
	"resets", "settings", "pings", "empty_frames", "tiny_frames", "window_updates", "priorities", "continuations", "others", "unread",
	"late_frames",
}

func (k Kind) String() string { return kindTexts[k] }

var kindWords = [Kinds]string{
	"too many streams are given up", "too many SETTINGS", "too many PING", "too many frames without content", "too many frames with hardly any content",
	"too many WINDOW_UPDATE", "too many frames of priorities", "too many CONTINUATION", "too many frames of unknown types", "answers are not read",
	"too many frames of streams that have ended",
}

// Counters count what connections do.
type Counters struct {
	Streams atomic.Uint64 // that were opened
	Refused atomic.Uint64 // because there were too many at once
	Given   atomic.Uint64 // up by clients
	Calmed  [Kinds]atomic.Uint64
}

// calm counts something that may not happen too often.
func (c *Conn) calm(b *http2.Budget, a http2.Allowance, kind Kind) error {
	if b.Take(socket.Nanotime(), a) {
		return nil
	}
	return c.calmed(kind)
}

func (c *Conn) calmed(kind Kind) error {
	c.server.Counters.Calmed[kind].Add(1)
	return &http2.ConnError{Code: http2.EnhanceYourCalm, Why: kindWords[kind]}
}

// resetRing remembers which streams the gateway has given up last: what was on its
// way then is no fault of the client's.
type resetRing struct {
	list [32]uint32
	next int
}

func (r *resetRing) add(stream uint32) {
	r.list[r.next] = stream
	r.next = (r.next + 1) % len(r.list)
}

func (r *resetRing) has(stream uint32) bool {
	for _, s := range r.list {
		if s == stream {
			return true
		}
	}
	return false
}
