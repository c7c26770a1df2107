package streams

import "github.com/keystone-gateway/keystone-gateway/proxy/socket"

// budget bounds the frames that bring nothing on: those that only keep the
// gateway busy. What brings a request on earns some, for each has a few of them
// on its way, and so does time.
type budget struct {
	left int
	at   int64
}

const (
	mostBudget    = 10_000
	firstBudget   = 1_000
	costOfRequest = 10
	earnedBytes   = 1 << 10 // of content, or so many bytes of a body that are sent, earn one
	// earnedTime earns one: a peer may always send so much.
	earnedTime = int64(10e6)
)

func (b *budget) init(now int64) { b.left, b.at = firstBudget, now }

func (b *budget) earn(n int) { b.left = min(b.left+n, mostBudget) }

// spend reports whether n may be spent.
func (b *budget) spend(n int) bool {
	if b.left >= n {
		b.left -= n
		return true
	}
	now := socket.Nanotime()
	earned := (now - b.at) / earnedTime
	b.at += earned * earnedTime
	b.earn(int(min(earned, firstBudget)))
	if b.left < n {
		return false
	}
	b.left -= n
	return true
}
