package exchange

import (
	"net/netip"
	"time"

	"github.com/keystone-gateway/keystone-gateway/proxy/memory"
	"github.com/keystone-gateway/keystone-gateway/proxy/message"
	"github.com/keystone-gateway/keystone-gateway/proxy/socket"
	"github.com/keystone-gateway/keystone-gateway/proxy/terms"
	"github.com/keystone-gateway/keystone-gateway/upstream"
)

// Stream is one request's way from its client, and its response's way back, in
// whatever protocol. Framing, what becomes of the connection afterwards and how
// a client waits are its own business. Its methods are called by one goroutine,
// but for those of the body, which an upload may call on another one, and
// Interrupt.
type Stream interface {
	Arrival
	Answer
	Presence
	// Memory is what the exchange charges for all that it holds; the stream ends
	// it when it is finished.
	Memory() *memory.Charge
	// Finish ends the exchange in order, at that time (socket.Nanotime). The
	// rest of the request is the stream's to deal with; last says that what the
	// client sends next can't be trusted to be a request.
	Finish(now int64, last bool)
	// Cut ends an exchange whose response isn't there, or not complete, so that
	// it never looks complete. Protocols that can say why translate the reason.
	Cut(now int64, reason CutReason)
}

// Arrival is how a request comes.
type Arrival interface {
	Client() *Client
	// Arrived is when the request's head was there (socket.Nanotime), and
	// HeadSize how long it was, in bytes.
	Arrived() int64
	HeadSize() int
	// Request judges the head. Called again, it undoes what was changed about it.
	// The target may have so many bytes. It is valid until the stream is finished.
	Request(maxTarget int) (*message.Request, error)
	// Body is valid after Request.
	Body() Body
	// Expire bounds the reads of the body that follow, and one under way
	// (socket.Nanotime); 0 is no bound. Interrupt ends them with an error, from
	// any goroutine, until Resume.
	Expire(at int64)
	Interrupt(cause error)
	Resume()
	// Expects says that the client waits for Continue before it sends the body.
	Expects() bool
}

// Client is who a request is from.
type Client struct {
	Peer     netip.Addr // the zero Addr on a Unix socket
	Address  []byte     // Peer as text; "unix" on a Unix socket
	Secure   bool       // over TLS, to here or to who has introduced it
	ByHTTP3  bool       // over UDP
	Unnamed  bool       // introduced by the PROXY protocol, by somebody who doesn't say who it is
	Number   uint64     // of its connection, since the start
	Listener int        // the number of the one that it has come in by
	// Accepted says what the handshake has found; nil without TLS, or where somebody
	// else has ended it.
	Accepted *terms.Accepted

	// Introducer is nil where no more is known of the connection than Peer.
	Introducer Introducer

	Introduction []byte // of one that was so introduced, members of the access log
}

// Introducer says what targets can be told of a connection by the PROXY protocol, which
// nobody changes. It may be asked at once.
type Introducer interface{ Introduction() *upstream.Introduction }

// Body is the content of a request or a response.
type Body interface {
	// Next returns the next part, of at least one byte, valid until the next
	// call; io.EOF after the last one. Errors stay.
	Next() ([]byte, error)
	// ReadInto is Next for content whose length is known, without another buffer
	// between. p must not be empty.
	ReadInto(p []byte) (int, error)
	// Ready reports whether Next would return at once, Done whether all has been
	// read.
	Ready() bool
	Done() bool
	// Read returns how much has been read so far, in bytes.
	Read() int64
	// Limit makes Next fail with message.BodyTooLarge as soon as there is more.
	Limit(most int64)
	// Trailer is valid after io.EOF.
	Trailer() message.Header
}

// Answer is how a response goes.
type Answer interface {
	// Bound sets limits to the writes that follow: the longest time without
	// progress, a least rate in bytes a second over that time, and when all must
	// be over (socket.Nanotime); 0 is none.
	Bound(idle time.Duration, minRate, total int64)
	// Continue tells a client that waits to send the body, and Interim passes an
	// informational response on, where there are such. The end of all doesn't
	// bound them.
	Continue() error
	Interim(r *message.Response) error
	// Begin takes the head of the final response; last is Finish's, as far as it
	// is known. Fields that are dropped are not sent.
	Begin(r *message.Response, last bool)
	// Write takes a part of the content, of at least one byte, and doesn't keep
	// it. What was taken may be gathered until Flush, or End, which completes the
	// content.
	Write(span []byte) error
	Flush() error
	End(trailer message.Header) error
}

// Presence tells when the client has gone.
type Presence interface {
	// BeginWait has call aborted then, until EndWait; now is the time.
	BeginWait(call Aborter, now int64)
	EndWait()
	// Watch calls cancel then, until the function that it returns is called.
	Watch(cancel func()) (end func())
}

// Aborter is given up from another goroutine.
type Aborter interface{ Abort(cause error) }

// Source and Drain are a body and an answer, if they may be moved from socket to
// socket: HTTP/1 without TLS.
type (
	// Source gives the next part in a pipe, which is the caller's. Where there
	// is none, the error is socket.ErrNoSplice.
	Source interface {
		Splices() bool
		ReadPipe() (*socket.Pipe, error)
	}
	// Drain takes a pipe, and gives it back.
	Drain interface {
		Splices() bool
		WritePipe(pipe *socket.Pipe) error
	}
)

// Tunneler is a stream that can switch to another protocol: its requests may
// have UpgradeAsked.
type Tunneler interface {
	// Tunnel sends the head of a 101, and returns the client's end of the tunnel,
	// which is valid until the stream is finished. idle bounds its writes.
	Tunnel(r *message.Response, idle time.Duration) (TunnelEnd, error)
	// Agrees reports whether a target's response to such a request says what it may
	// to this client: what looks to it like a tunnel must be one.
	Agrees(r *message.Response) bool
}
