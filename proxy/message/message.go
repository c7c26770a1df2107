// Package message says what a request and a response are, whatever protocol
// they came in: fields, methods, targets, statuses. It knows no wire: how a
// message becomes bytes, and where its body ends, is the protocol's.
//
//	h := message.Header{}
//	h.Set([]byte("Content-Type"), []byte("text/plain"))
//	h.Get(message.ContentType) // text/plain
//
// What protocols parse are views into what they have received: nothing is
// copied, decoded or normalised, so that what is forwarded is byte for byte what
// was judged.
package message

// MaxFields bounds the number of fields in a header.
const MaxFields = 256

// MaxTrailer bounds a trailer section, in bytes of HTTP/1.
const MaxTrailer = 8 << 10

// Unsized is the length of content of which only the end will tell how much it
// is.
const Unsized = -1

// Message is what requests and responses share.
type Message struct {
	// Version is the protocol's, as Via has it: "1.1", "1.0".
	Version string
	Header  Header
	// Length is that of the content, in bytes; 0 where there is none, Unsized
	// where it isn't known.
	Length int64
	// UpgradeAsked says that another protocol is asked for, or agreed to.
	UpgradeAsked bool

	came IDs // of its fields
}

// Came reports whether a field with that ID was in the header when it was
// received, without looking through it.
func (m *Message) Came(id ID) bool { return m.came.Has(id) }

// Receive appends a field that has come.
func (m *Message) Receive(f Field) {
	m.Header = append(m.Header, f)
	m.came = m.came.With(f.ID)
}

// Form is the form of a request target (RFC 9112 §3.2).
type Form uint8

// The forms of a target.
const (
	OriginForm    Form = iota // /path?query
	AbsoluteForm              // http://host/path?query
	AuthorityForm             // host:port, CONNECT only
	AsteriskForm              // * or http://host, OPTIONS only
)

// Request is a request without its body.
type Request struct {
	Message
	Method []byte
	Target []byte // as it came
	Form   Form
	// Authority is the host the request is for, as it came; empty where there is
	// none.
	Authority []byte
	// Resource is the path and query of the target in origin and absolute
	// form, "*" in asterisk form; it starts with a slash otherwise.
	Resource []byte
	// Continue is set when the client waits for 100 Continue.
	Continue bool
	// Trailers says that the client reads the trailers of a response.
	Trailers bool
	// Unsized says that it can be sent a response whose length isn't known in
	// advance, and tell one that is cut from one that is complete.
	Unsized bool
}

// Reset makes r ready for another message and keeps its memory. It is emptied in
// place, and then given that: a value of this size would be made elsewhere and copied.
func (r *Request) Reset() {
	kept := r.Header
	clear(kept)
	*r = Request{}
	r.Header = kept[:0]
}

// Sent is a request as it is sent on: what has come, but for some fields, and what
// whoever sends it has to say.
type Sent struct {
	Method []byte
	Form   Form // OriginForm or AsteriskForm
	// Authority is the host that is asked for; empty is the receiver's own.
	Authority []byte
	// Path and Query, with its "?", are what is asked for.
	Path, Query []byte
	// Header is what has come. Of it those fields are sent that aren't dropped, and
	// whose ID isn't in Without; then those of Own.
	Header  Header
	Without IDs
	Own     Header
	// Length is that of the content, in bytes; 0 where there is none, Unsized where
	// it isn't known.
	Length int64
	// UpgradeAsked, Continue and Trailers ask for what a Request asks for by them.
	UpgradeAsked, Continue, Trailers bool
}

// Reset makes s ready for another message and keeps its own memory.
func (s *Sent) Reset() {
	kept := s.Own
	clear(kept)
	*s = Sent{}
	s.Own = kept[:0]
}

// Response is a response without its body. That of a final one is Length bytes
// long, unless it is Bodiless. Of its fields those are sent on that aren't dropped,
// and whose ID isn't in Without.
type Response struct {
	Message
	Without IDs
	Status  int
	Reason  []byte // where the protocol has one
	// Bodiless says that no content follows, whatever the length: that of HEAD
	// and 304 is the one that a GET would get.
	Bodiless bool
}

// Reset makes r ready for another message and keeps its memory.
func (r *Response) Reset() {
	kept := r.Header
	clear(kept)
	*r = Response{}
	r.Header = kept[:0]
}
