package http1

import "bytes"

// Framing is how the end of a body is known (RFC 9112 §6.3).
type Framing uint8

// The framings.
const (
	NoBody     Framing = iota
	Length             // Content-Length
	Chunked            // Transfer-Encoding: chunked
	UntilClose         // responses only
)

// Form is the form of a request target (RFC 9112 §3.2).
type Form uint8

// The forms of a target.
const (
	OriginForm    Form = iota // /path?query
	AbsoluteForm              // http://host/path?query
	AuthorityForm             // host:port, CONNECT only
	AsteriskForm              // *, OPTIONS only
)

// MaxFields bounds the number of header lines in a message.
const MaxFields = 256

// Message is what requests and responses share. Its slices are views into the
// head that was parsed.
type Message struct {
	Minor         uint8 // HTTP/1.Minor
	Header        Header
	Framing       Framing
	ContentLength int64 // with Length; else 0

	// Of the Connection field:
	Close, KeepAlive, UpgradeAsked bool

	came uint64 // the IDs of its fields, a bit each
}

var _ [64 - idCount]struct{} // they fit

// Came reports whether a field with that ID was in the header when it was
// parsed, without looking through it.
func (m *Message) Came(id ID) bool { return m.came&(1<<id) != 0 }

// Request is a parsed request head.
type Request struct {
	Message
	Method []byte
	Target []byte // as it came
	Form   Form
	// Authority is the host the request is for: the target's in absolute
	// form, else the Host field's value; empty in HTTP/1.0 without Host.
	Authority []byte
	// Resource is the path and query of the target in origin and absolute
	// form, "*" in asterisk form; it starts with a slash otherwise.
	Resource []byte
	// Continue is set when the client waits for 100 Continue.
	Continue bool
}

// Reset makes r ready for another parse and keeps its memory.
func (r *Request) Reset() {
	fields := r.Header
	clear(fields)
	*r = Request{Message: Message{Header: fields[:0]}}
}

// Parse parses a whole head, which ends with an empty line, as ReadHead
// returns it. The request's slices are views into head. maxTarget bounds the
// target's length in bytes. The error is a Violation.
func (r *Request) Parse(head []byte, maxTarget int) error {
	r.Reset()
	line, rest := cutLine(head)
	if err := r.parseLine(line, maxTarget); err != nil {
		return err
	}
	if err := r.parseFields(rest); err != nil {
		return err
	}
	if err := r.requestFraming(); err != nil {
		return err
	}
	return r.checkHost()
}

func (r *Request) parseLine(line []byte, maxTarget int) error {
	sp := bytes.IndexByte(line, ' ')
	if sp <= 0 || sp > 64 || !IsToken(line[:sp]) {
		return BadRequestLine
	}
	r.Method, line = line[:sp], line[sp+1:]
	sp = bytes.IndexByte(line, ' ')
	if sp <= 0 {
		return BadRequestLine
	}
	r.Target = line[:sp]
	if !isTargetText(r.Target) {
		return BadTarget
	}
	minor, err := parseVersion(line[sp+1:])
	if err != nil {
		return err
	}
	r.Minor = minor
	if len(r.Target) > maxTarget {
		return TargetTooLong
	}
	return r.splitTarget()
}

// splitTarget tells the forms apart and cuts the target into its parts.
func (r *Request) splitTarget() error {
	t := r.Target
	switch {
	case string(r.Method) == "CONNECT":
		r.Form = AuthorityForm
		return nil
	case t[0] == '/':
		r.Form = OriginForm
	case len(t) == 1 && t[0] == '*':
		if string(r.Method) != "OPTIONS" {
			return BadTarget
		}
		r.Form, r.Resource = AsteriskForm, t
		return nil
	default:
		r.Form = AbsoluteForm
		scheme := schemeLen(t)
		if scheme == 0 {
			return BadTarget
		}
		t = t[scheme:]
		end := bytes.IndexAny(t, "/?")
		if end < 0 {
			end = len(t)
		}
		r.Authority, t = t[:end], t[end:]
		if len(r.Authority) == 0 || bytes.IndexByte(r.Authority, '@') >= 0 {
			return BadTarget
		}
	}
	if len(t) == 0 || t[0] == '?' { // http://host, http://host?query
		t = append([]byte{'/'}, t...)
	}
	r.Resource = t
	return nil
}

// schemeLen returns the length of "http://" or "https://" at the start of t.
func schemeLen(t []byte) int {
	switch {
	case len(t) > 7 && EqualFold(t[:7], "http://"):
		return 7
	case len(t) > 8 && EqualFold(t[:8], "https://"):
		return 8
	}
	return 0
}

// requestFraming applies RFC 9112 §6.3, more strictly than it asks: what two
// parsers could read in two ways is refused.
func (r *Request) requestFraming() error {
	if err := r.framing(); err != nil {
		return err
	}
	for i := range r.Header {
		if r.Header[i].ID != Expect {
			continue
		}
		// A list, which may be empty and then expects nothing (RFC 9110 §10.1.1).
		for member, rest := NextToken(r.Header[i].Value); member != nil; member, rest = NextToken(rest) {
			if !EqualFold(member, "100-continue") {
				return BadExpect
			}
			r.Continue = r.Minor == 1 && (r.Framing == Chunked || r.ContentLength > 0)
		}
	}
	return nil
}

// checkHost demands one Host in HTTP/1.1 (RFC 9112 §3.2), and that it agrees
// with the target's authority where both are given. An origin server would
// ignore it then (§3.2.2); what disagrees is refused, since somebody on the way
// may have judged the other one.
func (r *Request) checkHost() error {
	var host []byte
	count := 0
	for i := range r.Header {
		if r.Header[i].ID == Host {
			host = r.Header[i].Value
			count++
		}
	}
	if count > 1 || count == 0 && r.Minor == 1 {
		return BadHost
	}
	if r.Form != AbsoluteForm {
		r.Authority = host
		return nil
	}
	port := 80
	if schemeLen(r.Target) == len("https://") {
		port = 443
	}
	if count == 1 && !sameAuthority(host, r.Authority, port) {
		return BadHost
	}
	return nil
}
