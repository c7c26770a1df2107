package http2

import (
	"bytes"

	"github.com/keystone-gateway/keystone-gateway/proxy/message"
)

// Request is a request as it was received.
type Request struct {
	message.Request
	// Scheme is what the client says; nobody has to believe it.
	Scheme []byte
	// Protocol is what an extended CONNECT asks for (RFC 8441 §4): to everybody else
	// the request is the upgrade of HTTP/1 that means the same. nil is any other.
	Protocol []byte

	cookies []byte // joined
	key     [24]byte
}

// Reset makes r ready for another message and keeps its memory.
func (r *Request) Reset() {
	r.Request.Reset()
	cookies := r.cookies[:0]
	if cap(cookies) > keepBlock {
		cookies = nil
	}
	*r = Request{Request: r.Request, cookies: cookies}
}

// Asked is how a request is judged. HTTP/3 has the same requests (RFC 9114 §4.3), which
// are judged here too.
type Asked struct {
	MaxTarget int    // bytes
	Ended     bool   // no content follows
	Version   string // "" is HTTP/2's
	Plain     bool   // there is no extended CONNECT
}

const version = "2.0"

// Parse judges a block as HTTP/1 would judge the request's head. The slices are views
// into the block. Called again, it undoes what was changed. Its error is a
// message.Violation.
func (r *Request) Parse(b *Block, asked Asked) error {
	key := r.key
	r.Reset()
	r.key = key
	r.Version, r.Unsized = version, true
	if asked.Version != "" {
		r.Version = asked.Version
	}
	first, err := r.pseudoFields(b)
	if err == nil && asked.Plain && r.Protocol != nil {
		err = message.BadPseudoField
	}
	if err != nil {
		return err
	}
	if err := r.target(asked.MaxTarget); err != nil {
		return err
	}
	authority := len(r.Authority) > 0
	if authority { // so that nobody can tell by it how the host was said
		r.Receive(message.Field{Name: hostName, Value: r.Authority, ID: message.Host})
	}
	h := head{message: &r.Message, cookies: r.cookies}
	err = h.fields(b, first)
	r.cookies = h.cookies
	if err != nil {
		return err
	}
	if b.TooLarge() {
		return message.HeaderTooLarge
	}
	if err := r.content(asked.Ended); err != nil {
		return err
	}
	if err := r.host(authority); err != nil {
		return err
	}
	if r.Protocol != nil {
		r.asUpgrade()
	}
	return nil
}

var hostName = []byte("host")

// pseudoFields takes those that the block begins with (RFC 9113 §8.3.1), and returns
// how many there are.
func (r *Request) pseudoFields(b *Block) (n int, err error) {
	var path []byte
	for ; n < b.Len() && pseudo(b.Name(n)); n++ {
		value := b.Value(n)
		to := &r.Method
		switch string(b.Name(n)) {
		case ":method":
		case ":scheme":
			to = &r.Scheme
		case ":path":
			to = &path
		case ":authority":
			to = &r.Authority
		case ":protocol":
			to = &r.Protocol
		default:
			return 0, message.BadPseudoField
		}
		if *to != nil || !isValue(value) {
			return 0, message.BadPseudoField
		}
		*to = value
	}
	r.Target = path
	if b.TooLarge() && n == b.Len() && (r.Method == nil || r.Scheme == nil || path == nil) {
		return 0, message.HeaderTooLarge // what is missing may be what was too large
	}
	if len(r.Method) == 0 || len(r.Method) > maxMethod || !message.IsToken(r.Method) {
		return 0, message.BadPseudoField
	}
	if string(r.Method) == "CONNECT" && r.Protocol == nil {
		if r.Scheme != nil || path != nil || len(r.Authority) == 0 {
			return 0, message.BadPseudoField
		}
		return n, nil
	}
	if r.Protocol != nil && (string(r.Method) != "CONNECT" || !message.IsToken(r.Protocol) || len(r.Authority) == 0) {
		return 0, message.BadPseudoField
	}
	if !message.EqualFold(r.Scheme, "http") && !message.EqualFold(r.Scheme, "https") || len(path) == 0 {
		return 0, message.BadPseudoField
	}
	return n, nil
}

// maxMethod is the length of the longest method.
const maxMethod = 64

// target judges :path, and tells its forms apart.
func (r *Request) target(most int) error {
	if r.Target == nil {
		r.Form, r.Target = message.AuthorityForm, r.Authority
		return nil
	}
	switch {
	case !message.IsTargetText(r.Target):
		return message.BadTarget
	case len(r.Target) > most:
		return message.TargetTooLong
	case r.Target[0] == '/':
		r.Form = message.OriginForm
	case string(r.Target) == "*" && string(r.Method) == "OPTIONS":
		r.Form = message.AsteriskForm
	default:
		return message.BadTarget
	}
	r.Resource = r.Target
	return nil
}

// content finds out what is known of the content, as HTTP/1 does.
func (r *Request) content(ended bool) error {
	if ended {
		if r.Length > 0 {
			return message.WrongLength
		}
		r.Length = 0
	}
	if r.Protocol != nil {
		r.Length = 0 // what follows is the tunnel's
	}
	if r.Came(message.TE) {
		r.Trailers = true
	}
	if !r.Came(message.Expect) {
		return nil
	}
	for i := range r.Header {
		if r.Header[i].ID != message.Expect {
			continue
		}
		for member, rest := message.NextToken(r.Header[i].Value); member != nil; member, rest = message.NextToken(rest) {
			if !message.EqualFold(member, "100-continue") {
				return message.BadExpect
			}
			r.Continue = r.Length != 0
		}
	}
	return nil
}

// host demands one host, and that :authority, of which there is a field already,
// and Host agree where both are given (RFC 9113 §8.3.1).
func (r *Request) host(authority bool) error {
	hosts, at := 0, 0
	for i := range r.Header {
		if r.Header[i].ID == message.Host {
			hosts, at = hosts+1, i
		}
	}
	switch {
	case !authority && hosts != 1, hosts > 2:
		return message.BadHost
	case !authority:
		r.Authority = r.Header[at].Value
	case hosts == 2:
		port := 80
		if message.EqualFold(r.Scheme, "https") {
			port = 443
		}
		if !message.SameAuthority(r.Header[at].Value, r.Authority, port) {
			return message.BadHost
		}
		r.Header = append(r.Header[:at], r.Header[at+1:]...)
	}
	if len(r.Authority) == 0 || bytes.IndexByte(r.Authority, '@') >= 0 {
		return message.BadHost
	}
	return nil
}
