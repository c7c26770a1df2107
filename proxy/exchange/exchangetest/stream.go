// Package exchangetest is for tests of exchanges: a Stream that is in memory, and
// has nothing of any protocol.
//
//	s := &exchangetest.Stream{Head: exchangetest.Request("GET", "a.example.com", "/")}
//	plane.Serve(s)
//	s.Status, s.Content // what its client has got
package exchangetest

import (
	"io"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/keystone-gateway/keystone-gateway/proxy/exchange"
	"github.com/keystone-gateway/keystone-gateway/proxy/memory"
	"github.com/keystone-gateway/keystone-gateway/proxy/message"
	"github.com/keystone-gateway/keystone-gateway/proxy/socket"
)

// Stream is one request of a client that takes everything at once.
type Stream struct {
	// The request. Refused is why there is none; Waits says that the client waits
	// to be told to send the body.
	Head     message.Request
	Refused  error
	Parts    [][]byte // of the content
	Trailers message.Header
	Broken   error // in the place of the body's end
	Waits    bool
	Come     bool // all of the content has come already

	// What the client gets.
	Told      bool  // to send the body
	Interims  []int // statuses
	Status    int   // 0 is no response
	Header    message.Header
	Length    int64
	Last      bool
	Content   []byte
	Flushes   int
	Trailer   message.Header
	Completed bool // the content has been ended
	Finished  bool // in order
	WasCut    bool
	CutReason exchange.CutReason

	charge memory.Charge
	shown  message.Request
	body   body
	client exchange.Client

	mu   sync.Mutex
	call exchange.Aborter // guarded by mu
}

var _ exchange.Stream = (*Stream)(nil)

// Request is a request without a body.
func Request(method, host, path string, fields ...string) message.Request {
	r := message.Request{
		Method: []byte(method), Target: []byte(path), Authority: []byte(host), Resource: []byte(path), Unsized: true, Trailers: true,
	}
	r.Version = "2.0"
	for i := 0; i < len(fields); i += 2 {
		name := []byte(fields[i])
		r.Receive(message.Field{Name: name, Value: []byte(fields[i+1]), ID: message.Identify(name)})
	}
	return r
}

// Field returns the value of a field that the client has got.
func (s *Stream) Field(name string) string { return string(s.Header.Value([]byte(name))) }

// Leave says that the client has gone, from any goroutine.
func (s *Stream) Leave() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.call != nil {
		s.call.Abort(exchange.ErrClientGone)
	}
}

// Client is one on this machine.
func (s *Stream) Client() *exchange.Client {
	s.client = exchange.Client{Peer: netip.MustParseAddr("127.0.0.1"), Address: []byte("127.0.0.1"), Number: 1}
	return &s.client
}

// Memory is bounded by nobody.
func (s *Stream) Memory() *memory.Charge {
	account := new(memory.Account)
	account.Open(new(memory.Process))
	s.charge.Begin(account)
	return &s.charge
}

// Arrived is now.
func (s *Stream) Arrived() int64 { return socket.Nanotime() }

// HeadSize is as good as any.
func (s *Stream) HeadSize() int { return 100 }

// Request gives a copy of Head.
func (s *Stream) Request(maxTarget int) (*message.Request, error) {
	s.shown = s.Head
	s.shown.Header = slices.Clone(s.Head.Header)
	s.shown.Continue = s.Waits
	s.body.stream = s
	if s.Refused == nil && len(s.shown.Target) > maxTarget {
		return &s.shown, message.TargetTooLong
	}
	return &s.shown, s.Refused
}

// Body gives Parts.
func (s *Stream) Body() exchange.Body { return &s.body }

// Expire does nothing: nothing is waited for.
func (s *Stream) Expire(int64) {}

// Interrupt ends the body.
func (s *Stream) Interrupt(cause error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.body.interrupted = cause
}

// Resume undoes that.
func (s *Stream) Resume() { s.Interrupt(nil) }

// Expects says whether the client still waits.
func (s *Stream) Expects() bool { return s.Waits && !s.Told }

// Bound does nothing: the client takes everything at once.
func (s *Stream) Bound(time.Duration, int64, int64) {}

// Continue tells the client.
func (s *Stream) Continue() error {
	s.Told = s.Told || s.Waits
	return nil
}

// Interim keeps the status.
func (s *Stream) Interim(r *message.Response) error {
	s.Interims = append(s.Interims, r.Status)
	return nil
}

// Begin keeps the head.
func (s *Stream) Begin(r *message.Response, last bool) {
	s.Status, s.Length, s.Last = r.Status, r.Length, last
	s.Header = appendFields(s.Header, r.Header, r.Without)
}

// appendFields appends copies of what is sent, by which it is found again.
func appendFields(to, h message.Header, without message.IDs) message.Header {
	for _, f := range h {
		if !f.Dropped && !without.Has(f.ID) {
			to = append(to, message.Field{Name: slices.Clone(f.Name), Value: slices.Clone(f.Value), ID: message.Identify(f.Name)})
		}
	}
	return to
}

// Write keeps the content.
func (s *Stream) Write(span []byte) error {
	s.Content = append(s.Content, span...)
	return nil
}

// Flush counts.
func (s *Stream) Flush() error {
	s.Flushes++
	return nil
}

// End completes the content.
func (s *Stream) End(trailer message.Header) error {
	s.Completed = true
	s.Trailer = appendFields(s.Trailer, trailer, 0)
	return nil
}

// BeginWait lets Leave abort the call.
func (s *Stream) BeginWait(call exchange.Aborter, _ int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.call = call
}

// EndWait ends that.
func (s *Stream) EndWait() { s.BeginWait(nil, 0) }

// Watch does nothing.
func (s *Stream) Watch(func()) (end func()) { return func() {} }

// Ended reports whether the content has come.
func (b *body) Ended() bool { return b.stream.Come }

// Finish ends the exchange.
func (s *Stream) Finish(int64, bool) { s.Finished = true }

// Cut ends it before its time.
func (s *Stream) Cut(_ int64, reason exchange.CutReason) { s.WasCut, s.CutReason = true, reason }

// body is the content of a Stream.
type body struct {
	stream      *Stream
	next        int
	rest        []byte // of a part that didn't fit
	read, limit int64
	err         error
	interrupted error // guarded by stream.mu
}

// Next gives the next part.
func (b *body) Next() ([]byte, error) {
	b.stream.mu.Lock()
	defer b.stream.mu.Unlock()
	switch {
	case b.err != nil:
	case len(b.rest) > 0:
		part := b.rest
		b.rest = nil
		b.read += int64(len(part))
		return part, nil
	case b.interrupted != nil:
		b.err = b.interrupted
	case b.next == len(b.stream.Parts) && b.stream.Broken != nil:
		b.err = b.stream.Broken
	case b.next == len(b.stream.Parts):
		b.err = io.EOF
	case b.limit > 0 && b.read+int64(len(b.stream.Parts[b.next])) > b.limit:
		b.err = message.BodyTooLarge
	default:
		part := b.stream.Parts[b.next]
		b.next++
		b.read += int64(len(part))
		return part, nil
	}
	return nil, b.err
}

// ReadInto copies what fits.
func (b *body) ReadInto(p []byte) (int, error) {
	part, err := b.Next()
	n := copy(p, part)
	b.rest = part[n:]
	b.read -= int64(len(b.rest))
	return n, err
}

func (b *body) Ready() bool { return true }

func (b *body) Done() bool {
	return b.err == io.EOF || b.stream.Head.Length == 0 || b.stream.Head.Length > 0 && b.read == b.stream.Head.Length
}

func (b *body) Read() int64             { return b.read }
func (b *body) Limit(most int64)        { b.limit = most }
func (b *body) Trailer() message.Header { return b.stream.Trailers }
