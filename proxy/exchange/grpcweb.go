package exchange

import (
	"errors"
	"io"
	"sync"

	"github.com/keystone-gateway/keystone-gateway/proxy/grpcweb"
	"github.com/keystone-gateway/keystone-gateway/proxy/memory"
	"github.com/keystone-gateway/keystone-gateway/proxy/message"
)

// Where a tenant wants it, clients that speak gRPC-Web speak gRPC to all that is
// behind their stream: policies, scripts, targets, and what tells of errors. So
// nothing but webStream knows of it.

// webStream is a stream of which both ways are translated. It is pooled; release
// names every field.
type webStream struct {
	Stream
	x       *exchange
	body    webBody
	format  []byte // of the messages, as the client has it: "+proto", or nothing
	encoder grpcweb.Encoder
	answers bool // the response is gRPC's, and its content is translated
	out     []byte
}

var webStreams = sync.Pool{New: func() any { return new(webStream) }}

// speakWeb puts a webStream before the client's stream if it speaks gRPC-Web.
func (x *exchange) speakWeb() {
	if !x.Message.Came(message.ContentType) || string(x.Message.Method) != "POST" {
		return
	}
	encoding, _ := grpcweb.ParseType(x.Message.Header.Get(message.ContentType))
	if encoding == grpcweb.None {
		return
	}
	s := webStreams.Get().(*webStream) //nolint:forcetypeassert // the pool holds nothing else
	s.Stream, s.x = x.stream, x
	s.translate(x.Message)
	s.body.Body = x.stream.Body()
	x.stream, x.web = s, s
	x.content.Body = s.Body()
	x.takes = identity // content is coded by gRPC itself
}

// keepWeb is the largest memory for what is sent as text that is kept.
const keepWeb = 8 << 10

func (s *webStream) release() {
	if s.body.room != nil {
		memory.ReleaseBuffer(s.body.room)
	}
	if s.out = s.out[:0]; cap(s.out) > keepWeb {
		s.out = nil
	}
	*s = webStream{out: s.out}
	webStreams.Put(s)
}

// size is what it holds, in bytes.
func (s *webStream) size() int64 {
	if s == nil {
		return 0
	}
	return memory.SmallBuffer + keepWeb
}

var xGRPCWeb = []byte("X-Grpc-Web")

// translate makes a request of gRPC-Web one of gRPC.
func (s *webStream) translate(r *message.Request) {
	x, h := s.x, r.Header
	encoding, answer := grpcweb.None, grpcweb.None
	for i := range h {
		switch f := &h[i]; {
		case f.ID == message.ContentType && encoding == grpcweb.None:
			encoding, s.format = grpcweb.ParseType(f.Value)
			f.Value = x.keepValue(append(append(x.values, grpcType...), s.format...))
		case f.ID == message.ContentType: // the first one says what it is
			f.Dropped = true
		case f.ID == message.Accept:
			if answer == grpcweb.None {
				answer = acceptedWeb(f.Value)
			}
			f.Dropped = true
		case f.ID == message.AcceptEncoding, f.ID == message.Unknown && message.SameName(f.Name, xGRPCWeb):
			f.Dropped = true
		}
	}
	if s.encoder.Encoding = answer; answer == grpcweb.None {
		s.encoder.Encoding = encoding
	}
	r.UpgradeAsked = false
	s.body.text, s.body.length = encoding == grpcweb.Text, r.Length
	if s.body.text && r.Length > 0 {
		r.Length = message.Unsized
	}
}

// acceptedWeb is the first encoding that is accepted.
func acceptedWeb(list []byte) grpcweb.Encoding {
	for media, rest := message.NextToken(list); media != nil; media, rest = message.NextToken(rest) {
		if encoding, _ := grpcweb.ParseType(media); encoding != grpcweb.None {
			return encoding
		}
	}
	return grpcweb.None
}

// Request judges the head, and translates it.
func (s *webStream) Request(maxTarget int) (*message.Request, error) {
	r, err := s.Stream.Request(maxTarget)
	if err == nil {
		s.translate(r)
	}
	return r, err
}

// Body is what follows the head, decoded.
func (s *webStream) Body() Body {
	if s.body.text {
		return &s.body
	}
	return s.body.Body
}

// webFault is a fault of what is translated: it isn't the client that can't be
// written to.
type webFault struct{ caused }

// Begin takes the head of a response. What isn't gRPC's, such as the page of a web
// server, goes as it is: clients make a status of it.
func (s *webStream) Begin(r *message.Response, last bool) {
	for i := range r.Header {
		f := &r.Header[i]
		if f.ID != message.ContentType || f.Dropped {
			continue
		}
		if !isGRPCType(f.Value) {
			break
		}
		f.Dropped = true
		s.translateBack(r, f.Value[len(grpcType):])
		break
	}
	s.Stream.Begin(r, last)
}

// translateBack makes the head that of gRPC-Web. Where there is no content, its status
// is in the head, and stays there.
func (s *webStream) translateBack(r *message.Response, format []byte) {
	if len(format) == 0 {
		format = s.format
	}
	x := s.x
	media := x.keepValue(grpcweb.AppendType(x.values, s.encoder.Encoding, format))
	r.Header = append(r.Header, message.Field{Name: typeName, Value: media, ID: message.ContentType})
	if r.Bodiless || r.Length == 0 && r.Header.Value(grpcStatus) != nil {
		return
	}
	s.answers = true
	r.Length = message.Unsized
	r.Without = r.Without.With(message.ContentLength).With(message.Trailer)
}

// webPart is how much content is translated at once, so that it fits into keepWeb.
const webPart = 4 << 10

// Write takes a part of the content.
func (s *webStream) Write(span []byte) error {
	if !s.answers {
		return s.Stream.Write(span)
	}
	for len(span) > 0 {
		part := span[:min(webPart, len(span))]
		span = span[len(part):]
		var good []byte // what of it is gRPC's
		var wrong error
		if s.encoder.Encoding == grpcweb.Binary {
			good, wrong = s.encoder.Follow(part)
		} else {
			s.out, wrong = s.encoder.Append(s.out[:0], part)
			good = s.out
		}
		if len(good) > 0 {
			if err := s.Stream.Write(good); err != nil {
				return err
			}
		}
		if wrong != nil {
			return s.broken(wrong)
		}
	}
	return nil
}

// End ends the content, by a frame with the trailers. Within a message there can't be
// one: the client would take it for more of the message.
func (s *webStream) End(trailer message.Header) error {
	if !s.answers {
		return s.Stream.End(trailer)
	}
	if !s.encoder.Whole() {
		return s.broken(grpcweb.ErrPartial)
	}
	if !hasTrailing(trailer) {
		return s.Stream.End(nil)
	}
	var err error
	if s.out, err = s.encoder.AppendTrailer(s.out[:0], func(yield func(name, value []byte) bool) {
		for i := range trailer {
			if f := &trailer[i]; f.MayTrail() && !yield(f.Name, f.Value) {
				return
			}
		}
	}); err != nil {
		return s.broken(err)
	}
	if err := s.Stream.Write(s.out); err != nil {
		return err
	}
	return s.Stream.End(nil)
}

// broken says what is wrong with a target's content; what came before it is the
// client's.
func (s *webStream) broken(why error) error {
	_ = s.Flush()
	return &webFault{caused{faultBadResponse, why}}
}

func hasTrailing(trailer message.Header) bool {
	for i := range trailer {
		if trailer[i].MayTrail() {
			return true
		}
	}
	return false
}

// wroteTo says whose fault an error of writing to the client is.
func wroteTo(err error) error {
	if wrong, ok := errors.AsType[*webFault](err); ok {
		return wrong
	}
	return &clientError{err}
}

// webBody is the content of a request that is text.
type webBody struct {
	Body
	text    bool
	length  int64 // as it comes; message.Unsized where it isn't known
	decoder grpcweb.Decoder
	encoded []byte // has come, and is still to be decoded
	decoded []byte // a part of room: to be taken
	room    []byte
	err     error // of what is no text
}

// Next returns the next part of the content.
func (b *webBody) Next() ([]byte, error) {
	if err := b.decode(true); err != nil {
		return nil, err
	}
	span := b.decoded
	b.decoded = nil
	return span, nil
}

// decode decodes until there is something to take, or an error; of what has come
// already, unless it waits.
func (b *webBody) decode(waits bool) (err error) {
	for len(b.decoded) == 0 && b.err == nil {
		if len(b.encoded) == 0 {
			if !waits && !b.Body.Ready() {
				return nil
			}
			if b.encoded, err = b.Body.Next(); err == io.EOF && !b.decoder.Whole() {
				err = &caused{faultBadBody, grpcweb.ErrBase64}
				b.err = err
			}
			if err != nil {
				b.encoded = nil
				return err
			}
		}
		if b.room == nil {
			b.room = memory.AcquireSmall()
		}
		written, read, err := b.decoder.Decode(b.room, b.encoded)
		b.decoded, b.encoded = b.room[:written], b.encoded[read:]
		if err != nil {
			b.err = &caused{faultBadBody, err}
		}
	}
	if len(b.decoded) > 0 {
		return nil
	}
	return b.err
}

// ReadInto is Next, copied.
func (b *webBody) ReadInto(p []byte) (int, error) {
	if err := b.decode(true); err != nil {
		return 0, err
	}
	n := copy(p, b.decoded)
	b.decoded = b.decoded[n:]
	return n, nil
}

// Ready reports whether Next would return at once: a part of a group isn't anything yet.
func (b *webBody) Ready() bool {
	return b.decode(false) != nil || len(b.decoded) > 0 || b.Body.Done()
}

// Done reports whether all has been taken.
func (b *webBody) Done() bool {
	return len(b.decoded)+len(b.encoded) == 0 && b.err == nil && b.decoder.Whole() && b.Body.Done()
}

// Limit bounds what comes, as text.
func (b *webBody) Limit(most int64) {
	if b.length > most {
		b.err = message.BodyTooLarge
	}
	b.Body.Limit(most)
}

// Ended reports whether all has come, or is to be waited for before a target is chosen,
// as what is small and sized is.
func (b *webBody) Ended() bool {
	c, ok := b.Body.(Comer)
	return b.length > 0 && b.length <= maxBuffered || ok && c.Ended()
}
