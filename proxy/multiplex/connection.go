package multiplex

import "github.com/keystone-gateway/keystone-gateway/proxy/memory"

// MaxStreams is how many a connection may have at once.
const MaxStreams = 128

// Leaving is how far a connection is on its way to its end (RFC 9113 §6.8, RFC 9114 §5.2):
// the first GOAWAY says that it is near, and refuses nothing; the second, a round trip
// later, which streams are still served. So no request is lost that was on its way.
type Leaving uint8

// The steps.
const (
	Staying Leaving = iota
	Announced
	Left
)

// Held is what a stream holds of an account (bytes), and since when (socket.Nanotime).
type Held struct {
	Bytes, Since int64
	Of           Conn
	Number       uint64
}

// Conn is a connection of which streams can be cut.
type Conn interface {
	// CutStream gives a stream up because of what it holds of an account, if it still
	// does.
	CutStream(number uint64, account *memory.Account, cause error) bool
}

// Cut gives the stream up, if it is still there.
func (h *Held) Cut(account *memory.Account, cause error) bool {
	return h.Of.CutStream(h.Number, account, cause)
}
